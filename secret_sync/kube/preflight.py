"""Checks before anything is watched: the server, the kinds, the permissions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from secret_sync.errors import DefiniteError
from secret_sync.kube.answers import Answer, objects_at, section
from secret_sync.kube.errors import ApiNotFoundError, ApiRefusedError, ApiUnavailableError
from secret_sync.kube.resource import METADATA, METADATA_LIST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.resource import Resource

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: Seconds for which an API server that does not answer is waited for.
PATIENCE: Final = 30.0
BETWEEN: Final = 2.0
#: Requests at the same time: for each a connection is made, which takes as long as two requests.
_TOGETHER: Final = 8
_FORBIDDEN: Final = 403
_WHO_AM_I: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class RequiredPermission:
    """A permission that a feature needs.

    Attributes:
        subresource: ``status``, say; ``""`` for the object itself.
        name: The one object it is about, as a rule's ``resourceNames`` has it; ``""`` for all.
    """

    resource: Resource
    verbs: tuple[str, ...]
    subresource: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return it as in a rule."""
        what = f"{self.resource.plural}/{self.subresource}".rstrip("/")
        what = f"{what}.{self.resource.group}" if self.resource.group else what
        return f"{what} {self.name}" if self.name else what


class Preflight:
    """Asks the API server what there is and what is permitted; for the start only."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._gate = asyncio.Semaphore(_TOGETHER)
        # The plurals of each group and version, which is asked for once; ``None`` if unknown.
        self._kinds: dict[str, list[Any] | None] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def check(
        self, needs: Sequence[RequiredPermission], *, namespaces: Sequence[str], hint: str
    ) -> tuple[str, ...]:
        """Check that the server answers, serves the kinds, and grants the permissions.

        The deletion of a namespace removes its Roles, which must not affect the other namespaces.

        Args:
            needs: What is used.
            namespaces: Where; empty for all.
            hint: What to do where a kind is missing.

        Returns:
            Those of the namespaces in which nothing is granted, where others have all that is
            needed.

        Raises:
            ApiUnavailableError: The server did not answer in time.
            DefiniteError: One line that says what is missing.
        """
        for resource in dict.fromkeys(n.resource for n in needs):
            await self._known(resource, hint)
        placed = [need for need in needs if need.resource.namespaced]
        missing = await self._missing([need for need in needs if need not in placed], ())
        places = tuple(dict.fromkeys(namespaces or ("",)))
        denied = dict(
            zip(
                places,
                await asyncio.gather(*(self._missing(placed, (place,)) for place in places)),
                strict=True,
            )
        )
        questions = sum(len(self._verbs(need)) for need in placed)
        without = tuple(place for place, some in denied.items() if 0 < len(some) == questions)
        for place, some in denied.items():
            if place not in without or len(without) == len(denied):
                missing += some
        if missing:
            role = "Role" if namespaces else "ClusterRole"
            raise DefiniteError(
                f"RBAC does not allow this controller to {', '.join(missing)}; "
                f"add that to its {role}"
            )
        return without

    async def missing_permission(
        self, *needs: RequiredPermission, namespaces: Sequence[str] = ()
    ) -> str:
        """Return why something that is useful but optional is not permitted; ``""`` if it is.

        Args:
            needs: What it takes.
            namespaces: Where; empty for all, or for what has none.

        Raises:
            ApiUnavailableError: The server did not answer.
        """
        for need in needs:
            try:
                await self._known(need.resource, "")
            except DefiniteError:
                return f"the API server does not know {need.resource.plural}"
        missing = await self._missing(needs, namespaces)
        return f"RBAC does not allow this controller to {', '.join(missing)}" if missing else ""

    async def who_am_i(self) -> str:
        """Return our user name at the API server; ``""`` before Kubernetes 1.28.

        A client that only reads may not ask; it knows the user whose token it has.

        Raises:
            ApiUnavailableError: The server did not answer.
        """
        if self._client.read_only:
            return self._client.token_user
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}

        def read(reply: dict[str, Any]) -> str:
            status = section(reply, "status", _WHO_AM_I)
            user = section(status, "userInfo", _WHO_AM_I).get("username")
            return user if isinstance(user, str) else ""

        try:
            return await self._ask(read, _WHO_AM_I, body)
        except ApiRefusedError:
            return ""

    def _verbs(self, need: RequiredPermission) -> tuple[str, ...]:
        """Return the verbs to ask about: a client that only reads tries those that it can try."""
        if not self._client.read_only:
            return need.verbs
        return tuple(v for v in need.verbs if v == "list" or (v == "get" and need.name))

    async def _missing(
        self, needs: Sequence[RequiredPermission], namespaces: Sequence[str]
    ) -> list[str]:
        denied = await asyncio.gather(
            *(
                self._denied(need, verb, namespace)
                for need in needs
                for verb in self._verbs(need)
                for namespace in (namespaces if need.resource.namespaced and namespaces else ("",))
            )
        )
        return [d for d in denied if d]

    async def _known(self, resource: Resource, hint: str) -> None:
        group = f"/apis/{resource.group}" if resource.group else "/api"
        path = f"{group}/{resource.version}"

        def read(reply: dict[str, Any]) -> list[Any]:
            return [r.get("name") for r in objects_at(reply, "resources", path)]

        async with self._asking[path]:
            if path not in self._kinds:
                try:
                    self._kinds[path] = await self._ask(read, path)
                except ApiNotFoundError:
                    self._kinds[path] = None
        known = self._kinds[path]
        if known is None:
            raise DefiniteError(f"the API server does not know {path}; {hint}")
        if resource.plural not in known:
            raise DefiniteError(f"the API server does not know {resource.plural}; {hint}")

    async def _denied(self, need: RequiredPermission, verb: str, namespace: str) -> str:
        tried = self._try if self._client.read_only else self._review
        if await tried(need, verb, namespace):
            return ""
        return f"{verb} {need}" + (f" in namespace {namespace}" if namespace else "")

    async def _try(self, need: RequiredPermission, verb: str, namespace: str) -> bool:
        """Return whether a request is permitted, by making it: a review is a create."""
        path = need.resource.path(namespace, need.name)
        accept = METADATA if verb == "get" else METADATA_LIST

        async def once() -> None:
            await self._client.request(
                "GET", path, params={"limit": "1"}, accept=accept, expected=Answer.ANY
            )

        try:
            async with self._gate:
                await retry_until_available(once)
        except ApiRefusedError as error:
            return error.status != _FORBIDDEN
        return True

    async def _review(self, need: RequiredPermission, verb: str, namespace: str) -> bool:
        attributes = {
            "group": need.resource.group,
            "resource": need.resource.plural,
            "subresource": need.subresource,
            "name": need.name,
            "verb": verb,
            "namespace": namespace,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }

        def read(reply: dict[str, Any]) -> bool:
            return bool(section(reply, "status", _REVIEWS).get("allowed"))

        try:
            return await self._ask(read, _REVIEWS, body)
        except ApiRefusedError:
            # Without permission to ask, the request itself will show it.
            return True

    async def _ask(self, read: Callable[[dict[str, Any]], T], path: str, review: Any = None) -> T:
        """Return what a document, or the answer to a review, says."""
        request = self._client.request

        async def once() -> T:
            if review is None:
                reply = await request("GET", path, expected=Answer.ANY)
            else:
                reply = await request("POST", path, body=review, expected=Answer.ANY)
            return read(reply)

        # Waiting for others is not waiting for the API server.
        async with self._gate:
            return await retry_until_available(once)


async def retry_until_available(ask: Callable[[], Awaitable[T]]) -> T:
    """Retry while the server does not answer, for half a minute.

    Args:
        ask: One request.

    Raises:
        ApiUnavailableError: The server did not answer in time.
        ApiError: It refused.
    """
    loop = asyncio.get_running_loop()
    began, logged = loop.time(), False
    while True:
        try:
            return await ask()
        except ApiUnavailableError as error:
            if loop.time() - began > PATIENCE:
                raise
            if not logged:
                _log.warning("API server does not answer, will retry", error=error.message)
            logged = True
            await asyncio.sleep(max(BETWEEN, min(error.retry_after or 0.0, PATIENCE)))
