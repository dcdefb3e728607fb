"""How long the cyclic garbage collector keeps the controller.

``python -m benchmarks.pauses FILE run ...`` is ``secret-sync run ...`` that notes each collection
in a file: no metric counts them, and no other process can see them.
"""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Pause:
    """One collection.

    Attributes:
        ended: On the clock of ``time.monotonic``, which all processes share.
        generation: The oldest that was collected.
        seconds: Of CPU. A busy machine makes it no longer.
    """

    ended: float
    generation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Collected:
    """What the collector did in a time.

    Attributes:
        count: Collections.
        seconds: Of all of them.
        longest: The longest one.
    """

    count: int
    seconds: float
    longest: Pause

    @classmethod
    def between(cls, pauses: Sequence[Pause], began: float, ended: float) -> Self:
        """Sum up those that ended in between."""
        found = [pause for pause in pauses if began <= pause.ended < ended]
        longest = max(found, key=lambda pause: pause.seconds, default=Pause(ended, 0, 0.0))
        return cls(len(found), sum(pause.seconds for pause in found), longest)

    def __str__(self) -> str:
        """Return it for people."""
        longest = f"longest {1000 * self.longest.seconds:.1f} ms"
        if self.longest.generation:
            longest += f" (generation {self.longest.generation})"
        return f"{self.count} in {self.seconds:.2f} s, {longest}"


def read(path: Path) -> list[Pause]:
    """Return what was noted in a file, in the order of time."""
    lines = path.read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines]
    return [Pause(float(ended), int(oldest), float(took)) for ended, oldest, took in fields]


@contextmanager
def noted(file: TextIO) -> Iterator[None]:
    """Write a line for each collection of this process meanwhile."""
    began = 0.0

    def callback(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            took = time.thread_time() - began
            file.write(f"{time.monotonic():.6f} {info['generation']} {took:.6f}\n")

    gc.callbacks.append(callback)
    try:
        yield
    finally:
        gc.callbacks.remove(callback)


def main() -> int:
    """Run the controller."""
    with Path(sys.argv[1]).open("w", encoding="ascii", buffering=1) as file, noted(file):
        # The import is observed like that of the program itself.
        from secret_sync.cli import main as secret_sync  # noqa: PLC0415

        return secret_sync(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
