"""Keyed digests of the data of a Secret, which outlive the process."""

from __future__ import annotations

import asyncio
import base64
import binascii
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from secret_sync.clock import loop_time
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.kube import (
    SECRETS,
    AlreadyExistsError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
)
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.resources import ExternalSecret

#: The Secret with the key, in the namespace of the controller, and its key there.
KEY_SECRET: Final = "secret-sync-restart-key"  # noqa: S105 (a name, not a password)
_FIELD: Final = "key"
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 16
#: Of the digest that tells one key from another.
_ID_BYTES: Final = 4
#: A key that may not be read is asked for again this often (seconds).
_REFUSED_AGAIN_AFTER: Final = 60.0
#: And one that the API server could not give.
_UNAVAILABLE_AGAIN_AFTER: Final = 5.0


class DataDigests:
    """Makes digests with a key that all replicas share; the key is made with the first one.

    Digests are public: the status of an ExternalSecret and the pod templates of workloads have
    them. Without the key nobody can find a value by trying.

    Args:
        client: Reads the key.
        writer: Creates it.
        namespace: Returns the namespace of the controller.
    """

    def __init__(
        self, client: KubeClient, writer: ApplyWriter, namespace: Callable[[], Awaitable[str]]
    ) -> None:
        self._client = client
        self._writer = writer
        self._namespace = namespace
        self._key = b""
        self._id = ""
        self._lock = asyncio.Lock()
        self._again_at = float("-inf")
        #: Why there are no digests; ``None`` once there is a key.
        self.problem: Problem | None = None

    async def load(self) -> None:
        """Load the key, or create it; why there is none is in ``problem``.

        No Secret waits for the key, so it raises nothing that would hold up a sync.
        """
        if self._is_settled():
            return
        async with self._lock:
            if self._is_settled():
                return
            try:
                self._take(await self._read_or_create())
            except (ApiRefusedError, ApiUnavailableError, DefiniteError) as error:
                unavailable = isinstance(error, ApiUnavailableError)
                delay = _UNAVAILABLE_AGAIN_AFTER if unavailable else _REFUSED_AGAIN_AFTER
                self._again_at = loop_time() + delay
                self.problem = Problem(
                    Reason.RESTART_FAILED,
                    f"nothing restarts without the key of the digests: {error.message}",
                )

    def retry_delay(self) -> float:
        """Return the seconds until the key is asked for again."""
        return max(0.0, self._again_at - loop_time())

    def _is_settled(self) -> bool:
        """Return whether there is a key, or was none a moment ago."""
        return bool(self._key) or loop_time() < self._again_at

    def digest(self, es: ExternalSecret, data: Mapping[str, bytes]) -> str:
        """Return the digest of data; two objects with the same data have different ones."""
        whole = blake2b(key=self._key, digest_size=_DIGEST_BYTES)
        for part in (es.namespace, es.name, es.uid):
            _add(whole, part.encode())
        for key in sorted(data):
            _add(whole, key.encode())
            _add(whole, data[key])
        return f"{self._id}.{whole.hexdigest()}"

    def _take(self, key: bytes) -> None:
        self._key = key
        self._id = blake2b(key, digest_size=_ID_BYTES).hexdigest()
        self.problem = None

    async def _read_or_create(self) -> bytes:
        namespace = await self._namespace()
        path = SECRETS.path(namespace, KEY_SECRET)
        try:
            found = await self._client.request("GET", path)
        except ApiNotFoundError:
            try:
                return await self._create(namespace)
            except AlreadyExistsError:
                # Another replica, just before it lost the lease.
                found = await self._client.request("GET", path)
        try:
            key = base64.b64decode((found.get("data") or {}).get(_FIELD) or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            key = b""
        # blake2b takes no more.
        if not _KEY_BYTES <= len(key) <= blake2b.MAX_KEY_SIZE:
            raise DefiniteError(
                f"Secret {namespace}/{KEY_SECRET} has no {_FIELD!r} of {_KEY_BYTES} bytes; "
                "delete it, and a new one is created"
            )
        return key

    async def _create(self, namespace: str) -> bytes:
        key = token_bytes(_KEY_BYTES)
        configuration: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": SECRETS.kind,
            "metadata": {"namespace": namespace, "name": KEY_SECRET},
            "type": "Opaque",
            "data": {_FIELD: base64.b64encode(key).decode()},
        }
        await self._writer.create(SECRETS, configuration)
        return key


def same_key(digest: str, other: str) -> bool:
    """Return whether two digests were made with the same key, so that they can be compared."""
    return digest.partition(".")[0] == other.partition(".")[0]


def _add(whole: blake2b, part: bytes) -> None:
    # The length keeps neighbouring parts apart.
    whole.update(len(part).to_bytes(4, "big"))
    whole.update(part)
