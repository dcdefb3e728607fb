"""Processes of the playground that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int, signum: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal when its parent ends, however it ends.

    To be called in the child, as its first act. Linux binds the signal to the *thread* that
    forked: a parent should start its children from a thread that lives as long as it does.
    The setting survives `exec`, unless the new program is setuid.

    Args:
        parent: Process id of the parent, taken before the fork: the parent may have ended
            before the request to the kernel, and then no signal would come.
        signum: The signal to get.

    Raises:
        SystemExit: The parent has already ended.
        OSError: The kernel refused.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != parent:
        raise SystemExit(f"parent {parent} has ended")
