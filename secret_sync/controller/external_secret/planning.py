"""Builds the planner: for the controller, for `check` and for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secret_sync.controller.external_secret.planner import Endpoints, Planner
from secret_sync.controller.store.identity import IdentityResolver, Policy
from secret_sync.controller.store.references import Admission, AuthReferences, StoreReferences

if TYPE_CHECKING:
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.expressions import ExpressionChecker
    from secret_sync.controller.store.identity import IdentityDependencies
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import Namespace, SecretMeta, SecretStore, ServiceAccount


@dataclass(frozen=True, slots=True)
class PlanningObjects:
    """The objects that plans are made from, of all watched namespaces.

    Attributes:
        secrets: By their metadata alone.
        no_cluster_stores: Why ClusterSecretStores are not known; ``""`` if they are watched.
        no_namespaces: The same of namespaces.
    """

    stores: ReadOnlyStore[SecretStore]
    cluster_stores: ReadOnlyStore[SecretStore]
    secrets: ReadOnlyStore[SecretMeta]
    service_accounts: ReadOnlyStore[ServiceAccount]
    namespaces: ReadOnlyStore[Namespace]
    no_cluster_stores: str = ""
    no_namespaces: str = ""


@dataclass(frozen=True, slots=True)
class PlanningRules:
    """What the operator has set.

    Attributes:
        polling_interval: Seconds, for objects that set none; ``None`` disables polling.
        region: For names that are not ARNs; ``""`` if unknown.
        cross_namespace_stores: Whether an ExternalSecret may use stores of other namespaces.
        cross_namespace_auth: Whether a store may refer to objects of other namespaces.
        policy: What of the controller's own identity tenants may use.
    """

    polling_interval: float | None
    region: str
    endpoints: Endpoints = field(default_factory=Endpoints)
    cross_namespace_stores: bool = False
    cross_namespace_auth: bool = False
    policy: Policy = field(default_factory=Policy)


def build_planner(
    objects: PlanningObjects,
    rules: PlanningRules,
    dependencies: IdentityDependencies,
    schemas: Schemas,
    expressions: ExpressionChecker,
) -> Planner:
    """Return a planner, with the identities of stores that it resolves."""
    references = AuthReferences(
        objects.secrets, objects.service_accounts, rules.cross_namespace_auth
    )
    return Planner(
        stores=StoreReferences(
            objects.stores,
            objects.cluster_stores,
            Admission(objects.namespaces, unknown=objects.no_namespaces),
            cross_namespace=rules.cross_namespace_stores,
            no_cluster_stores=objects.no_cluster_stores,
        ),
        identities=IdentityResolver(references, dependencies, rules.policy),
        polling_interval=rules.polling_interval,
        region=rules.region,
        endpoints=rules.endpoints,
        schemas=schemas,
        expressions=expressions,
    )
