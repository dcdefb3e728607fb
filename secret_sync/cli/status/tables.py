"""Render a snapshot as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secret_sync.cli.terminal import Cell, Colour, plain, table
from secret_sync.controller.sync import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.cli.status.rows import (
        ClusterExternalSecretRow,
        ExternalSecretRow,
        Readiness,
        StatusSnapshot,
        StoreRow,
    )
    from secret_sync.cli.terminal import Screen

_NONE: Final = "-"
_COLOURS: Final = {"True": Colour.GOOD, "False": Colour.BAD}
#: Seconds from which the next unit is used: 119s, 2m.
_SECONDS, _MINUTES, _HOURS = 120, 120 * 60, 48 * 3600


def render(
    snapshot: StatusSnapshot, screen: Screen, now: datetime, *, wide: bool = False
) -> list[str]:
    """Return the lines of the whole snapshot.

    Args:
        snapshot: The snapshot.
        screen: Where it is shown.
        now: The current time, for ages.
        wide: Whether to show the name of the Secret and the refreshPolicy, too.
    """
    lines = _objects(snapshot, screen, now, wide=wide)
    if snapshot.clusters:
        lines += ["", *_clusters(snapshot.clusters, screen)]
    bad = [store for store in snapshot.stores if not store.readiness.good]
    if bad:
        lines += ["", *_stores(bad, screen)]
    if snapshot.notes:
        lines += ["", *(screen.paint(plain(note), Colour.FAINT) for note in snapshot.notes)]
    return lines


def _objects(snapshot: StatusSnapshot, screen: Screen, now: datetime, *, wide: bool) -> list[str]:
    if not snapshot.objects:
        place = f"in namespace {snapshot.namespace}" if snapshot.namespace else "in this cluster"
        return [f"no ExternalSecrets {place}"]
    everywhere = not snapshot.namespace
    head = ["NAMESPACE"] if everywhere else []
    # Of a whole cluster, most rows would repeat the lines of the ClusterExternalSecrets.
    sources = not everywhere and any(row.source for row in snapshot.objects)
    head += ["NAME", "READY", "REASON", "LAST SYNC", "NEXT SYNC"]
    head += [*(["SECRET", "REFRESH"] if wide else []), *(["FROM"] if sources else []), "WHY NOT"]
    rows = [
        [
            *([Cell(row.namespace)] if everywhere else []),
            *_object(row, now, wide=wide),
            *([Cell(row.source or _NONE)] if sources else []),
            Cell(row.readiness.why_not),
        ]
        for row in snapshot.objects
    ]
    lines = table(screen, head, rows)
    failing = sum(not row.readiness.good for row in snapshot.objects)
    total = count(len(snapshot.objects), "ExternalSecret")
    summary = f"{total}, {failing} not ready" if failing else f"{total}, all ready"
    return [*lines, "", summary]


def _object(row: ExternalSecretRow, now: datetime, *, wide: bool) -> list[Cell]:
    return [
        Cell(row.name),
        _ready(row.readiness),
        Cell(row.readiness.reason or _NONE),
        Cell(ago(row.last_sync, now)),
        Cell(row.next_sync),
        *([Cell(row.target), Cell(row.refresh_policy)] if wide else []),
    ]


def _clusters(rows: Sequence[ClusterExternalSecretRow], screen: Screen) -> list[str]:
    head = ["CLUSTEREXTERNALSECRET", "READY", "REASON", "NAMESPACES", "WHY NOT"]
    cells = [
        [
            Cell(row.name),
            _ready(row.readiness),
            Cell(row.readiness.reason or _NONE),
            Cell(row.namespaces or _NONE),
            Cell(row.why_not),
        ]
        for row in rows
    ]
    return table(screen, head, cells)


def _stores(stores: Sequence[StoreRow], screen: Screen) -> list[str]:
    head = ["STORES THAT ARE NOT READY", "READY", "REASON", "WHY NOT"]
    rows = [
        [
            Cell(f"{store.kind} {store.namespace}/{store.name}".replace(" /", " ")),
            _ready(store.readiness),
            Cell(store.readiness.reason or _NONE),
            Cell(store.readiness.why_not),
        ]
        for store in stores
    ]
    return table(screen, head, rows)


def _ready(readiness: Readiness) -> Cell:
    colour = _COLOURS.get(readiness.ready, Colour.UNSURE)
    return Cell(readiness.ready, colour if readiness.current else Colour.UNSURE)


def ago(time: str, now: datetime) -> str:
    """Return how long ago a time was, as short as kubectl shows it."""
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return _NONE
    # The API server accepts no time without a zone.
    seconds = max(0, int((now - then.replace(tzinfo=then.tzinfo or UTC)).total_seconds()))
    if seconds < _SECONDS:
        return f"{seconds}s ago"
    if seconds < _MINUTES:
        return f"{seconds // 60}m ago"
    if seconds < _HOURS:
        return f"{seconds // 3600}h ago"
    return f"{seconds // 86400}d ago"
