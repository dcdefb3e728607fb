"""Markdown files as data: their sections and what is fenced in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: Within a list, too.
_BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


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


@dataclass(frozen=True)
class Block:
    """What is fenced on a page: what the fence says, and what is in it."""

    info: str
    body: str


def blocks(name: str, info: str = "") -> list[Block]:
    """All blocks of a file, in their order; of one kind, if one is given."""
    found = _BLOCK.findall((ROOT / name).read_text())
    every = [Block(said.strip(), dedent(body)) for _, said, body in found]
    return [block for block in every if info in ("", block.info)]


def block(name: str, info: str) -> str:
    """The only block of this kind in a file."""
    (found,) = blocks(name, info)
    return found.body


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
