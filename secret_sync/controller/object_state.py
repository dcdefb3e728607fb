"""What is kept of an object of any kind between two reconciles: one record for each, one forget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from secret_sync.resources.meta import StatusT

if TYPE_CHECKING:
    from collections.abc import Callable


class StatusIntent(NamedTuple, Generic[StatusT]):
    """A status that is to be written to this very object."""

    namespace: str
    name: str
    uid: str
    status: StatusT


class WrittenStatus(NamedTuple, Generic[StatusT]):
    """A status that was written, as this version of the object, at this loop time."""

    intent: StatusIntent[StatusT]
    resource_version: str
    at: float


@dataclass(slots=True)
class ObjectState(Generic[StatusT]):
    """What every kind keeps; each adds what it needs.

    Attributes:
        finalizer_removals: Loop times of the latest removals of ack-secret-manager's finalizer.
        status_intent: The status that is to be written. It may be of another object of the name.
        status_written: The one that was written and that the watch has not delivered yet.
        arriving_until: Loop time until which what a new object lacks may still arrive.
    """

    finalizer_removals: tuple[float, ...] = ()
    status_intent: StatusIntent[StatusT] | None = None
    status_written: WrittenStatus[StatusT] | None = None
    arriving_until: float = 0.0


StateT_co = TypeVar("StateT_co", bound=ObjectState[Any], covariant=True)


class ObjectStates(Generic[StateT_co]):
    """The states of all objects of one kind, by key."""

    __slots__ = ("_make", "_states")

    def __init__(self, make: Callable[[], StateT_co]) -> None:
        self._make = make
        self._states: dict[str, StateT_co] = {}

    def of(self, key: str) -> StateT_co:
        """Return the state of an object, empty at first."""
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = self._make()
        return state

    def find(self, key: str) -> StateT_co | None:
        """Return the state of an object, if anything is kept of it."""
        return self._states.get(key)

    def all(self) -> list[StateT_co]:
        """Return the states of all objects."""
        return list(self._states.values())

    def forget(self, key: str) -> None:
        """Forget an object that is gone."""
        self._states.pop(key, None)

    def is_reported(self, key: str) -> bool:
        """Return whether the informer has the latest status that was to be written."""
        state = self._states.get(key)
        return state is None or (state.status_intent is None and state.status_written is None)

    def mark_restored(self, key: str) -> None:
        """Distrust what was written: the API server went back in time."""
        state = self._states.get(key)
        if state is not None:
            state.status_written = None
