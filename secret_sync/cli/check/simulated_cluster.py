"""A cluster simulated from the files, for the controller's own planner and resolver.

Objects that are not in the files are assumed to be valid. References are checked as far as the
files allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cloud.endpoints import DOCUMENTED_ONLY
from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.expressions import ImmediateChecker
from secret_sync.controller.external_secret.planner import Endpoints
from secret_sync.controller.external_secret.planning import (
    PlanningObjects,
    PlanningRules,
    build_planner,
)
from secret_sync.controller.store.identity import IdentityDependencies
from secret_sync.controller.store.references import EVERYBODY
from secret_sync.kube import Store, key_of
from secret_sync.resources import ForeignSecret, Namespace, SecretStore, ServiceAccount
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION, ROLE_ARN_ANNOTATION
from secret_sync.resources.secret_store import BLOCKS, CLUSTER_KIND, KIND
from secret_sync.settings import OwnIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.cloud.endpoints import EndpointRules
    from secret_sync.resources import ExternalSecret, SecretMeta, StoreRef

#: The region of the controller; only a key without a region needs one.
_REGION: Final = "cn-hangzhou"
#: In place of a part of an AccessKey, whose value is not checked.
_SOME_KEY: Final = b"LTAI0000000000000000"
_SOME_ROLE: Final = "acs:ram::0:role/some"


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the controller.

    Attributes:
        allowed: Hosts that objects may name besides the documented ones.
        cross_stores: Whether stores of other namespaces may be used.
        cross_auth: Whether stores may refer to Secrets and ServiceAccounts of other namespaces.
    """

    allowed: EndpointRules = DOCUMENTED_ONLY
    cross_stores: bool = False
    cross_auth: bool = False


