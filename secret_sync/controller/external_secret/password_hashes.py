"""Hashes of passwords for templates, one at a time, beside everything else.

One takes 70 ms at the usual cost, and after a restart there may be one for each object. They are
remembered, so that each is computed once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.logs import describe_exception
from secret_sync.queue import Priority
from secret_sync.resources.meta import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from secret_sync.parse import Steps
    from secret_sync.queue import TimeSlicedWorker
    from secret_sync.templates.rendering import HashRequest

_log = structlog.get_logger(__name__)

#: Hashes that are kept; of 60 bytes each, with a digest of 32.
CAPACITY: Final = 20_000
#: Seconds after which an object is enqueued whose hashes could not be computed.
FAILED_AGAIN_AFTER: Final = 60.0


class KnownHashes(Mapping["HashRequest", bytes]):
    """Hashes by the request for them, of which a keyed digest is kept; threads may read it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._hashes: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        """Show how many, nothing else."""
        return f"<{type(self).__name__} {len(self)}>"

    def __getitem__(self, request: HashRequest) -> bytes:
        """Return a hash that is known."""
        return self._hashes[self.digest(request)]

    def __iter__(self) -> Iterator[HashRequest]:
        """Iterate over nothing: no request is kept."""
        return iter(())

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._hashes)

    def digest(self, request: HashRequest) -> bytes:
        """Return what stands for a request."""
        text = b"%d:%s:%s" % (request.cost, request.salt.hex().encode(), request.password)
        return blake2b(text, key=self._key, digest_size=32).digest()

    def add(self, request: HashRequest, hashed: bytes) -> None:
        """Keep a hash; the oldest one goes when there are too many."""
        self._hashes[self.digest(request)] = hashed
        while len(self._hashes) > CAPACITY:
            self._hashes.popitem(last=False)


class PasswordHashes:
    """Computes hashes in a worker of its own, in which namespaces take turns.

    Args:
        worker: Does nothing else.
        enqueue: Called with an object all of whose hashes are known.
    """

    def __init__(
        self, worker: TimeSlicedWorker, enqueue: Callable[[Iterable[str], Priority], None]
    ) -> None:
        self._worker = worker
        self._enqueue = enqueue
        self.known = KnownHashes()
        # What each object waits for.
        self._waiting: dict[str, frozenset[bytes]] = {}

    def __len__(self) -> int:
        """Return how many objects wait."""
        return len(self._waiting)

    def compute(self, key: str, requests: tuple[HashRequest, ...]) -> None:
        """Compute hashes for an object, and enqueue it when they are known."""
        wanted = frozenset(map(self.known.digest, requests))
        if self._waiting.get(key) == wanted:
            return
        self._waiting[key] = wanted

        def finished(computed: bool) -> None:  # noqa: FBT001 (the result of the steps)
            self._waiting.pop(key, None)
            if computed:
                self._enqueue((key,), Priority.HIGH)
                return
            # At once it would ask for the same again.
            loop = asyncio.get_running_loop()
            loop.call_later(FAILED_AGAIN_AFTER, self._enqueue, (key,), Priority.LOW)

        steps = _hash_steps(requests, self.known)
        self._worker.add(namespace_of(key), ("hashes", key), steps, finished)

    def cancel(self, key: str) -> None:
        """Compute nothing for an object that is gone, or that needs nothing for now."""
        if self._waiting.pop(key, None) is not None:
            self._worker.drop(namespace_of(key), ("hashes", key))


def _hash_steps(requests: tuple[HashRequest, ...], known: KnownHashes) -> Steps[bool]:
    from secret_sync.templates.hashing import bcrypt_hash  # noqa: PLC0415 (few objects need it)

    for request in requests:
        try:
            if request not in known:
                known.add(request, bcrypt_hash(request))
        except Exception as error:  # noqa: BLE001 (a fault of ours harms one object)
            _log.error("password not hashed", error=describe_exception(error))
            return False
        yield
    return True
