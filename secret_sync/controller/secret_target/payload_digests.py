"""What a Secret's values are compared by, read once for the many who ask for one version of it.

Thousands may merge into one Secret and all have to know, at each edit of it, whether a value is
still theirs.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from secret_sync.kube import SingleSecretReader

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient, Ref

#: Digests are kept for so many seconds at most, and only those read last.
KEPT_SECONDS: Final = 1.0


class PayloadDigests:
    """Reads Secrets; of their values keyed digests are kept, for a moment."""

    def __init__(self, client: KubeClient) -> None:
        self._reader = SingleSecretReader(client)
        self._key = token_bytes(32)
        self._together: WeakValueDictionary[tuple[str, str], _Reading] = WeakValueDictionary()
        self._latest: _Reading | None = None

    def __len__(self) -> int:
        """Return the number of versions of Secrets whose digests are kept."""
        return len(self._together)

    def digest(self, value: bytes) -> bytes:
        """Return the digest of a value, as in the result of ``read``."""
        return blake2b(value, key=self._key).digest()

    async def read(self, ref: Ref) -> dict[str, bytes]:
        """Return the digests of the values of a Secret in exactly this version, by key.

        Raises:
            NotFoundError: It does not exist.
            ReferenceChangedError: It is in another version, or another Secret has its name.
            ApiError: The server refused.
            DefiniteError: Its data is not base64.
        """
        version = ref.uid, ref.resource_version
        reading = self._together.get(version)
        if reading is None:
            reading = self._together[version] = _Reading()
        async with reading.lock:
            now = asyncio.get_running_loop().time()
            if now - reading.at >= KEPT_SECONDS:
                values = await self._reader.read(
                    ref.namespace, ref.name, uid=ref.uid, resource_version=ref.resource_version
                )
                reading.digests = {key: self.digest(value) for key, value in values.items()}
                reading.at = now
        self._latest = reading
        return reading.digests


class _Reading:
    """One version of a Secret: what was read of it, and when, by the loop's clock."""

    __slots__ = ("__weakref__", "at", "digests", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.digests: dict[str, bytes] = {}
        self.at = float("-inf")
