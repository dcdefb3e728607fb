"""A page of documentation as tables, so that what it says can be held against the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE = re.compile(r"`([^`]+)`")
_RULE = re.compile(r"\|(?:-+\|)+")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_STANDS_FOR = re.compile(r"`(<[a-z]+>)` stands for `([^`]+)` and `([^`]+)`")
_LINK = re.compile(r"\]\(([a-z./_-]*)(?:#([^)]+))?\)")


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)


def anchor(title: str) -> str:
    """What a heading is linked to by."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        section: The heading of the second level that it stands under.
        head: The titles of its columns.
        rows: Its cells, by column.
        lines: Its rows as they are written.
    """

    section: str
    head: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[str, ...]


class Page:
    """A document.

    Args:
        text: In Markdown.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tables = list(_tables(text))
        self._placeholders = _STANDS_FOR.findall(text)

    def tables(self, section: str = "", first: str = "") -> list[Table]:
        """Those under a heading, or whose first column has a title; all by default."""
        return [t for t in self._tables if section in ("", t.section) and first in ("", t.head[0])]

    def rows(self, section: str, first: str) -> list[dict[str, str]]:
        """The rows of all tables of a section whose first column has this title."""
        return [row for table in self.tables(section, first) for row in table.rows]

    def column(self, section: str, first: str) -> list[str]:
        """What stands in backticks in the first column of these tables."""
        return [word for row in self.rows(section, first) for word in codes(row[first])]

    @property
    def anchors(self) -> set[str]:
        """Of all headings but the title."""
        titles = re.findall(r"^##+ (.+)$", _FENCED.sub("", self.text), flags=re.MULTILINE)
        return {anchor(title) for title in titles}

    @property
    def links(self) -> list[tuple[str, str]]:
        """File and anchor of each link within the documents; either may be empty."""
        return [(file, mark) for file, mark in _LINK.findall(self.text) if file or mark]

    def expanded(self, path: str) -> list[str]:
        """The paths that one with a placeholder stands for."""
        for name, *meant in self._placeholders:
            if path == name or path.startswith(f"{name}."):
                return [whole + path.removeprefix(name) for whole in meant]
        return [path]

    def without(self, line: str) -> Page:
        """The page as if a line were not there; of equal ones the first."""
        return Page(self.text.replace(f"{line}\n", "", 1))

    def with_row(self, after: str, line: str) -> Page:
        """The page with another row."""
        return Page(self.text.replace(f"{after}\n", f"{after}\n{line}\n", 1))


def _tables(text: str) -> Iterator[Table]:
    section = ""
    lines = _FENCED.sub("", text).splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if at < len(lines) and line.startswith("|") and _RULE.fullmatch(lines[at]):
            head = _cells(line)
            first = at + 1
            while at + 1 < len(lines) and lines[at + 1].startswith("|"):
                at += 1
            body = lines[first : at + 1]
            for row in body:
                assert len(_cells(row)) == len(head), row
            rows = tuple(dict(zip(head, _cells(row), strict=True)) for row in body)
            yield Table(section, head, rows, tuple(body))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().removesuffix("|")[1:].split("|"))
