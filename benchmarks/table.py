"""What a benchmark brings home: rows for a person, JSON for a machine."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULTS: Final = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured.
        goal: What is to be reached, for people; ``""`` where there is none.
        figure: What was reached, for people.
        reached: Whether that is the goal; ``None`` where there is none.
        values: All figures, with their units in their names.
    """

    what: str
    goal: str
    figure: str
    reached: bool | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """A word for the last column."""
        return {True: "yes", False: "NO", None: ""}[self.reached]


def render(rows: Sequence[Row]) -> str:
    """The table as text."""
    cells = [("what", "goal", "figure", "reached")]
    cells += [(row.what, row.goal, row.figure, row.verdict) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def save(rows: Sequence[Row], sizes: Mapping[str, float]) -> Path:
    """Write the rows beside the benchmarks; return the file."""
    now = datetime.now(UTC)
    document = {
        "time": now.isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        },
        "sizes": dict(sizes),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return path
