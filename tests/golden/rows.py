"""The rows: templates with data, and what Go makes of each.

Each file of ``rows/`` has ``rows`` and, if they share it, ``data``. A row is a template, or a
mapping: ``template``, ``data``, and, where we differ from Go on purpose, ``differs`` (why) with
``ours`` (what we write, or ``error``). In data, ``{$base64: ...}`` is a string of bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

HERE: Final = Path(__file__).parent
EXPECTED: Final = HERE / "expected.json"


class GoldenRow(NamedTuple):
    """A template that Go renders, too.

    Attributes:
        file: The file that has it.
        template, data: What is rendered.
        differs: Why we differ from Go; empty if we do not.
        ours: What we write then; ``None`` if it is an error.
    """

    file: str
    template: str
    data: dict[str, Any]
    differs: str
    ours: str | None


def read_rows() -> list[GoldenRow]:
    return [
        _row(path.stem, entry, content.get("data", {}))
        for path in sorted((HERE / "rows").glob("*.yaml"))
        for content in [yaml.safe_load(path.read_text())]
        for entry in content["rows"]
    ]


def _row(file: str, entry: str | dict[str, Any], data: dict[str, Any]) -> GoldenRow:
    if isinstance(entry, str):
        entry = {"template": entry}
    unknown = entry.keys() - {"template", "data", "differs", "ours"}
    if unknown or ("differs" in entry) != ("ours" in entry):
        raise ValueError(f"{file}: {entry}")
    ours = entry.get("ours")
    return GoldenRow(
        file,
        entry["template"],
        entry.get("data", data),
        entry.get("differs", ""),
        None if ours == "error" else ours,
    )


def read_expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EXPECTED.read_text())
    return found
