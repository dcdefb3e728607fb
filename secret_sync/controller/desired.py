"""What an ExternalSecret's Secret should be, from the readings of its sources."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from secret_sync.controller.reasons import problem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.plan import Plan
    from secret_sync.controller.problem import Problem
    from secret_sync.resources import DataEntry, ExternalSecret
    from secret_sync.sources import Reading, Source


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """How one entry fared.

    Attributes:
        problem: ``None`` where its value is known.
        pending: The answer that counts is still on its way; what is known is an older one.
    """

    entry: DataEntry
    version_id: str
    problem: Problem | None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Desired:
    """The Secret to be.

    Attributes:
        fingerprint: Keyed digest of type, keys and values; equal ones need no write (A9).
        keys: All keys of the Secret.
        data: The values, or ``None`` while one of them is not in hand.
        absent: The sources whose values are not in hand.
        overwritten: Keys that more than one entry writes; the later entry wins.
    """

    fingerprint: bytes
    keys: frozenset[str]
    data: dict[str, bytes] | None
    absent: tuple[Source, ...]
    overwritten: tuple[str, ...]

    def __repr__(self) -> str:
        """Keys, never values."""
        return f"Desired(keys={sorted(self.keys)})"


def outcomes_of(plan: Plan, readings: Sequence[Reading]) -> list[EntryOutcome]:
    """The outcome of each entry, in their order."""
    return [
        EntryOutcome(
            planned.entry,
            reading.version_id,
            problem_of(reading.error) if reading.error is not None else None,
            reading.pending,
        )
        for planned, reading in zip(plan.entries, readings, strict=True)
    ]


def desire(es: ExternalSecret, plan: Plan, readings: Sequence[Reading]) -> Desired | None:
    """The Secret that these readings make, or ``None`` before all have been read once.

    A reading whose latest refresh failed still counts with its last good value: that is what
    drift is repaired from.
    """
    digests: dict[str, bytes] = {}
    values: dict[str, bytes] = {}
    absent = []
    overwritten = []
    for planned, reading in zip(plan.entries, readings, strict=True):
        if reading.digest is None or planned.wanted is None:
            return None
        name = planned.entry.name
        if name in digests:
            overwritten.append(name)
        digests[name] = reading.digest
        if reading.data is None:
            absent.append(planned.wanted.source)
        else:
            values[name] = reading.data
    return Desired(
        fingerprint=_fingerprint(es.secret_type, digests),
        keys=frozenset(digests),
        data=None if absent else values,
        absent=tuple(absent),
        overwritten=tuple(overwritten),
    )


def _fingerprint(secret_type: str, digests: dict[str, bytes]) -> bytes:
    # The digests are keyed already; lengths keep neighbouring fields apart.
    whole = blake2b(digest_size=16)
    for part in (secret_type.encode(), *(p for k in sorted(digests) for p in _pair(k, digests))):
        whole.update(struct.pack(">I", len(part)))
        whole.update(part)
    return whole.digest()


def _pair(key: str, digests: dict[str, bytes]) -> tuple[bytes, bytes]:
    return key.encode(), digests[key]
