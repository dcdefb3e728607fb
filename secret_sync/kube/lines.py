"""Lines out of chunks, of any length up to a limit."""

from __future__ import annotations


class LineTooLongError(ValueError):
    """A line outgrew the limit; what the splitter holds is of no use any more."""


class LineSplitter:
    """Splits a stream of bytes at newlines.

    The parts of a line are joined once, when its end is there: its cost is its length, however
    small the chunks are.

    Args:
        limit: Bytes of the longest line that is let through.
    """

    __slots__ = ("_held", "_limit", "_parts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add the next chunk and return the lines it completes, without their newlines.

        Raises:
            LineTooLongError: A line is longer than the limit.
        """
        first, *others = chunk.split(b"\n")
        self._hold(first)
        if not others:
            return []
        lines = [self.rest(), *others[:-1]]
        if any(len(line) > self._limit for line in lines):
            raise LineTooLongError
        self._hold(others[-1])
        return lines

    def rest(self) -> bytes:
        """Remove and return an incomplete last line."""
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            raise LineTooLongError
        if part:
            self._parts.append(part)
