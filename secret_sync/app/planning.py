"""What the planner is built from: what is watched and what is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.controller.external_secret.planner import Endpoints
from secret_sync.controller.external_secret.planning import PlanningObjects, PlanningRules
from secret_sync.controller.store.identity import IdentityDependencies, Policy
from secret_sync.kube import ServiceAccountTokenMinter, SingleSecretReader

if TYPE_CHECKING:
    from secret_sync.app.watched import Capabilities, Watched
    from secret_sync.cloud.metadata import MetadataService
    from secret_sync.credentials import Sts
    from secret_sync.kube import KubeClient
    from secret_sync.settings import Settings


def planning_objects(watched: Watched, capabilities: Capabilities) -> PlanningObjects:
    """Return the stores of the informers."""
    return PlanningObjects(
        stores=watched.secret_stores.store,
        cluster_stores=watched.cluster_stores.store,
        secrets=watched.secrets.store,
        service_accounts=watched.service_accounts.store,
        namespaces=watched.namespaces.store,
        no_cluster_stores=capabilities.cluster_stores,
        no_namespaces=capabilities.namespaces,
    )


def planning_rules(settings: Settings) -> PlanningRules:
    """Return what the flags set."""
    return PlanningRules(
        polling_interval=None if settings.disable_polling else settings.polling_interval,
        region=settings.region,
        endpoints=Endpoints(
            settings.kms_endpoint, settings.oos_endpoint, EndpointRules(settings.allow_kms_endpoint)
        ),
        cross_namespace_stores=settings.enable_cross_namespace_secret_store,
        cross_namespace_auth=settings.enable_cross_namespace_auth_ref,
        policy=Policy(
            worker_role=settings.enable_worker_role,
            namespaces=settings.controller_identity_namespaces,
            roles=settings.allow_role_arn,
        ),
    )


def identity_dependencies(
    settings: Settings,
    client: KubeClient,
    capabilities: Capabilities,
    sts: Sts,
    metadata: MetadataService,
) -> IdentityDependencies:
    """Return what identities are made of."""
    return IdentityDependencies(
        reader=SingleSecretReader(client),
        minter=ServiceAccountTokenMinter(client),
        sts=sts,
        metadata=metadata,
        own=settings.own,
        account=settings.uid,
        cluster=settings.cluster_id,
        user=capabilities.user,
        token_user=capabilities.token_user,
    )
