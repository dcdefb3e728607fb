"""An executor whose threads are not joined at the end of the process."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_POLL: Final = 0.005


class DaemonExecutor(Executor):
    """Runs calls in daemon threads, a limited number at a time; further ones wait in order.

    The standard library's executors are joined when the loop is closed and again when the
    interpreter ends, so one call that hangs keeps the process from ending. Here such a call is
    abandoned. A thread ends when nothing is left to do.

    Args:
        limit: The most threads at a time.
        name: The name of each thread.
        patience: Seconds that :meth:`shutdown` waits for calls that run.
    """

    def __init__(self, limit: int, name: str, *, patience: float = 0) -> None:
        self._limit = limit
        self._name = name
        self._patience = patience
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call as soon as there is a thread for it."""
        future: Future[T] = Future()
        call = partial(fn, *args, **kwargs)
        with self._lock:
            if self._threads >= self._limit:
                self._waiting.append((future, call))
                return future
            self._threads += 1
        thread = threading.Thread(
            target=self._run, args=(future, call), name=self._name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The system can start no more threads.
            with self._lock:
                self._threads -= 1
            raise
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the base class's
        """Cancel what has not begun, and give what has a moment to finish.

        A thread in the middle of its work is a danger to an interpreter that ends: C++ code that
        wants the interpreter's lock then aborts the process.
        """
        with self._lock:
            while self._waiting:
                self._waiting.popleft()[0].cancel()
        deadline = time.monotonic() + self._patience
        while wait and self._threads and time.monotonic() < deadline:
            time.sleep(_POLL)

    def _run(self, future: Future[Any], call: Callable[[], Any]) -> None:
        while True:
            _perform(future, call)
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                future, call = self._waiting.popleft()


def _perform(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the caller's to handle
        future.set_exception(error)
    else:
        future.set_result(result)
