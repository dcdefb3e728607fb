"""Consistent snapshots: which values of a user's sources may be written together.

A Secret is written only from values each of which was confirmed no earlier than the newest
change among them. A value is *confirmed* by the call that brought it and by each later one that
found it unchanged; it is confirmed against the change of another source if that call *began* after
the answer that brought the change had arrived. So a change that was read early and answered late
confirms nothing, either. Calls and answers are numbered in one sequence: there is no tolerance and
no clock in the comparison.

A value of the user's last snapshot is not a change. After a restart the versions that the status
names stand for that snapshot. Only the first values of a user that never had any are allowed to
lie ``FIRST_ANSWERS_WITHIN`` seconds apart, from the beginning of the one call to the answer of the
other: they were requested together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.sources.source import SourceSnapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from secret_sync.sources.source import Source, SourceLocation, SourceState
    from secret_sync.sources.value_cache import ValueCache

#: Sources that are looked through as quickly as looked up.
_FEW: Final = 8
#: Seconds that the first answers of a new user may lie apart.
FIRST_ANSWERS_WITHIN: Final = 2.0


class KeptValue(NamedTuple):
    """A value that a user was given; its payload may no longer be cached."""

    digest: bytes
    version_id: str


class PreviousValues:
    """Per user and source, the value of the user's last snapshot, if the source has a newer one.

    Drift is repaired from them until the next snapshot is complete. A user reaches only what it
    was given itself: another user of the same source may be another tenant.

    Args:
        values: Holds the payloads, under ``(source, digest)``: once, however many users need one.
    """

    __slots__ = ("_held", "_uses", "_values")

    def __init__(self, values: ValueCache) -> None:
        self._values = values
        self._held: dict[str, dict[Source, KeptValue]] = {}
        # How many users need a payload.
        self._uses: Counter[tuple[Source, bytes]] = Counter()

    def __len__(self) -> int:
        """Return the number of users with a previous value."""
        return len(self._held)

    def keep(self, user: str, source: Source, held: KeptValue, data: bytes | None) -> None:
        """Keep what the user was given of a source, unless something older is kept already."""
        mine = self._held.setdefault(user, {})
        if source in mine:
            return
        mine[source] = held
        use = (source, held.digest)
        if not self._uses[use] and data is not None:
            self._values.put(use, data)
        self._uses[use] += 1

    def get(self, user: str, source: Source) -> KeptValue | None:
        """Return what is kept of a source for the user, or ``None``."""
        return self._held.get(user, {}).get(source)

    def payload(self, source: Source, held: KeptValue) -> bytes | None:
        """Return the payload of a value that :meth:`get` returned, or ``None`` where it is lost."""
        return self._values.get((source, held.digest))

    def sources(self, user: str) -> tuple[Source, ...]:
        """Return the sources of which something is kept for the user."""
        return tuple(self._held.get(user, ()))

    def drop(self, user: str, source: Source) -> None:
        """Forget what is kept of a source for the user."""
        mine = self._held.get(user, {})
        held = mine.pop(source, None)
        if held is None:
            return
        if not mine:
            del self._held[user]
        use = (source, held.digest)
        self._uses[use] -= 1
        if not self._uses[use]:
            del self._uses[use]
            self._values.drop(use)

    def forget(self, user: str) -> None:
        """Forget all that is kept for the user."""
        for source in self.sources(user):
            self.drop(user, source)


@dataclass(slots=True)
class Registration:
    """The sources of a user, and the last consistent snapshot that it was given.

    Attributes:
        sources: Each once, in the order of the first mention.
        forced: The forced sync that was done last; ``None`` before the first registration.
        revision: Of the configuration of the user.
        written: Before the first snapshot of this process: the version of each source that was
            written last, ``""`` where that is not known; ``None`` for a user that never wrote.
        snapshot: The sources of the last consistent snapshot; ``None`` before the first.
        edited: Whether the sources have changed since the snapshot.
        rounds: How often, since then, answers were not a consistent snapshot.
        notified_soon: Whether the user is about to be notified of a failure.
        waits: The sources whose answers the user waits for; ``None`` most of the time, since an
            empty set takes more memory than all the rest.
    """

    sources: tuple[Source, ...] = ()
    forced: str | None = None
    revision: Hashable = None
    written: Mapping[Source, str] | None = None
    snapshot: Collection[Source] | None = None
    edited: bool = False
    notified_soon: bool = False
    rounds: int = 0
    waits: set[Source] | None = None

    def wait(self, source: Source) -> None:
        """Note that the user waits for an answer."""
        if self.waits is None:
            self.waits = set()
        self.waits.add(source)

    def complete(self) -> None:
        """Note that the present values are a consistent snapshot."""
        if self.snapshot is None or self.edited:
            # Of a few the tuple serves as well, and takes no memory.
            few = len(self.sources) <= _FEW
            self.snapshot = self.sources if few else frozenset(self.sources)
        self.written, self.rounds, self.edited = None, 0, False

    def settle(self, source: Source) -> None:
        """Note that the answer of a source has come, or is not needed any more."""
        if self.waits is not None:
            self.waits.discard(source)
            self.waits = self.waits or None


class GivenValue(NamedTuple):
    """A value of a user's last snapshot, and the source that it came from."""

    held: KeptValue
    source: Source


