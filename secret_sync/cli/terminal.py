"""Text for a terminal: tables that fit, colours where they are wanted, nothing that acts on it."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BETWEEN: Final = "   "
_ELLIPSIS: Final = "…"
#: The last column is not cut below this, however narrow the terminal is.
_AT_LEAST: Final = 20


class Colour(StrEnum):
    """How a cell is shown, as the parameter of ``ESC [ ... m``."""

    NONE = ""
    GOOD = "32"
    BAD = "31"
    UNSURE = "33"
    FAINT = "2"
    HEAD = "1"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a table."""

    text: str
    colour: Colour = Colour.NONE


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written to.

    Attributes:
        stream: Where text goes.
        terminal: Whether a person watches, so that lines can be drawn anew.
        colours: Whether to use them.
        width: Columns; 0 where lines have no end.
        height: Lines; 0 likewise.
    """

    stream: TextIO
    terminal: bool = False
    colours: bool = False
    width: int = 0
    height: int = 0

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Screen:
        """What there is to know about a stream at this moment; a window may change its size."""
        if not stream.isatty():
            return cls(stream)
        size = shutil.get_terminal_size()
        # https://no-color.org
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        return cls(stream, terminal=True, colours=not plain, width=size.columns, height=size.lines)

    def paint(self, text: str, colour: Colour) -> str:
        """The text in this colour, where there are colours."""
        return f"\x1b[{colour.value}m{text}\x1b[0m" if self.colours and colour and text else text


def table(screen: Screen, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Lines of a table; the last column gets the room that is left, and is cut to it."""
    whole = [[Cell(title, Colour.HEAD) for title in head], *rows]
    clean = [[Cell(plain(cell.text), cell.colour) for cell in row] for row in whole]
    widths = [max(cells(row[column].text) for row in clean) for column in range(len(head) - 1)]
    taken = sum(widths) + len(_BETWEEN) * len(widths)
    room = max(screen.width - taken, _AT_LEAST) if screen.width else 0
    return [_line(screen, row, widths, room) for row in clean]


def _line(screen: Screen, row: Sequence[Cell], widths: Sequence[int], room: int) -> str:
    *first, last = row
    parts = [
        screen.paint(cell.text, cell.colour) + " " * (width - cells(cell.text))
        for cell, width in zip(first, widths, strict=True)
    ]
    text = cut(last.text, room) if room else last.text
    return _BETWEEN.join([*parts, screen.paint(text, last.colour)]).rstrip()


def plain(text: str) -> str:
    """One line without anything that a terminal would act on.

    Whoever may write a status may write what they like into it, an escape sequence too.
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def cells(text: str) -> int:
    """How many columns a text takes."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, room: int) -> str:
    """The text, or as much of it as fits with a sign that there is more."""
    if cells(text) <= room:
        return text
    taken = 0
    for end, character in enumerate(text):
        taken += _cells(character)
        if taken >= room:
            return text[:end].rstrip() + _ELLIPSIS
    return text


def say(text: str) -> None:
    """Writes to standard output. That nobody reads on (``| head``) stops no work."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()


def silence() -> None:
    """Gives up standard output, after its reader has gone."""
    # What is buffered would be tried again when the interpreter ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
