"""Everything that is watched."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secret_sync.controller import kinds
from secret_sync.controller.crd_schema import definition_of
from secret_sync.controller.event_handlers import (
    BY_CLUSTER_SCOPE,
    BY_SECRET,
    BY_SERVICE_ACCOUNT,
    BY_STORE,
    BY_TEMPLATE,
    templates_of,
)
from secret_sync.controller.external_secret.planner import cluster_scope_of, stores_of
from secret_sync.controller.secret_target.cleanup import BY_WRITER, writers_of
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.store.references import secrets_of, service_accounts_of
from secret_sync.controller.sync import count_by_ready
from secret_sync.kube import (
    ALL_NAMESPACES,
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Informer,
    WatchedNamespaces,
)
from secret_sync.metrics import ReflectorMetrics
from secret_sync.resources import (
    ConfigMap,
    Definition,
    ExternalSecret,
    Namespace,
    SecretStore,
    ServiceAccount,
    secret_from_metadata,
)
from secret_sync.resources.external_secret import (
    BY_CLUSTER_CONTROLLER,
    BY_WORKLOAD,
    cluster_controller_of,
    workloads_of,
)
from secret_sync.resources.meta import ObjectMeta
from secret_sync.resources.template import CONFIG_MAP, template_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from secret_sync.kube import KubeClient, Resource
    from secret_sync.metrics import Metrics
    from secret_sync.resources import SecretMeta
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret
    from secret_sync.settings import Settings

T = TypeVar("T", bound=ObjectMeta)


#: The answer of the readiness probe before the first lists are complete.
NOT_IN_SYNC: Final = "caches are not in sync yet"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the API server permits us to use.

    Attributes:
        without_rights: Watched namespaces in which nothing is permitted.
        cluster_stores: Why ClusterSecretStores are not watched; ``""`` if they are.
        namespaces: The same of namespaces.
        definitions: The same of CRDs.
        user: Our user name; ``""`` if unknown.
        token_user: The user whose token is used to assume roles; ``""`` if there is none.
    """

    without_rights: tuple[str, ...] = ()
    cluster_stores: str = ""
    namespaces: str = ""
    definitions: str = ""
    user: str = ""
    token_user: str = ""


