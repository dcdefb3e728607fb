"""RRSA in the playground: the local cloud believes the cluster, and a role trusts an account of it.

The names are those of ``examples/rrsa``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from secret_sync.local.cloud import AdminError
from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.kubectl import Kubectl

PROVIDER: Final = "ack-rrsa-playground"
ROLE: Final = "shop-reader"
SERVICE_ACCOUNT: Final = "shop-reader"
AUDIENCE: Final = "sts.aliyuncs.com"
#: The secrets that the role may read.
_SECRETS: Final = ("shop-*",)


async def trust_cluster(kubectl: Kubectl, admin: CloudAdmin, namespace: str) -> str:
    """Make the cluster's issuer an identity provider, and a role that trusts one ServiceAccount.

    Args:
        kubectl: For the cluster.
        admin: Of the cloud.
        namespace: Of the ServiceAccount.

    Returns:
        The role's ARN.

    Raises:
        LocalError: The cluster does not publish usable keys.
    """
    try:
        discovery = json.loads(
            await kubectl.run("get", "--raw", "/.well-known/openid-configuration")
        )
        keys = json.loads(await kubectl.run("get", "--raw", "/openid/v1/jwks"))
        # Nothing but a mapping: a string would be taken for a URL to read the keys from.
        issuer, keys = discovery["issuer"], dict(keys.items())
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise LocalError("the cluster does not publish its OIDC issuer and keys") from None
    try:
        provider = await admin.put_oidc_provider(PROVIDER, issuer=issuer, jwks=keys)
    except AdminError as error:
        # Without its status, which says nothing to a person.
        why = str(error).partition(": ")[2]
        raise LocalError(f"the cluster's OIDC keys cannot be used: {why}") from None
    subject = f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}"
    trust = [{"oidc_provider": provider, "sub": subject, "aud": AUDIENCE}]
    return await admin.put_role(ROLE, trust=trust, secrets=list(_SECRETS))
