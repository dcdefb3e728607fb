"""Identities for tests: roles in the local cloud that trust ServiceAccounts of the real cluster."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.operator import GROUP, external_secret

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

AUDIENCE = "sts.aliyuncs.com"
ROLE_ARN = "ack.alibabacloud.com/role-arn"
ALLOW = "secret-sync.alibabacloud.com/allow-namespaces"
#: Another account than the one that the cloud begins with.
OTHER_ACCOUNT = "6543210987654321"


def auth_store(name: str, **auth: Any) -> dict[str, Any]:
    """A SecretStore with this block ``KMSAuth``."""
    return {
        "apiVersion": GROUP,
        "kind": "SecretStore",
        "metadata": {"name": name},
        "spec": {"KMS": {"KMSAuth": auth}},
    }


def cluster_store(name: str, *conditions: dict[str, Any], **auth: Any) -> dict[str, Any]:
    """A ClusterSecretStore with this block ``KMSAuth`` and these conditions."""
    document = auth_store(name, **auth)
    document["kind"] = "ClusterSecretStore"
    if conditions:
        document["spec"]["conditions"] = list(conditions)
    return document


def service_account(name: str, role: str = "", **annotations: str) -> dict[str, Any]:
    """A ServiceAccount, bound to a RAM role if one is given."""
    if role:
        annotations[ROLE_ARN] = role
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "annotations": annotations},
    }


def using(store: str, name: str, key: str, **spec: Any) -> dict[str, Any]:
    """An ExternalSecret that reads one secret with a store of its namespace."""
    return external_secret(
        name, {"key": key, "name": "x", "secretStoreRef": {"name": store}}, **spec
    )


def owned(name: str, key: str, **spec: Any) -> dict[str, Any]:
    """An ExternalSecret that names no store."""
    document = external_secret(name, **spec)
    document["spec"]["data"] = [{"key": key, "name": "x"}]
    return document


@dataclass(frozen=True)
class Ram:
    """The RAM of the local cloud, with the cluster as an identity provider of it."""

    admin: CloudAdmin
    account: str
    provider: str

    @classmethod
    async def of(cls, plane: ControlPlane, admin: CloudAdmin, info: CloudInfo) -> Ram:
        answer = await asyncio.to_thread(plane.admin.request, "GET", "/openid/v1/jwks")
        assert answer.status == 200
        body = answer.body if isinstance(answer.body, dict) else json.loads(answer.body)
        provider = await admin.put_oidc_provider("ack-rrsa-c1", issuer=plane.server, jwks=body)
        return cls(admin, info.account, provider)

    async def role_for(self, name: str, namespace: str, account: str, **more: Any) -> str:
        """A role that a ServiceAccount of the cluster may assume; its ARN."""
        subject = f"system:serviceaccount:{namespace}:{account}"
        trust = [{"oidc_provider": self.provider, "sub": subject, "aud": AUDIENCE}]
        return await self.admin.put_role(name, trust=trust, **more)

    async def role_for_account(self, name: str, **more: Any) -> str:
        """A role that everybody of the first account may assume; its ARN."""
        return await self.admin.put_role(name, trust=[{"account": self.account}], **more)


async def calls(admin: CloudAdmin, action: str, subject: str = "") -> list[dict[str, Any]]:
    """The calls of one action, about one subject if one is given."""
    return [
        call
        for call in await admin.calls(20_000)
        if call["action"] == action and subject in ("", call["subject"])
    ]


async def put_account(api: Api, namespace: str, name: str, role: str = "", **more: str) -> None:
    """A ServiceAccount in a namespace."""
    await api.put(service_account(name, role, **more), namespace)