class Watched:
    """The informers of all kinds."""

    def __init__(
        self, client: KubeClient, settings: Settings, metrics: Metrics, capabilities: Capabilities
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._scope = WatchedNamespaces(
            settings.watch_namespaces, settings.exclude_namespaces, capabilities.without_rights
        )
        objects = {
            BY_STORE: stores_of,
            BY_CLUSTER_SCOPE: cluster_scope_of,
            BY_TEMPLATE: templates_of,
            BY_CLUSTER_CONTROLLER: cluster_controller_of,
            BY_WORKLOAD: workloads_of,
            **INDEXES,
        }
        stores = {BY_SECRET: secrets_of, BY_SERVICE_ACCOUNT: service_accounts_of}
        writers = {BY_WRITER: writers_of}
        self.external_secrets = self._informer(
            kinds.EXTERNAL_SECRETS, ExternalSecret.from_dict, objects, renew=ExternalSecret.renewed
        )
        self.secret_stores = self._informer(kinds.SECRET_STORES, SecretStore.from_dict, stores)
        self.cluster_stores = self._informer(
            kinds.CLUSTER_SECRET_STORES, SecretStore.from_dict, stores
        )
        self.secrets: Informer[SecretMeta] = self._metadata(SECRETS, secret_from_metadata, writers)
        self.service_accounts = self._metadata(SERVICE_ACCOUNTS, ServiceAccount.from_metadata)
        self.namespaces = self._metadata(NAMESPACES, Namespace.from_metadata)
        #: Those with templates, once an object refers to one.
        self.config_maps: Informer[ConfigMap] = self._metadata(CONFIG_MAPS, self._config_map)
        self._templates_used = asyncio.Event()
        self.definitions = self._metadata(CUSTOM_RESOURCE_DEFINITIONS, Definition.from_metadata)
        #: Only of a leader, and only once the kind is installed.
        self.cluster_external_secrets: Informer[ClusterExternalSecret] | None = None
        self._running: dict[str, Informer[Any]] = {
            "secrets": self.secrets,
            "service accounts": self.service_accounts,
            "secret stores": self.secret_stores,
            "external secrets": self.external_secrets,
        }
        if not capabilities.cluster_stores:
            self._running["cluster secret stores"] = self.cluster_stores
        if not capabilities.namespaces:
            self._running["namespaces"] = self.namespaces
        if not capabilities.definitions:
            self._running["definitions"] = self.definitions
        metrics.read(
            "namespaces_missing",
            "Namespaces to be watched that cannot be listed: deleted, or without our rights.",
            lambda: len(self.missing_namespaces),
        )

    def watch_config_maps(self) -> None:
        """Watch ConfigMaps from now on: an object refers to one."""
        self._templates_used.set()

    async def run_config_maps(self) -> None:
        """Watch ConfigMaps once that is needed, until cancelled."""
        await self._templates_used.wait()
        await self.config_maps.run()

    def _config_map(self, value: dict[str, Any]) -> ConfigMap | None:
        """Read a ConfigMap, unless nothing refers to it."""
        found = ConfigMap.from_metadata(value)
        key = template_key(CONFIG_MAP, found.namespace, found.name)
        return found if self.external_secrets.store.by_index(BY_TEMPLATE, key) else None

    async def relist(self, definition: str) -> None:
        """List the objects of one of our CRDs again."""
        informer = self._defined_by(definition)
        if informer is not None:
            await informer.relist()

    def watch_cluster_external_secrets(
        self,
        convert: Callable[[dict[str, Any]], ClusterExternalSecret],
        indexes: Mapping[str, Callable[[ClusterExternalSecret], tuple[str, ...]]],
    ) -> Informer[ClusterExternalSecret]:
        """Return the informer of the kind that is installed last; its caller runs it."""
        informer = self._informer(kinds.CLUSTER_EXTERNAL_SECRETS, convert, indexes)
        self.cluster_external_secrets = informer
        return informer

    def ready_counts(self) -> dict[str, dict[tuple[str, str], int]]:
        """Return the numbers of our objects by kind and condition; visits each of them."""
        ours: dict[str, Informer[Any]] = {
            kinds.EXTERNAL_SECRETS.kind: self.external_secrets,
            kinds.SECRET_STORES.kind: self.secret_stores,
            kinds.CLUSTER_SECRET_STORES.kind: self.cluster_stores,
        }
        if self.cluster_external_secrets is not None:
            ours[kinds.CLUSTER_EXTERNAL_SECRETS.kind] = self.cluster_external_secrets
        return {kind: count_by_ready(informer.store.values()) for kind, informer in ours.items()}

    def held(self, definition: str) -> Collection[Any]:
        """Return the known objects of one of our CRDs."""
        informer = self._defined_by(definition)
        return informer.store.values() if informer is not None else ()

    def _defined_by(self, definition: str) -> Informer[Any] | None:
        """Return the informer of one of our CRDs, if it runs."""
        ours: dict[str, Informer[Any] | None] = {
            definition_of(kinds.EXTERNAL_SECRETS): self.external_secrets,
            definition_of(kinds.SECRET_STORES): self.secret_stores,
            definition_of(kinds.CLUSTER_SECRET_STORES): self._running.get("cluster secret stores"),
            definition_of(kinds.CLUSTER_EXTERNAL_SECRETS): self.cluster_external_secrets,
        }
        return ours[definition]

    @property
    def running(self) -> dict[str, Informer[Any]]:
        """Those that can be run, by what to call them; the others stay empty."""
        return self._running

    @property
    def missing_namespaces(self) -> frozenset[str]:
        """Namespaces, of those to be watched, of which nothing may be listed: deleted, maybe."""
        refused = [informer.refused for informer in self._running.values() if informer.namespaced]
        return frozenset.intersection(*refused) - {""}

    @property
    def unready(self) -> str:
        """Why what is known may be old: not listed yet, or never watched; ``""`` if it is not.

        One without a watch is listed now and then, which must not be taken for the whole.
        """
        if not all(informer.synced for informer in self._running.values()):
            return NOT_IN_SYNC
        unopened = [name for name, informer in self._running.items() if informer.unopened]
        if not unopened:
            return ""
        return (
            f"no watch of {', '.join(unopened)} has opened yet, so changes are seen minutes late; "
            "is there a proxy before the API server that buffers?"
        )

    async def wait_synced(self) -> None:
        """Wait for all initial lists.

        Raises:
            TransientError: One took too long.
        """
        for informer in self._running.values():
            await informer.wait_synced()

    def catching_up(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what brings all that is known up to date; see ``Informer.catching_up``."""
        running = self._running.values()
        return {name: work for i in running for name, work in i.catching_up().items()}

    def _informer(
        self,
        resource: Resource,
        convert: Callable[[dict[str, Any]], T | None],
        indexes: Mapping[str, Callable[[T], tuple[str, ...]]] | None = None,
        *,
        renew: Callable[[T, dict[str, Any]], T | None] | None = None,
        metadata_only: bool = False,
    ) -> Informer[T]:
        """Return the informer of a kind, in the namespaces that are served."""
        return Informer(
            self._client,
            resource,
            convert,
            ReflectorMetrics(self._metrics, resource.plural),
            renew=renew,
            indexes=indexes,
            namespaces=self._scope if resource.namespaced else ALL_NAMESPACES,
            metadata_only=metadata_only,
        )

    def _metadata(
        self,
        resource: Resource,
        convert: Callable[[dict[str, Any]], T | None],
        indexes: Mapping[str, Callable[[T], tuple[str, ...]]] | None = None,
    ) -> Informer[T]:
        """Of a kind that we look at from outside only."""
        return self._informer(resource, convert, indexes, metadata_only=True)
