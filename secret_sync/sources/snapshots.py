"""Consistent snapshots: which values of a user's sources may be written together.

A Secret is written only from values each of which was confirmed no earlier than the newest
change among them. A value is *confirmed* by the call that brought it and by each later one that
found it unchanged; it is confirmed against the change of another source if that call *began* after
the answer that brought the change had arrived. So a change that was read early and answered late
confirms nothing, either. Calls and answers are numbered in one sequence: there is no tolerance and
no clock in the comparison.

What was in the user's last snapshot is no change. After a restart the versions that the status
names stand for that snapshot. Only the first values of a user that never had any are allowed to
lie ``FIRST_ANSWERS_WITHIN`` seconds apart, from the beginning of the one call to the answer of the
other: they were asked for next to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.sources.previous import Held, PreviousValues
from secret_sync.sources.source import Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from secret_sync.sources.hand import ValuesInHand
    from secret_sync.sources.record import Record
    from secret_sync.sources.source import Source, What

#: Sources that are looked through as quickly as looked up.
_FEW: Final = 8
#: Seconds that the first answers of a new user may lie apart.
FIRST_ANSWERS_WITHIN: Final = 2.0


@dataclass(slots=True)
class Registration:
    """What a user asked for last, and the last consistent snapshot that it was given.

    Attributes:
        sources: Each once, in the order of the first mention.
        forced: The wish for a forced sync that was answered last; ``None`` before the first.
        revision: Of all that was written down for the user.
        written: Before the first snapshot of this process: the version of each source that was
            written last, ``""`` where that is not known; ``None`` for a user that never wrote.
        snapshot: The sources of the last consistent snapshot; ``None`` before the first.
        edited: Whether the sources are others than those of the snapshot.
        rounds: How often, since then, answers were not a consistent snapshot.
        notified_soon: Whether the user is about to be told of a failure.
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


class Given(NamedTuple):
    """A value of a user's last snapshot, and the source that it came from."""

    held: Held
    source: Source


class Snapshots:
    """Judges the values of users against what they were given last.

    Args:
        records: All sources in use.
        values: The payloads in hand.
    """

    __slots__ = ("_previous", "_records", "_values")

    def __init__(self, records: Mapping[Source, Record], values: ValuesInHand) -> None:
        self._records = records
        self._values = values
        self._previous = PreviousValues(values)

    def __len__(self) -> int:
        """Return the number of users for whom something is kept."""
        return len(self._previous)

    def advance(self, user: str, registration: Registration) -> list[Record]:
        """Take the present values for the user's snapshot, if they are a consistent one.

        Returns:
            What is missing, as of :meth:`lacking`; the last snapshot stays then.
        """
        lacking = self.lacking(user, registration)
        if not lacking:
            registration.complete()
            self._previous.forget(user)
        elif kept := self._previous.sources(user):
            # Of secrets that the user does not read any more nothing is needed.
            whats = {source.what for source in registration.sources}
            for source in kept:
                if source.what not in whats:
                    self._previous.drop(user, source)
        return lacking

    def leave(self, user: str, registration: Registration, record: Record) -> None:
        """Keep what the user was given of a source whose value changes, or that it leaves."""
        if record.digest is not None and record.source in (registration.snapshot or ()):
            held = Held(record.digest, record.version_id)
            self._previous.keep(user, record.source, held, self._values.get(record.source))

    def forget(self, user: str) -> None:
        """The user is gone."""
        self._previous.forget(user)

    def read(
        self, user: str, registration: Registration, records: Iterable[Record], *, complete: bool
    ) -> list[Reading]:
        """Return a reading of each source for the user.

        Args:
            user: The key of the user.
            registration: Its own.
            records: The sources to read.
            complete: Whether the present values are its snapshot; where they are not, the values
                of the last one are returned, beside how the fetches fare.
        """
        if complete or registration.snapshot is None:
            return [self._present(user, record) for record in records]
        given = self.given(user, registration)
        return [self._former(user, record, given.get(record.source)) for record in records]

    def _present(self, user: str, record: Record) -> Reading:
        return Reading(
            digest=record.digest,
            data=self._values.get(record.source),
            version_id=record.version_id,
            error=record.error,
            pending=record.waiters is not None and user in record.waiters,
        )

    def _former(self, user: str, record: Record, given: Given | None) -> Reading:
        present = self._present(user, record)
        if given is None:
            return replace(present, digest=None, data=None, version_id="")
        held, source = given
        same = held.digest == record.digest
        data = present.data if same else self._previous.payload(source, held)
        return replace(present, digest=held.digest, data=data, version_id=held.version_id)

    def lacking(self, user: str, registration: Registration) -> list[Record]:
        """Return the sources whose answers are missing for a consistent snapshot.

        Empty: the present values are one. Those with a value are to be asked again, since they
        are not confirmed against the newest change.
        """
        records = [self._records[source] for source in registration.sources]
        unknown = [record for record in records if record.digest is None]
        if unknown or len(records) == 1:
            return unknown
        given = self.given(user, registration)
        changed = [r for r in records if is_change(registration, r, given.get(r.source))]
        changed.sort(key=lambda record: record.changed)
        first = registration.snapshot is None and registration.written is None
        tolerance = FIRST_ANSWERS_WITHIN if first else float("-inf")
        return [r for r in records if not _is_confirmed(r, changed, tolerance)]

    def given(self, user: str, registration: Registration) -> dict[Source, Given]:
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
                given[source] = Given(held, origin)
        return given

    def _held(self, user: str, source: Source) -> Held | None:
        if (kept := self._previous.get(user, source)) is not None:
            return kept
        record = self._records.get(source)
        if record is None or record.digest is None or user not in record.users:
            return None
        return Held(record.digest, record.version_id)


def _exchanged(before: Collection[Source], sources: Collection[Source]) -> dict[Source, Source]:
    """Return, for each source of a user, the one of its last snapshot that it stands for."""
    snapshot, present = frozenset(before), frozenset(sources)
    gone: dict[What, Source | None] = {}
    for source in snapshot - present:
        gone[source.what] = None if source.what in gone else source
    former = {}
    for source in sources:
        origin = source if source in snapshot else gone.get(source.what)
        if origin is not None:
            former[source] = origin
    return former


def is_change(registration: Registration, record: Record, given: Given | None) -> bool:
    """Tell whether a source's value is another than what the user wrote last."""
    if registration.snapshot is None:
        written = (registration.written or {}).get(record.source, "")
        return not written or written != record.version_id
    return given is None or given.held.digest != record.digest


def _is_confirmed(record: Record, changed: list[Record], tolerance: float) -> bool:
    """Tell whether a source is confirmed against all changes of the others, the newest last."""
    others = changed[-2:-1] if changed and changed[-1] is record else changed[-1:]
    return all(
        record.asked > other.changed or record.asked_at >= other.changed_at - tolerance
        for other in others
    )