class _KeysOfFiles:
    """Reads Secrets of the files; any other Secret has every key."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, bytes]] = {}

    async def read(self, namespace: str, name: str, **_: str) -> Mapping[str, bytes]:
        found = self.secrets.get(object_key(namespace, name))
        return _EveryKey() if found is None else found


class _EveryKey(dict[str, bytes]):
    def get(self, _key: str, _default: Any = None) -> bytes:
        return _SOME_KEY


class _Unused:
    """A dependency that only calls would use."""

    hosts = ("sts.aliyuncs.com",)
    endpoint = ""

    async def mint(self, *_: Any) -> str:
        raise AssertionError("the offline check requests no token")


class SimulatedCluster:
    """The simulated cluster, with the controller's planner and resolver.

    Attributes:
        namespaces: The namespaces whose labels are known.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.namespaces: Store[Namespace] = Store()
        self._stores: Store[SecretStore] = Store()
        self._cluster_stores: Store[SecretStore] = Store()
        self._secrets: Store[SecretMeta] = Store()
        self._accounts: Store[ServiceAccount] = Store()
        self._assumed: set[str] = set()
        self._reader = _KeysOfFiles()
        unused: Any = _Unused()
        dependencies = IdentityDependencies(
            reader=self._reader,
            minter=unused,
            sts=unused,
            metadata=unused,
            own=OwnIdentity(),
            # Known from the controller's flags only.
            account="0",
            cluster="some",
        )
        self.planner = build_planner(
            PlanningObjects(
                self._stores, self._cluster_stores, self._secrets, self._accounts, self.namespaces
            ),
            PlanningRules(
                polling_interval=120.0,
                region=_REGION,
                endpoints=Endpoints(allowed=rules.allowed),
                cross_namespace_stores=rules.cross_stores,
                cross_namespace_auth=rules.cross_auth,
            ),
            dependencies,
            Schemas(),
            ImmediateChecker(),
        )
        self.identities = self.planner.identities

    def add_referenced(self, value: dict[str, Any]) -> None:
        """Add a Secret, ServiceAccount or Namespace of the files."""
        match value["kind"]:
            case "Namespace":
                namespace = Namespace.from_metadata(value)
                self.namespaces.put(key_of(namespace), namespace)
            case "ServiceAccount":
                account = ServiceAccount.from_metadata(value)
                self._accounts.put(key_of(account), account)
            case "Secret":
                metadata = value["metadata"]
                allows = metadata["annotations"].get(ALLOW_NAMESPACES_ANNOTATION, "")
                secret = _secret(metadata["namespace"], metadata["name"], allows)
                self._secrets.put(key_of(secret), secret)
                keys = _keys(value)
                # A Secret without keys is filled by another tool.
                if keys:
                    self._reader.secrets[key_of(secret)] = keys

    def add_store(self, store: SecretStore) -> None:
        """Add a store of the files."""
        place = self._stores if store.namespace else self._cluster_stores
        place.put(key_of(store), store)

    def store_of(self, es: ExternalSecret, ref: StoreRef) -> SecretStore | None:
        """Return the store that an entry refers to, if it is known."""
        if ref.kind == CLUSTER_KIND:
            return self._cluster_stores.get(ref.name)
        return self._stores.get(object_key(ref.namespace or es.namespace, ref.name))

    def assume_store(self, es: ExternalSecret, ref: StoreRef) -> bool:
        """Add a store that is not in the files; return whether that was necessary.

        Every namespace may use it, and it has an identity for both services.
        """
        if not ref.name or ref.kind not in (KIND, CLUSTER_KIND) or self.store_of(es, ref):
            return False
        namespace = "" if ref.kind == CLUSTER_KIND else ref.namespace or es.namespace
        store = some_store(namespace, ref.name)
        self._assumed.add(key_of(store))
        self.add_store(store)
        return True

    def is_assumed(self, es: ExternalSecret, ref: StoreRef) -> bool:
        """Return whether a store is not in the files."""
        store = self.store_of(es, ref)
        return store is not None and key_of(store) in self._assumed

    def assume_references(self, store: SecretStore) -> list[tuple[str, str]]:
        """Add objects that a store refers to and that are not in the files.

        Returns:
            Those in another namespace: kind and key of each.
        """
        foreign = []
        for auth in store.auths.values():
            for ref in filter(None, (auth.access_key, auth.access_key_secret)):
                namespace = ref.namespace or store.namespace
                secret = _secret(namespace, ref.name, EVERYBODY)
                if namespace and ref.name and self._secrets.get(key_of(secret)) is None:
                    self._secrets.put(key_of(secret), secret)
                    foreign += [("Secret", key_of(secret))] if namespace != store.namespace else []
            sa = auth.service_account
            if sa is None or not (sa.name and (sa.namespace or store.namespace)):
                continue
            account = _account(sa.namespace or store.namespace, sa.name, auth.role_arn)
            if self._accounts.get(key_of(account)) is None:
                self._accounts.put(key_of(account), account)
                away = account.namespace != store.namespace
                foreign += [("ServiceAccount", key_of(account))] if away else []
        return foreign


def some_store(namespace: str, name: str) -> SecretStore:
    """Return a valid store of which only the name is known."""
    return SecretStore.from_dict(
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-of-{name}",
                "resourceVersion": "1",
                "annotations": {ALLOW_NAMESPACES_ANNOTATION: EVERYBODY},
            },
            "spec": {block: {auth: {}} for _, block, auth in BLOCKS.values()},
        }
    )


def _secret(namespace: str, name: str, allows: str) -> ForeignSecret:
    return ForeignSecret(namespace, name, f"uid-of-{name}", "1", allows)


def _account(namespace: str, name: str, role: str) -> ServiceAccount:
    return ServiceAccount.from_metadata(
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-of-{name}",
                "resourceVersion": "1",
                "annotations": {
                    ALLOW_NAMESPACES_ANNOTATION: EVERYBODY,
                    ROLE_ARN_ANNOTATION: role or _SOME_ROLE,
                },
            }
        }
    )


def _keys(value: dict[str, Any]) -> dict[str, bytes]:
    """Return the keys of a Secret; the values only show whether they are empty.

    In a file the value is often a placeholder, or encrypted.
    """
    found: dict[str, bytes] = {}
    for block in ("data", "stringData"):
        written = value.get(block)
        if isinstance(written, dict):
            found |= {key: _SOME_KEY if text else b"" for key, text in written.items()}
    return found
