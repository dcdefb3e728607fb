"""Become a program that the kernel kills as soon as its parent is gone.

``python -I -S launcher.py PARENT_PID PROGRAM ARGUMENT...`` asks for the death signal and then
executes the program, so the process id the parent knows is the program's own. A hook between
fork and exec would do the same, but is unsafe in a process with threads.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Ask for the death signal, then become the program."""
    # Isolated and without site-packages Python starts three times as fast, but finds us no more.
    sys.path.append(str(Path(__file__).parents[3]))
    from secret_sync.local.process import die_with_parent  # noqa: PLC0415  # needs the path above

    # Killed, not asked: an API server whose etcd went first would not stop.
    die_with_parent(int(sys.argv[1]), signal.SIGKILL)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # that is the whole point


if __name__ == "__main__":
    main()
