"""Which of the ExternalSecrets that merge into one Secret writes it next.

Each of their writes costs the API server the more, the more field managers the Secret has, and of
those that overlap it accepts one. With hundreds of them it would do nothing else, and no worker
would be left for other Secrets.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class WriteTurns:
    """Gives one ExternalSecret at a time the turn to write a Secret; the others wait.

    *Whoever waits is enqueued in time*: a Secret for which ExternalSecrets wait has one that
    has the turn, and that one is reconciled now or is enqueued. :meth:`end` follows each of
    its reconciles, whatever came of it.

    Args:
        enqueue: Called with the key of the one whose turn it is now.
    """

    def __init__(self, enqueue: Callable[[str], None]) -> None:
        self._enqueue = enqueue
        # By the Secret's key: the first one has the turn, the others wait. None is empty.
        self._lines: dict[str, OrderedDict[str, None]] = {}
        # In which of these lines an ExternalSecret is.
        self._places: dict[str, str] = {}

    def __len__(self) -> int:
        """Return how many have a turn or wait for one."""
        return len(self._places)

    def take(self, key: str, target: str) -> bool:
        """Return whether it is an ExternalSecret's turn; otherwise it waits from now on.

        Args:
            key: Of the ExternalSecret; it is being reconciled.
            target: Of the Secret.
        """
        if self._places.get(key, target) != target:
            self.leave(key)
        self._places[key] = target
        line = self._lines.setdefault(target, OrderedDict())
        line.setdefault(key)
        return next(iter(line)) == key

    def end(self, key: str) -> None:
        """End the turn of an ExternalSecret, if it has one, after a reconcile of it."""
        target = self._places.get(key)
        if target is not None and next(iter(self._lines[target])) == key:
            self.leave(key)

    def leave(self, key: str) -> None:
        """Take an ExternalSecret out of its line: it is gone, or has another target."""
        target = self._places.pop(key, None)
        if target is None:
            return
        line = self._lines[target]
        first = next(iter(line)) == key
        del line[key]
        if not line:
            del self._lines[target]
        elif first:
            self._enqueue(next(iter(line)))
