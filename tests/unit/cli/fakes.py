"""Standard streams of a command."""

from __future__ import annotations

import io


class Terminal(io.StringIO):
    """Text that is typed, or shown, at a terminal."""

    def isatty(self) -> bool:
        return True
