"""What the controller's parts talk to, played: Events that are remembered, finalizers that go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from secret_sync.errors import SecretSyncError
    from secret_sync.kube import About, EventType, Resource


class Event(NamedTuple):
    """One that was recorded."""

    about: About
    type: str
    reason: str
    message: str


@dataclass
class Events:
    """Remembers Events."""

    told: list[Event] = field(default_factory=list)

    def record(self, about: About, type_: EventType, reason: str, message: str) -> None:
        self.told.append(Event(about, type_, reason, message))

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.told]

    def take(self) -> list[tuple[str, str, str]]:
        """Type, reason and message of those since the last time."""
        taken = [event[1:] for event in self.told]
        self.told.clear()
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
