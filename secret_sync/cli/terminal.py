"""Text for a terminal: tables that fit, optional colours, no control characters from data."""

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
_INDENT: Final = "    "
#: Minimum width of the last column, however narrow the terminal is.
_AT_LEAST: Final = 20


class Colour(StrEnum):
    """A colour, as the parameter of ``ESC [ ... m``."""

    NONE = ""
    GOOD = "32"
    BAD = "31"
    UNSURE = "33"
    FAINT = "2"
    HEAD = "1"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    colour: Colour = Colour.NONE


@dataclass(frozen=True, slots=True)
class Screen:
    """An output stream and what it can show.

    Attributes:
        stream: The stream.
        terminal: Whether it is a terminal, on which lines can be redrawn.
        colours: Whether to use colours.
        width: Columns; 0 for no limit.
        height: Lines; 0 for no limit.
    """

    stream: TextIO
    terminal: bool = False
    colours: bool = False
    width: int = 0
    height: int = 0

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str]) -> Screen:
        """Return the screen of a stream as it is now; a window may change its size."""
        if not stream.isatty():
            return cls(stream)
        size = shutil.get_terminal_size()
        # https://no-color.org
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        return cls(stream, terminal=True, colours=not plain, width=size.columns, height=size.lines)

    def paint(self, text: str, colour: Colour) -> str:
        """Return the text in this colour, if colours are used."""
        return f"\x1b[{colour.value}m{text}\x1b[0m" if self.colours and colour and text else text


def table(screen: Screen, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the lines of a table; a last cell that does not fit follows below its row."""
    whole = [[Cell(title, Colour.HEAD) for title in head], *rows]
    clean = [[Cell(plain(cell.text), cell.colour) for cell in row] for row in whole]
    widths = [max(cells(row[column].text) for row in clean) for column in range(len(head) - 1)]
    taken = sum(widths) + len(_BETWEEN) * len(widths)
    room = max(screen.width - taken, _AT_LEAST) if screen.width else 0
    return [line for row in clean for line in _lines(screen, row, widths, room)]


def _lines(screen: Screen, row: Sequence[Cell], widths: Sequence[int], room: int) -> list[str]:
    *first, last = row
    parts = [
        screen.paint(cell.text, cell.colour) + " " * (width - cells(cell.text))
        for cell, width in zip(first, widths, strict=True)
    ]
    if not room or cells(last.text) <= room:
        return [_BETWEEN.join([*parts, screen.paint(last.text, last.colour)]).rstrip()]
    below = wrapped(last.text, max(screen.width - len(_INDENT), _AT_LEAST))
    return [
        _BETWEEN.join(parts).rstrip(),
        *(_INDENT + screen.paint(line, last.colour) for line in below),
    ]


def plain(text: str) -> str:
    """Return the text on one line, without control characters.

    Anyone who may write a status can write escape sequences into it.
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def cells(text: str) -> int:
    """Return the number of columns of a text."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, room: int) -> list[str]:
    """Return the lines of a text; a word that is wider than one is broken."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if cells(longer) <= room:
            lines[-1] = longer
            continue
        lines.append("")
        for character in word:
            if cells(lines[-1]) + _cells(character) > room:
                lines.append("")
            lines[-1] += character
    return [line for line in lines if line]


def say(text: str) -> None:
    """Write to standard output, ignoring that its reader has gone (``| head``)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()


def silence() -> None:
    """Discard standard output, after its reader has gone."""
    # The interpreter would try to write the buffer again when it ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
