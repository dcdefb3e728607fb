"""Writes ``expected.json``: what Go and Sprig make of the rows (``make golden``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from tests.golden.rows import EXPECTED, HERE, read_rows


def main() -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    rows = read_rows()
    found = subprocess.run(  # noqa: S603
        [go, "run", "."],
        cwd=HERE,
        # As in our image.
        env={**os.environ, "TZ": "UTC"},
        input=json.dumps([{"Template": row.template, "Data": row.data} for row in rows]),
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(found.stdout)
    lines = [
        json.dumps({"template": row.template, "data": row.data, **result}, ensure_ascii=False)
        for row, result in zip(rows, report["results"], strict=True)
    ]
    EXPECTED.write_text(_document(report, lines))


def _document(report: dict[str, Any], lines: list[str]) -> str:
    """Return a document with a line for each row."""
    head = f'{{"go": "{report["go"]}", "sprig": "{report["sprig"]}", "results": [\n'
    return head + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    main()
