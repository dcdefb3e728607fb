"""What the controller remembers of each ExternalSecret between two reconciles."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.adoption import controllers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.controller.recreation import Carried

#: A resource version that everything has reached, and nothing has.
_LOWEST: Final = "0"


@dataclass(frozen=True, slots=True)
class Applied:
    """What we wrote last.

    Attributes:
        fingerprint: Keyed digest of type, keys and values (A9).
        resource_version: Of the Secret after the write; until the cache reaches it no drift
            is inferred (S16).
        at: Loop time of the write.
        controller: Kind and name of another controller that the Secret had then, or ``""``.
    """

    fingerprint: bytes
    uid: str
    resource_version: str
    at: float
    controller: str = ""

    def doubted(self) -> Applied:
        """The Secret may hold anything by now; that it is ours is still known."""
        return replace(self, fingerprint=b"", resource_version=_LOWEST, at=float("-inf"))


@dataclass(slots=True)
class Memory:
    """One ExternalSecret's.

    Attributes:
        uid: Of the ExternalSecret; another one under the same name starts afresh.
        target: The Secret that all this is about, and how; another one starts afresh.
        written: Fingerprint of what we wrote last; outlives the Secret, since it is created
            again from the same values.
        forced: The value of the annotation force-sync that was answered last, or ``None``
            before the first look; kept for objects that are fetched once. The status has it
            for the next leader.
        repairs: Loop times of the latest writes that undid somebody's change.
        rechecks: Loop times of the latest writes that found nothing to change, three at most.
        shared: Keys that we merged and others own as well, each with their field managers.
        fought_at: Loop time of the latest write in a fight with another writer, or ``None``.
        gone: Uid of the Secret of ours that was deleted last. The news of that may overtake
            the reply to the write that made it.
        carried: What others say of a Secret of ours that is being made anew, until that is done.
        hidden: Whether the Secret may hold keys of which nothing tells any more, until they are
            removed (A14): whoever applies as our field manager loses its entry to our next apply.
        caused_at: Loop time of the oldest event that no reconcile has answered yet.
        restored: Whether the API server went back in time since the last write: what that finds is
            nobody's change.
        waiting_since: Loop time at which sources were found pending, or ``None``.
    """

    uid: str = ""
    target: str = ""
    applied: Applied | None = None
    written: bytes | None = None
    forced: str | None = None
    repairs: tuple[float, ...] = ()
    rechecks: tuple[float, ...] = ()
    shared: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fought_at: float | None = None
    gone: str = ""
    carried: Carried | None = None
    hidden: bool = False
    caused_at: float | None = None
    waiting_since: float | None = None
    restored: bool = False

    def remember(self, fingerprint: bytes, reply: dict[str, Any]) -> None:
        """A write was answered.

        Args:
            fingerprint: Of what was written.
            reply: The Secret's metadata after it, as ``{"metadata": {...}}``.
        """
        metadata = reply["metadata"]
        self.written = fingerprint
        self.restored = False
        if metadata["uid"] == self.gone:
            # Deleted before our own reply was read: nothing of it stands.
            return
        self.applied = Applied(
            fingerprint=fingerprint,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            at=asyncio.get_running_loop().time(),
            controller=next(
                (f"{r['kind']} {r['name']}" for r in controllers(metadata) if r["uid"] != self.uid),
                "",
            ),
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Several writes make one change: unless all of them are made, none of them counts."""
        try:
            yield
        except BaseException:
            if self.applied is not None:
                self.applied = self.applied.doubted()
            raise

    def aim(self, uid: str, target: str) -> bool:
        """Says what all this is about; tells whether that is another object than before."""
        if self.uid != uid:
            self.renew(uid)
            self.target = target
            return True
        if self.target != target:
            self.target = target
            self.applied = None
            self.written = None
            self.shared = ()
            self.repairs = ()
            self.rechecks = ()
            self.fought_at = None
            self.carried = None
            self.hidden = False
        return False

    def renew(self, uid: str) -> None:
        """The object was deleted and created again: nothing known of the old one counts."""
        self.uid = uid
        self.applied = None
        self.written = None
        self.forced = None
        self.shared = ()
        self.repairs = ()
        self.rechecks = ()
        self.fought_at = None
        self.gone = ""
        self.carried = None
        self.hidden = False
        self.waiting_since = None


class Memories:
    """The memories of all ExternalSecrets, by key."""

    __slots__ = ("_memories",)

    def __init__(self) -> None:
        self._memories: dict[str, Memory] = {}

    def of(self, key: str) -> Memory:
        """The memory of an ExternalSecret, empty at first."""
        memory = self._memories.get(key)
        if memory is None:
            memory = self._memories[key] = Memory()
        return memory

    def forget(self, key: str) -> None:
        """The ExternalSecret is gone."""
        self._memories.pop(key, None)

    def cause(self, key: str, now: float) -> None:
        """An event concerns the ExternalSecret; the oldest unanswered one counts."""
        memory = self.of(key)
        if memory.caused_at is None:
            memory.caused_at = now

    def wrote(self, key: str, uid: str, resource_version: str) -> bool:
        """Whether this version of a Secret is what we wrote last: an echo of our own write."""
        memory = self._memories.get(key)
        return (
            memory is not None
            and memory.applied is not None
            and memory.applied.uid == uid
            and memory.applied.resource_version == resource_version
        )

    def wrote_any(self, key: str) -> bool:
        """Whether there should be a Secret that we wrote."""
        memory = self._memories.get(key)
        return memory is not None and memory.applied is not None

    def doubt(self, key: str) -> None:
        """A Secret of ours is missing in a list: gone, or newer than the list."""
        self.of(key).applied = None

    def distrust(self, key: str) -> None:
        """The API server went back in time: what was written, answered or seen to go may not be."""
        memory = self._memories.get(key)
        if memory is None:
            return
        if memory.applied is not None:
            memory.applied = memory.applied.doubted()
        memory.forced = None
        memory.gone = ""
        memory.restored = True

    def deleted(self, key: str, uid: str) -> None:
        """A Secret is gone; if it was ours, there is nothing to compare with any more."""
        memory = self._memories.get(key)
        if memory is None:
            return
        memory.gone = uid
        if memory.applied is not None and memory.applied.uid == uid:
            memory.applied = None
