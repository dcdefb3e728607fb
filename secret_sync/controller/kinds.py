"""Our kinds, as the API server's paths name them."""

from __future__ import annotations

from typing import Final

from secret_sync.kube import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    LEASES,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
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

#: The plurals of all kinds that are read or written.
PLURALS: Final = frozenset(
    resource.plural
    for resource in (
        *(EXTERNAL_SECRETS, SECRET_STORES, CLUSTER_SECRET_STORES, CLUSTER_EXTERNAL_SECRETS),
        *(SECRETS, SERVICE_ACCOUNTS, CONFIG_MAPS, NAMESPACES),
        *(EVENTS, LEASES, CUSTOM_RESOURCE_DEFINITIONS),
    )
)

#: What to do where the API server does not know them.
INSTALL_CRDS: Final = "install the CRDs: secret-sync crds | kubectl apply --server-side -f -"
