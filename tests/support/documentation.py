"""Markdown files as data: their sections and what is fenced in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """What stands under a heading of the second level."""

    title: str
    text: str

    def fenced(self, info: str) -> list[str]:
        """The blocks whose fence says exactly this."""
        return [body for said, body in _FENCE.findall(self.text) if said.strip() == info]


def sections(name: str) -> list[Section]:
    """The sections of a file below the root of the project."""
    parts = re.split(r"^## +(.+)$", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    return [Section(t, b) for t, b in zip(parts[::2], parts[1::2], strict=True)]


def section(name: str, beginning: str) -> Section:
    """The one section whose title begins so."""
    (found,) = [s for s in sections(name) if s.title.startswith(beginning)]
    return found


def filled(text: str, values: dict[str, str]) -> str:
    """With its placeholders ``<name>`` replaced; none may be left."""
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    left = re.findall(r"<[a-z][a-z-]*>", text)
    assert left == [], f"nothing is known of {left}"
    return text
