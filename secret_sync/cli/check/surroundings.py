"""A cluster made of the files, in which the controller's own rooms are asked.

What the files do not hold is taken for right: of a store that is not among them nothing is known,
so nothing can be wrong with it. Whether a reference is allowed is judged as far as it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cloud.endpoints import DOCUMENTED_ONLY
from secret_sync.controller.admission import Admission
from secret_sync.controller.expressions import ImmediateChecker
from secret_sync.controller.identity import IdentityResolver, Means, Policy
from secret_sync.controller.plan import Endpoints, Planner
from secret_sync.controller.references import EVERYBODY, AuthReferences
from secret_sync.controller.schemas import Schemas
from secret_sync.kube import Store, key_of
from secret_sync.resources import ForeignSecret, Namespace, SecretStore, ServiceAccount
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION, ROLE_ARN_ANNOTATION
from secret_sync.resources.secret_store import CLUSTER_KIND, KIND
from secret_sync.settings import OwnIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.cloud.endpoints import EndpointRules
    from secret_sync.resources import ExternalSecret, SecretMeta, StoreRef

#: Where the controller would be; only a key without a region needs one.
_REGION: Final = "cn-hangzhou"
#: Stands for half of an AccessKey whose value is not looked at.
_SOME_KEY: Final = b"LTAI0000000000000000"
_SOME_ROLE: Final = "acs:ram::0:role/some"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator of the controller decides.

    Attributes:
        allowed: Hosts that objects may name beside the documented ones.
        cross_stores: Whether stores of other namespaces may be used.
        cross_auth: Whether stores may refer to Secrets and ServiceAccounts of other namespaces.
    """

    allowed: EndpointRules = DOCUMENTED_ONLY
    cross_stores: bool = False
    cross_auth: bool = False


class _KeysOfFiles:
    """Reads Secrets of the files; of any other it has every key."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, bytes]] = {}

    async def read(self, namespace: str, name: str, **_: str) -> Mapping[str, bytes]:
        found = self.secrets.get(object_key(namespace, name))
        return _EveryKey() if found is None else found


class _EveryKey(dict[str, bytes]):
    def get(self, _key: str, _default: Any = None) -> bytes:
        return _SOME_KEY


class _Unused:
    """Stands for what only a call would use."""

    hosts = ("sts.aliyuncs.com",)
    endpoint = ""

    async def mint(self, *_: Any) -> str:
        raise AssertionError("what is checked offline makes no token")


class Surroundings:
    """The cluster, and what the controller makes of objects in it.

    Attributes:
        namespaces: Those whose labels are known.
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
        self.identities = IdentityResolver(
            AuthReferences(self._secrets, self._accounts, rules.cross_auth),
            Means(
                reader=self._reader,
                minter=unused,
                sts=unused,
                metadata=unused,
                own=OwnIdentity(),
                # So that nothing is missing that only the controller's flags say.
                account="0",
                cluster="some",
            ),
            Policy(),
        )
        self.planner = Planner(
            stores=self._stores,
            cluster_stores=self._cluster_stores,
            no_cluster_stores="",
            admission=Admission(self.namespaces),
            identities=self.identities,
            polling_interval=120.0,
            region=_REGION,
            endpoints=Endpoints(allowed=rules.allowed),
            schemas=Schemas(),
            cross_namespace=rules.cross_stores,
            expressions=ImmediateChecker(),
        )

    def add_neighbour(self, value: dict[str, Any]) -> None:
        """A Secret, ServiceAccount or Namespace."""
        match value["kind"]:
            case "Namespace":
                namespace = Namespace.from_metadata(value)
                self.namespaces.put(key_of(namespace), namespace)
            case "ServiceAccount":
                account = ServiceAccount.from_metadata(value)
                self._accounts.put(key_of(account), account)
            case _:
                metadata = value["metadata"]
                allows = metadata["annotations"].get(ALLOW_NAMESPACES_ANNOTATION, "")
                secret = _secret(metadata["namespace"], metadata["name"], allows)
                self._secrets.put(key_of(secret), secret)
                keys = _keys(value)
                # Without any, somebody else is to fill it.
                if keys:
                    self._reader.secrets[key_of(secret)] = keys

    def add_store(self, store: SecretStore) -> None:
        """A store of the files."""
        place = self._stores if store.namespace else self._cluster_stores
        place.put(key_of(store), store)

    def store_of(self, es: ExternalSecret, ref: StoreRef) -> SecretStore | None:
        """The store that an entry refers to, if it is known."""
        if ref.kind == CLUSTER_KIND:
            return self._cluster_stores.get(ref.name)
        return self._stores.get(object_key(ref.namespace or es.namespace, ref.name))

    def assume_store(self, es: ExternalSecret, ref: StoreRef) -> bool:
        """Puts a store in place that is not among the files; tells whether that was needed.

        It may be used from anywhere and has an identity for either service.
        """
        if not ref.name or ref.kind not in (KIND, CLUSTER_KIND) or self.store_of(es, ref):
            return False
        namespace = "" if ref.kind == CLUSTER_KIND else ref.namespace or es.namespace
        store = some_store(namespace, ref.name)
        self._assumed.add(key_of(store))
        self.add_store(store)
        return True

    def is_assumed(self, es: ExternalSecret, ref: StoreRef) -> bool:
        """Whether a store is none of the files."""
        store = self.store_of(es, ref)
        return store is not None and key_of(store) in self._assumed

    def assume_references(self, store: SecretStore) -> list[tuple[str, str]]:
        """Puts in place what a store refers to and the files do not hold.

        Returns:
            What of that is in another namespace: its kind, and where it is.
        """
        foreign = []
        for auth in filter(None, (store.kms, store.oos)):
            for ref in filter(None, (auth.access_key, auth.access_key_secret)):
                namespace = ref.namespace or store.namespace
                secret = _secret(namespace, ref.name, EVERYBODY)
                if namespace and ref.name and self._secrets.get(key_of(secret)) is None:
                    self._secrets.put(key_of(secret), secret)
                    foreign += [("Secret", key_of(secret))] if namespace != store.namespace else []
            who = auth.service_account
            if who is None or not (who.name and (who.namespace or store.namespace)):
                continue
            account = _account(who.namespace or store.namespace, who.name, auth.role_arn)
            if self._accounts.get(key_of(account)) is None:
                self._accounts.put(key_of(account), account)
                away = account.namespace != store.namespace
                foreign += [("ServiceAccount", key_of(account))] if away else []
        return foreign


def some_store(namespace: str, name: str) -> SecretStore:
    """A store of which nothing is known; the controller finds nothing wrong with it."""
    return SecretStore.from_dict(
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-of-{name}",
                "resourceVersion": "1",
                "annotations": {ALLOW_NAMESPACES_ANNOTATION: EVERYBODY},
            },
            "spec": {"KMS": {"KMSAuth": {}}, "OOS": {"OOSAuth": {}}},
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
    """The keys of a Secret; of the values only whether they are empty.

    What stands in a file is often a stand-in for the value, or an encrypted one.
    """
    found: dict[str, bytes] = {}
    for block in ("data", "stringData"):
        written = value.get(block)
        if isinstance(written, dict):
            found |= {key: _SOME_KEY if text else b"" for key, text in written.items()}
    return found