class Snapshots:
    """Compares the present values with the last snapshot of each user."""

    __slots__ = ("_previous", "_states", "_values")

    def __init__(self, states: Mapping[Source, SourceState], values: ValueCache) -> None:
        self._states = states
        self._values = values
        self._previous = PreviousValues(values)

    def __len__(self) -> int:
        """Return the number of users with a previous value."""
        return len(self._previous)

    def advance(self, user: str, registration: Registration) -> list[SourceState]:
        """Take the present values for the user's snapshot, if they are a consistent one.

        Returns:
            What is missing, as of :meth:`missing`; the last snapshot stays then.
        """
        missing = self.missing(user, registration)
        if not missing:
            registration.complete()
            self._previous.forget(user)
        elif kept := self._previous.sources(user):
            # Of secrets that the user does not read any more nothing is needed.
            locations = {source.location for source in registration.sources}
            for source in kept:
                if source.location not in locations:
                    self._previous.drop(user, source)
        return missing

    def keep_previous(self, user: str, registration: Registration, state: SourceState) -> None:
        """Keep the value that the user was given, of a source that changes or is no longer used."""
        if state.digest is not None and state.source in (registration.snapshot or ()):
            held = KeptValue(state.digest, state.version_id)
            self._previous.keep(user, state.source, held, self._values.get(state.source))

    def forget(self, user: str) -> None:
        """Forget a user."""
        self._previous.forget(user)

    def read(
        self,
        user: str,
        registration: Registration,
        states: Iterable[SourceState],
        *,
        complete: bool,
    ) -> list[SourceSnapshot]:
        """Return a snapshot of each source for the user.

        Args:
            user: The key of the user.
            registration: Its own.
            states: The sources.
            complete: Whether the present values are its snapshot; where they are not, the values
                of the last one are returned, beside how the fetches fare.
        """
        if complete or registration.snapshot is None:
            return [self._present(user, state) for state in states]
        given = self.given(user, registration)
        return [self._former(user, state, given.get(state.source)) for state in states]

    def _present(self, user: str, state: SourceState) -> SourceSnapshot:
        return SourceSnapshot(
            digest=state.digest,
            data=self._values.get(state.source),
            version_id=state.version_id,
            error=state.error,
            pending=state.waiters is not None and user in state.waiters,
        )

    def _former(self, user: str, state: SourceState, given: GivenValue | None) -> SourceSnapshot:
        present = self._present(user, state)
        if given is None:
            return replace(present, digest=None, data=None, version_id="")
        held, source = given
        same = held.digest == state.digest
        data = present.data if same else self._previous.payload(source, held)
        return replace(present, digest=held.digest, data=data, version_id=held.version_id)

    def missing(self, user: str, registration: Registration) -> list[SourceState]:
        """Return the sources whose answers are missing for a consistent snapshot.

        Empty: the present values are one. Those with a value are to be fetched again, since they
        are not confirmed against the newest change.
        """
        states = [self._states[source] for source in registration.sources]
        unknown = [state for state in states if state.digest is None]
        if unknown or len(states) == 1:
            return unknown
        given = self.given(user, registration)
        changed = [r for r in states if is_change(registration, r, given.get(r.source))]
        changed.sort(key=lambda state: state.changed)
        first = registration.snapshot is None and registration.written is None
        tolerance = FIRST_ANSWERS_WITHIN if first else float("-inf")
        return [r for r in states if not _is_confirmed(r, changed, tolerance)]

    def given(self, user: str, registration: Registration) -> dict[Source, GivenValue]:
        """Return what the user was given in its last snapshot, by the sources that it has now.

        A source is exchanged for another one of the same secret when its identity changes. Where
        two identities of the user read one secret, neither stands for the new one.
        """
        if registration.snapshot is None:
            return {}
        former: dict[Source, Source] = {}
        if registration.edited:
            former = _exchanged(registration.snapshot, registration.sources)
        given = {}
        for source in registration.sources:
            origin = former.get(source) if registration.edited else source
            if origin is not None and (held := self._held(user, origin)) is not None:
                given[source] = GivenValue(held, origin)
        return given

    def _held(self, user: str, source: Source) -> KeptValue | None:
        if (kept := self._previous.get(user, source)) is not None:
            return kept
        state = self._states.get(source)
        if state is None or state.digest is None or user not in state.users:
            return None
        return KeptValue(state.digest, state.version_id)


def _exchanged(before: Collection[Source], sources: Collection[Source]) -> dict[Source, Source]:
    """Return, for each source of a user, the one of its last snapshot that it stands for."""
    snapshot, present = frozenset(before), frozenset(sources)
    gone: dict[SourceLocation, Source | None] = {}
    for source in snapshot - present:
        gone[source.location] = None if source.location in gone else source
    former = {}
    for source in sources:
        origin = source if source in snapshot else gone.get(source.location)
        if origin is not None:
            former[source] = origin
    return former


def is_change(registration: Registration, state: SourceState, given: GivenValue | None) -> bool:
    """Return whether a source's value differs from what the user wrote last."""
    if registration.snapshot is None:
        written = (registration.written or {}).get(state.source, "")
        return not written or written != state.version_id
    return given is None or given.held.digest != state.digest


def _is_confirmed(state: SourceState, changed: list[SourceState], tolerance: float) -> bool:
    """Return whether a source is confirmed against all changes of the others, the newest last."""
    others = changed[-2:-1] if changed and changed[-1] is state else changed[-1:]
    return all(
        state.confirmed > other.changed or state.confirmed_at >= other.changed_at - tolerance
        for other in others
    )
