"""Our kinds, as the API server's paths name them."""

from __future__ import annotations

from typing import Final

from secret_sync.kube import Resource
from secret_sync.resources import controllers, external_secret, secret_store
from secret_sync.resources.names import GROUP, VERSION

EXTERNAL_SECRETS: Final = Resource(GROUP, VERSION, "externalsecrets", external_secret.KIND)
SECRET_STORES: Final = Resource(GROUP, VERSION, "secretstores", secret_store.KIND)
CLUSTER_SECRET_STORES: Final = Resource(
    GROUP, VERSION, "clustersecretstores", secret_store.CLUSTER_KIND, namespaced=False
)
CLUSTER_EXTERNAL_SECRETS: Final = Resource(
    GROUP, VERSION, "clusterexternalsecrets", controllers.CLUSTER_KIND, namespaced=False
)

#: What to do where the API server does not know them.
INSTALL_CRDS: Final = "install the CRDs: secret-sync crds | kubectl apply --server-side -f -"
