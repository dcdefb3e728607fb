"""The cached values, bounded in bytes."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

#: Bytes of all values; beyond it the least recently used is dropped and fetched again if needed.
CAPACITY: Final = 32 * 1024 * 1024

_DIGEST_BYTES: Final = 16


class ValueCache:
    """Least-recently-used store of payloads, with keyed digests of them.

    The digest outlives the payload, so it is keyed with a secret of this process: a plain
    hash would reveal equal values and low-entropy values.
    """

    __slots__ = ("_key", "_size", "_values")

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._size = 0
        self._values: OrderedDict[Hashable, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._values)} values, {self._size} bytes>"

    @property
    def size(self) -> int:
        """Size of the cached values in bytes."""
        return self._size

    def digest(self, data: bytes) -> bytes:
        """Return the keyed digest of a payload; comparable within this process only."""
        return blake2b(data, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def put(self, key: Hashable, data: bytes) -> None:
        """Cache a payload; the least recently used ones may be dropped."""
        self.drop(key)
        if len(data) > CAPACITY:
            return
        self._values[key] = data
        self._size += len(data)
        while self._size > CAPACITY:
            _, oldest = self._values.popitem(last=False)
            self._size -= len(oldest)

    def get(self, key: Hashable) -> bytes | None:
        """Return a payload, or ``None`` if it is not cached."""
        data = self._values.get(key)
        if data is not None:
            self._values.move_to_end(key)
        return data

    def drop(self, key: Hashable) -> None:
        """Drop a payload."""
        data = self._values.pop(key, None)
        if data is not None:
            self._size -= len(data)
