"""Writes children: creates, repairs, adopts and deletes ExternalSecrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from secret_sync.controller.cluster_external_secret.children import (
    ChildStep,
    configuration,
    surplus,
)
from secret_sync.controller.cluster_external_secret.matcher import selects
from secret_sync.controller.confirmation import OwnerChangedError, confirm_cluster_owner
from secret_sync.controller.crd_schema import CLUSTER_EXTERNAL_SECRETS_DEFINITION, read_missing
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.errors import SecretSyncError
from secret_sync.kube import METADATA, NAMESPACES, ApiNotFoundError, Ref, converted
from secret_sync.resources import Namespace
from secret_sync.resources.names import REPLACED_BY_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.controller.cluster_external_secret.children import ChildDecision
    from secret_sync.controller.cluster_external_secret.state import ClusterState
    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

_log = structlog.get_logger(__name__)


class ChangedByOthersError(SecretSyncError):
    """Others keep changing a child; it is not repaired before so many seconds."""

    def __init__(self, message: str, again_after: float) -> None:
        super().__init__(message)
        self.again_after = again_after


class ChildWriter:
    """Does one step in one namespace; every write carries the version that it was decided on."""

    def __init__(self, client: KubeClient, writer: ApplyWriter) -> None:
        self._client = client
        self._writer = writer

    async def take(
        self,
        ces: ClusterExternalSecret,
        namespace: Namespace,
        decision: ChildDecision,
        state: ClusterState,
    ) -> None:
        """Do the step that was decided on.

        Raises:
            ChangedByOthersError: Others keep changing the child.
            OwnerChangedError: Something irrevocable is no longer to be done.
            OutdatedError: The child has changed meanwhile.
            AlreadyExistsError: There is one by now.
            ApiError: The API server refused, or did not answer.
        """
        child = decision.subject
        if child is None:
            await self._writer.create(EXTERNAL_SECRETS, configuration(ces, namespace.name))
            _log.info("child created", child=ces.child_name)
            return
        match decision.step:
            case ChildStep.APPLY:
                await self._apply(ces, child, state)
            case ChildStep.ADOPT:
                # From then on it goes with this object.
                await confirm_cluster_owner(self._client, ces)
                await self._apply(ces, child, state)
            case ChildStep.HAND_OVER:
                patch = {"metadata": {"annotations": {REPLACED_BY_ANNOTATION: ces.child_name}}}
                await self._writer.merge(EXTERNAL_SECRETS, _ref(child), patch)
            case ChildStep.DELETE:
                await self._delete(ces, namespace, child, decision.child)

    async def _apply(
        self, ces: ClusterExternalSecret, child: ExternalSecret, state: ClusterState
    ) -> None:
        wanted = configuration(ces, child.namespace)
        self._expect_peace(ces, child, state)
        found = await self._writer.update(
            EXTERNAL_SECRETS, wanted, _ref(child), force=True, whole=True
        )
        patch: dict[str, Any] = {}
        below = surplus(found.get("spec") or {}, wanted["spec"])
        if below:
            patch["spec"] = below
        if REPLACED_BY_ANNOTATION in (found["metadata"].get("annotations") or {}):
            patch["metadata"] = {"annotations": {REPLACED_BY_ANNOTATION: None}}
        if patch:
            version = found["metadata"]["resourceVersion"]
            ref = Ref(child.namespace, child.name, child.uid, version)
            await self._writer.merge(EXTERNAL_SECRETS, ref, patch)
        _log.info("child applied", child=child.name)

    def _expect_peace(
        self, ces: ClusterExternalSecret, child: ExternalSecret, state: ClusterState
    ) -> None:
        now = asyncio.get_running_loop().time()
        left = state.repaired(child.namespace, ces.digest, now)
        if left > 0:
            raise ChangedByOthersError(
                f"others keep changing ExternalSecret {child.namespace}/{child.name}; it is "
                "repaired once a minute",
                left,
            )

    async def _delete(
        self,
        ces: ClusterExternalSecret,
        namespace: Namespace,
        child: ExternalSecret,
        successor: ExternalSecret | None,
    ) -> None:
        """Delete a child, if all that it was decided on holds at the API server.

        Its Secret may go with it, so that no cache is relied on.

        Args:
            ces: Whose child it is.
            namespace: Where it is.
            child: Which it is.
            successor: The one that replaces it; ``None`` if the namespace is not selected.
        """
        missing = await read_missing(self._client, CLUSTER_EXTERNAL_SECRETS_DEFINITION)
        # A field of the status that it lacks changes nothing that was decided on.
        if missing is None or any(not field.startswith("status.") for field in missing):
            raise OwnerChangedError("the CRD of ClusterExternalSecrets is outdated or gone")
        if successor is None:
            await self._confirm_namespace(ces, namespace)
        else:
            await self._confirm_successor(successor)
        owner = await confirm_cluster_owner(self._client, ces)
        await self._writer.delete(EXTERNAL_SECRETS, _ref(child), owner)
        _log.info("child deleted", child=child.name)

    async def _confirm_namespace(self, ces: ClusterExternalSecret, namespace: Namespace) -> None:
        path = NAMESPACES.path("", namespace.name)
        try:
            found = await self._client.request("GET", path, accept=METADATA)
        except ApiNotFoundError:
            raise OwnerChangedError(f"namespace {namespace.name} is deleted") from None
        now = converted(Namespace.from_metadata, found, path)
        if now.deleting or selects(ces, now):
            raise OwnerChangedError(f"namespace {namespace.name} has changed meanwhile")

    async def _confirm_successor(self, successor: ExternalSecret) -> None:
        where = f"ExternalSecret {successor.namespace}/{successor.name}"
        path = EXTERNAL_SECRETS.path(successor.namespace, successor.name)
        try:
            metadata = (await self._client.request("GET", path, accept=METADATA))["metadata"]
        except ApiNotFoundError:
            raise OwnerChangedError(f"{where} is deleted") from None
        if metadata["uid"] != successor.uid or metadata.get("deletionTimestamp"):
            raise OwnerChangedError(f"{where} is deleted")


def _ref(child: ExternalSecret) -> Ref:
    return Ref(child.namespace, child.name, child.uid, child.resource_version)
