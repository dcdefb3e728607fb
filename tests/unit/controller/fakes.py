"""What the controller's parts talk to, played: an API server, and Events that are remembered."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.kube import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.errors import SecretSyncError
    from secret_sync.kube import About, EventType, Resource
    from secret_sync.resources import ExternalSecret, ExternalSecretStatus


class Event(NamedTuple):
    """One that was recorded."""

    about: About
    type: str
    reason: str
    message: str


@dataclass
class Events:
    """Remembers Events."""

    reported: list[Event] = field(default_factory=list)

    def record(self, about: About, type_: EventType, reason: str, message: str) -> None:
        self.reported.append(Event(about, type_, reason, message))

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.reported]

    def take(self) -> list[tuple[str, str, str]]:
        """Type, reason and message of those since the last time."""
        taken = [event[1:] for event in self.reported]
        self.reported.clear()
        return taken


@dataclass
class PlayedFinalizerWriter:
    """An API server whose objects all have the finalizer.

    Attributes:
        gone: Whether somebody else has taken it off meanwhile.
        fault: What is answered instead.
        asked: Kind, key, uid and finalizer of each request.
    """

    gone: bool = False
    fault: SecretSyncError | None = None
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def remove_finalizer(
        self, resource: Resource, namespace: str, name: str, uid: str, finalizer: str
    ) -> bool:
        self.asked.append((resource.kind, f"{namespace}/{name}", uid, finalizer))
        if self.fault is not None:
            raise self.fault
        return not self.gone


@dataclass
class Statuses:
    """Remembers what was put, and how often it was a change."""

    held: dict[str, ExternalSecretStatus] = field(default_factory=dict)
    changes: int = 0

    def known(self, key: str, obj: ExternalSecret) -> ExternalSecretStatus:
        return self.held.get(key, obj.status)

    def put(self, key: str, obj: ExternalSecret, status: ExternalSecretStatus) -> bool:
        fresh = status != self.known(key, obj)
        self.changes += fresh
        self.held[key] = status
        return fresh


@dataclass
class Observer:
    """What metrics record."""

    reported: list[tuple[str, float | None]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def synced(self, result: str, latency: float | None, line: str) -> None:
        self.reported.append((result, latency))
        self.lines.append(line)


OWNER: Final = "secret-sync.alibabacloud.com/owner"


def managed(
    manager: str, *keys: str, operation: str = "Update", mark: bool = False
) -> dict[str, Any]:
    """An entry of ``managedFields`` that owns data keys, and our mark if so said."""
    fields: dict[str, Any] = {"f:data": {f"f:{key}": {} for key in keys}} if keys else {}
    if mark:
        fields["f:metadata"] = {"f:annotations": {f"f:{OWNER}": {}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def secret(
    *entries: dict[str, Any], version: str = "20", mark: str = "", **metadata: Any
) -> dict[str, Any]:
    """The metadata of Secret ``ns/some``, as the API server answers with them."""
    return {
        "metadata": {
            "namespace": "ns",
            "name": "some",
            "uid": "secret-uid",
            "resourceVersion": version,
            "annotations": {OWNER: mark} if mark else {},
            "managedFields": list(entries),
            **metadata,
        }
    }


class SentRequest(NamedTuple):
    """A request."""

    method: str
    path: str
    manager: str
    force: bool
    body: Any

    @property
    def version(self) -> str:
        """The uid and the version that a write demands."""
        if isinstance(self.body, list):
            return "/".join(op["value"] for op in self.body[:2])
        found = self.body.get("preconditions") or self.body["metadata"]
        return f"{found['uid']}/{found['resourceVersion']}"


#: The metadata of ExternalSecrets as the played API server has them, by path; the fixture
#: ``make_es`` puts them here.
STORED: Final[dict[str, dict[str, Any]]] = {}


class PlayedClient:
    """An API server that gives the answers which were put in, one to each request.

    Who asks for the metadata of an ExternalSecret, before something irrevocable, gets them beside
    these: as the object was made, or was answered with last.

    Args:
        answers: Objects, and refusals to raise.

    Attributes:
        changed: What has become of it since, as metadata; or a refusal.
        confirmed: How often that was asked.
    """

    def __init__(self, *answers: dict[str, Any] | SecretSyncError) -> None:
        self.answers = deque(answers)
        self.sent: list[SentRequest] = []
        self.changed: dict[str, Any] | SecretSyncError = {}
        self.confirmed = 0
        self._answered: dict[str, dict[str, Any]] = {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        await asyncio.sleep(0)
        about_owner = method == "GET" and "/externalsecrets/" in path
        if about_owner and accept == METADATA:
            self.confirmed += 1
            if isinstance(self.changed, Exception):
                raise self.changed
            stored = self._answered.get(path) or STORED[path]
            return {"metadata": {**stored, **self.changed}}
        given = params or {}
        force = given.get("force") == "true"
        self.sent.append(SentRequest(method, path, given.get("fieldManager", ""), force, body))
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        if about_owner:
            self._answered[path] = answer["metadata"]
        return answer

    @property
    def methods(self) -> list[str]:
        return [sent.method for sent in self.sent]
