"""Which of the ExternalSecrets that merge into one Secret writes it next.

Each of their writes costs the API server the more, the more field managers the Secret has, and of
those that overlap it accepts one. With hundreds of them it would do nothing else, and no worker
would be left for other Secrets.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from secret_sync.resources.meta import is_older

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import SecretMeta


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
        # What the Secrets of these lines were after the last write; the cache has it later.
        self._written: dict[str, SecretMeta] = {}

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

    def wrote(self, target: str, secret: SecretMeta) -> None:
        """Keep what a Secret is now for the next one in its line."""
        if target in self._lines:
            self._written[target] = secret

    def outdated(self, target: str) -> None:
        """Forget what a Secret was after the last write: it is something else."""
        self._written.pop(target, None)

    def latest(self, target: str, cached: SecretMeta) -> SecretMeta:
        """Return a Secret as the last one in its line has left it, if the cache is behind."""
        written = self._written.get(target)
        if written is None or written.uid != cached.uid:
            return cached
        return written if is_older(cached.resource_version, written.resource_version) else cached

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
            self._written.pop(target, None)
        elif first:
            self._enqueue(next(iter(line)))
