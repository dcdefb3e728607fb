"""The command line: one module or package per command, each imported only when it runs."""

from __future__ import annotations

import gc
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: see :func:`secret_sync.cli.entry.main`.

    SIGTERM stops the controller from here on. Importing its modules takes most of a second, and as
    the first process of a container it would ignore SIGTERM without a handler: the kubelet would
    wait for its whole grace period.

    Args:
        argv: The arguments after the program's name; default: the process's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        signal.signal(signal.SIGTERM, _stop)
        # What is imported stays, so to look for garbage meanwhile is a tenth of the time.
        gc.disable()
    try:
        from secret_sync.cli import entry  # noqa: PLC0415 - see above

        return entry.main(arguments)
    finally:
        gc.enable()


def _stop(_number: int, _frame: object) -> NoReturn:
    # Nothing has to be closed yet; the event loop installs its own handler later.
    raise SystemExit(0)
