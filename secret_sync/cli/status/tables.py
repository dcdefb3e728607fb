"""The picture as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secret_sync.cli.terminal import Cell, Colour, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.cli.status.rows import ExternalSecretRow, Picture, Standing, StoreRow
    from secret_sync.cli.terminal import Screen

_NONE: Final = "-"
_COLOURS: Final = {"True": Colour.GOOD, "False": Colour.BAD}
#: From how many of the smaller unit on the next one is told: 119s, 2m.
_SECONDS, _MINUTES, _HOURS = 120, 120 * 60, 48 * 3600


def draw(picture: Picture, screen: Screen, now: datetime) -> list[str]:
    """The lines of the whole picture.

    Args:
        picture: What there is.
        screen: Where it is shown.
        now: The present time, for ages.
    """
    lines = _objects(picture, screen, now)
    bad = [store for store in picture.stores if not store.standing.good]
    if bad:
        lines += ["", *_stores(bad, screen)]
    if picture.notes:
        lines += ["", *(screen.paint(plain(note), Colour.FAINT) for note in picture.notes)]
    return lines


def _objects(picture: Picture, screen: Screen, now: datetime) -> list[str]:
    if not picture.objects:
        place = f"in namespace {picture.namespace}" if picture.namespace else "in this cluster"
        return [f"no ExternalSecrets {place}"]
    wide = not picture.namespace
    head = ["NAMESPACE"] if wide else []
    head += ["NAME", "READY", "REASON", "LAST SYNC", "NEXT SYNC", "WHY NOT"]
    rows = [
        [*([Cell(row.namespace)] if wide else []), *_object(row, now)] for row in picture.objects
    ]
    lines = table(screen, head, rows)
    failing = sum(not row.standing.good for row in picture.objects)
    total = _count(len(picture.objects), "ExternalSecret")
    summary = f"{total}, {failing} not ready" if failing else f"{total}, all ready"
    return [*lines, "", summary]


def _object(row: ExternalSecretRow, now: datetime) -> list[Cell]:
    return [
        Cell(row.name),
        _ready(row.standing),
        Cell(row.standing.reason or _NONE),
        Cell(ago(row.last_sync, now)),
        Cell(row.next_sync),
        Cell(row.standing.why_not),
    ]


def _stores(stores: Sequence[StoreRow], screen: Screen) -> list[str]:
    head = ["STORES THAT ARE NOT READY", "READY", "REASON", "WHY NOT"]
    rows = [
        [
            Cell(f"{store.kind} {store.namespace}/{store.name}".replace(" /", " ")),
            _ready(store.standing),
            Cell(store.standing.reason or _NONE),
            Cell(store.standing.why_not),
        ]
        for store in stores
    ]
    return table(screen, head, rows)


def _ready(standing: Standing) -> Cell:
    colour = _COLOURS.get(standing.ready, Colour.UNSURE)
    return Cell(standing.ready, colour if standing.current else Colour.UNSURE)


def ago(time: str, now: datetime) -> str:
    """How long ago that was, as short as kubectl has it."""
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return _NONE
    # One without a zone is not what the API server lets through.
    seconds = max(0, int((now - then.replace(tzinfo=then.tzinfo or UTC)).total_seconds()))
    if seconds < _SECONDS:
        return f"{seconds}s ago"
    if seconds < _MINUTES:
        return f"{seconds // 60}m ago"
    if seconds < _HOURS:
        return f"{seconds // 3600}h ago"
    return f"{seconds // 86400}d ago"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
