"""A small cluster to plan in: stores, Secrets, ServiceAccounts and namespaces, all in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.expressions import ImmediateChecker
from secret_sync.controller.external_secret.planner import Endpoints
from secret_sync.controller.external_secret.planning import (
    PlanningObjects,
    PlanningRules,
    build_planner,
)
from secret_sync.controller.store.identity import IdentityDependencies, Policy
from secret_sync.kube import Store, key_of
from secret_sync.resources import Namespace, SecretStore, ServiceAccount
from secret_sync.settings import OwnIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.controller.external_secret.expressions import ExpressionChecker
    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.controller.store.identity import IdentityResolver
    from secret_sync.resources import SecretMeta


class Untouched:
    """Stands for everything that planning must not call: a reader, a minter, STS, a node."""

    hosts = ("sts.example",)
    endpoint = "node.example"

    async def read(self, namespace: str, name: str, **_: str) -> Mapping[str, bytes]:
        raise AssertionError("planning reads no payload")

    async def mint(self, namespace: str, name: str, uid: str, audiences: Sequence[str]) -> str:
        raise AssertionError("planning makes no token")


@dataclass
class Cluster:
    """Everything that identities and plans are made from."""

    stores: Store[SecretStore] = field(default_factory=Store)
    cluster_stores: Store[SecretStore] = field(default_factory=Store)
    secrets: Store[SecretMeta] = field(default_factory=Store)
    accounts: Store[ServiceAccount] = field(default_factory=Store)
    namespaces: Store[Namespace] = field(default_factory=Store)

    def add(self, *things: SecretStore | SecretMeta | ServiceAccount | Namespace) -> None:
        for thing in things:
            self._place(thing).put(key_of(thing), thing)

    def _place(self, thing: object) -> Store[Any]:
        match thing:
            case SecretStore():
                return self.stores if thing.namespace else self.cluster_stores
            case ServiceAccount():
                return self.accounts
            case Namespace():
                return self.namespaces
        return self.secrets

    def identities(
        self, *, cross: bool = False, own: OwnIdentity | None = None, **more: Any
    ) -> IdentityResolver:
        """A resolver; ``more`` are fields of `IdentityDependencies` and `Policy`."""
        return self.planner(cross=cross, own=own, **more).identities

    def planner(
        self,
        *,
        cross: bool = False,
        interval: float | None = 120.0,
        region: str = "cn-hangzhou",
        endpoints: Endpoints | None = None,
        schemas: Schemas | None = None,
        expressions: ExpressionChecker | None = None,
        own: OwnIdentity | None = None,
        **more: Any,
    ) -> Planner:
        untouched: Any = Untouched()
        more.setdefault("user", "system:serviceaccount:secret-sync-system:secret-sync")
        policy = {k: more.pop(k) for k in ("worker_role", "namespaces", "roles") if k in more}
        return build_planner(
            PlanningObjects(
                *(self.stores, self.cluster_stores, self.secrets, self.accounts, self.namespaces),
                no_cluster_stores=more.pop("no_cluster_stores", ""),
            ),
            PlanningRules(
                polling_interval=interval,
                region=region,
                endpoints=endpoints or Endpoints(),
                cross_namespace_stores=cross,
                cross_namespace_auth=cross,
                policy=Policy(**policy),
            ),
            IdentityDependencies(
                reader=more.pop("reader", untouched),
                minter=untouched,
                sts=untouched,
                metadata=untouched,
                own=own or OwnIdentity(),
                **more,
            ),
            schemas or Schemas(),
            expressions or ImmediateChecker(),
        )


def entry(**more: Any) -> dict[str, Any]:
    """An entry of ``spec.data`` that a store authenticates for."""
    return {"key": "db", "name": "password", "secretStoreRef": {"name": "store"}, **more}


def account(name: str = "reader", *, namespace: str = "ns", **annotations: str) -> ServiceAccount:
    """A ServiceAccount; ``role`` and ``allows`` are its annotations."""
    names = {
        "role": "ack.alibabacloud.com/role-arn",
        "allows": "secret-sync.alibabacloud.com/allow-namespaces",
    }
    return ServiceAccount.from_metadata(
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-of-{name}",
                "resourceVersion": "1",
                "annotations": {names[k]: v for k, v in annotations.items()},
            }
        }
    )


def cluster_store(
    name: str, *conditions: dict[str, Any], auth: dict[str, Any] | None = None
) -> SecretStore:
    """A ClusterSecretStore; ``conditions`` and ``auth`` are of its spec."""
    metadata = {"name": name, "uid": "u", "resourceVersion": "1", "generation": 1}
    spec = {"conditions": list(conditions), "KMS": {"KMSAuth": auth or {}}}
    return SecretStore.from_dict({"metadata": metadata, "spec": spec})
