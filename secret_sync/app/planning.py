"""How references, stores and entries come to a plan: built from what is watched and set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.controller.external_secret.planner import Endpoints, Planner
from secret_sync.controller.store.identity import IdentityDependencies, IdentityResolver, Policy
from secret_sync.controller.store.references import Admission, AuthReferences, StoreReferences
from secret_sync.kube import ServiceAccountTokenMinter, SingleSecretReader

if TYPE_CHECKING:
    from secret_sync.app.watched import Capabilities, Watched
    from secret_sync.cloud.metadata import MetadataService
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.expressions import ExpressionChecker
    from secret_sync.credentials import Sts
    from secret_sync.kube import KubeClient
    from secret_sync.settings import Settings


def make_identities(
    settings: Settings,
    client: KubeClient,
    watched: Watched,
    capabilities: Capabilities,
    sts: Sts,
    metadata: MetadataService,
) -> IdentityResolver:
    """Who is who, by the references of stores."""
    return IdentityResolver(
        AuthReferences(
            watched.secrets.store,
            watched.service_accounts.store,
            settings.enable_cross_namespace_auth_ref,
        ),
        IdentityDependencies(
            reader=SingleSecretReader(client),
            minter=ServiceAccountTokenMinter(client),
            sts=sts,
            metadata=metadata,
            own=settings.own,
            account=settings.uid,
            cluster=settings.cluster_id,
            user=capabilities.user,
            token_user=capabilities.token_user,
        ),
        Policy(
            worker_role=settings.enable_worker_role,
            namespaces=settings.controller_identity_namespaces,
            roles=settings.allow_role_arn,
        ),
    )


def make_planner(
    settings: Settings,
    watched: Watched,
    capabilities: Capabilities,
    schemas: Schemas,
    identities: IdentityResolver,
    expressions: ExpressionChecker,
) -> Planner:
    """Build the planner: what to fetch for an ExternalSecret, and from where."""
    return Planner(
        stores=StoreReferences(
            watched.secret_stores.store,
            watched.cluster_stores.store,
            Admission(watched.namespaces.store, unknown=capabilities.namespaces),
            cross_namespace=settings.enable_cross_namespace_secret_store,
            no_cluster_stores=capabilities.cluster_stores,
        ),
        identities=identities,
        polling_interval=None if settings.disable_polling else settings.polling_interval,
        region=settings.region,
        endpoints=Endpoints(
            settings.kms_endpoint,
            settings.oos_endpoint,
            EndpointRules(settings.allow_kms_endpoint),
        ),
        schemas=schemas,
        expressions=expressions,
    )
