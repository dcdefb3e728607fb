"""What the demo shows: numbered steps, what was typed, what came back."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shlex
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOLD: Final = "1"
_DIM: Final = "2"
_GREEN: Final = "32"
_RED: Final = "31"
_YELLOW: Final = "33"
_DIGEST: Final = 8


class DemoScreen:
    """Prints for a person, in colour on a terminal.

    Args:
        colour: Whether to.
    """

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._print(f"\n{self._paint(_BOLD, f'{self._steps}. {title}')}")

    def command(self, *words: str) -> None:
        """Show what was typed."""
        self._print(f"   {self._paint(_BOLD, '$ ' + shlex.join(words))}")

    def output(self, text: str) -> None:
        """Show what came back."""
        for line in text.rstrip().splitlines():
            self._print(f"   {line}")

    def note(self, text: str) -> None:
        """Say something beside."""
        self._print(f"   {self._paint(_DIM, text)}")

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""
        self._print(f"   {self._paint(_YELLOW, text)}")

    def good(self, text: str) -> None:
        """Say what has come true."""
        self._print(f"   {self._paint(_GREEN, f'✓ {text}')}")

    def bad(self, text: str) -> None:
        """Say what has not."""
        self._print(f"   {self._paint(_RED, f'✗ {text}')}")

    def secret(self, data: Mapping[str, str], before: Mapping[str, str] | None = None) -> None:
        """Show a Secret's keys, with sizes and digests instead of values.

        Args:
            data: Of the Secret, in base64.
            before: What it was, if it is to be compared.
        """
        width = max(map(len, data), default=0)
        for name, value in sorted(data.items()):
            raw = base64.b64decode(value)
            digest = hashlib.sha256(raw).hexdigest()[:_DIGEST]
            text = f"{name:<{width}}   {len(raw):>3} bytes   sha256 {digest}..."
            if before is not None:
                text += "   changed" if before.get(name) != value else "   as before"
            self.output(text)

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _print(self, text: str) -> None:
        # A reader that has gone away is no reason to leave something behind in a cluster.
        with contextlib.suppress(OSError):
            sys.stdout.write(f"{text}\n")
            # Progress is worth little if it waits in a pipe's buffer.
            sys.stdout.flush()


def seconds(duration: float) -> str:
    """Format a duration."""
    return f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:.1f} s"
