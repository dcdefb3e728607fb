"""Sources of the ServiceAccount tokens that roles are assumed with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from secret_sync.background import DaemonExecutor
from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

# The kubelet's tokens have about 1 KiB; a larger file is something else.
_MAX_BYTES = 1024 * 1024
# Separate threads: reads of a volume that hangs must not occupy those of other work.
_READERS = DaemonExecutor(2, "token reader")


class TokenSource(Protocol):
    """Obtains the token of one ServiceAccount."""

    @property
    def key(self) -> Hashable:
        """Return the identity of the ServiceAccount."""

    async def token(self) -> str:
        """Obtain a new token.

        Raises:
            SecretSyncError: No token was obtained.
        """


class TokenMinter(Protocol):
    """Requests tokens from the API server."""

    async def mint(self, namespace: str, name: str, uid: str, audiences: Sequence[str]) -> str:
        """Request a token of a ServiceAccount.

        Raises:
            ReferenceChangedError: The ServiceAccount of that name has another uid.
            SecretSyncError: No token was obtained.
        """


class TokenFile:
    """The controller's own token, as the kubelet projects and rotates it in a file."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def key(self) -> Hashable:
        return "file", self._path

    async def token(self) -> str:
        """Read the file.

        Raises:
            DefiniteError: ``TokenFileUnreadable``.
        """
        # A projected volume is in memory, but the path is configurable.
        loop = asyncio.get_running_loop()
        content, fault = await loop.run_in_executor(_READERS, _read, self._path)
        if fault:
            raise DefiniteError(
                f"the ServiceAccount token {self._path} {fault}; it is mounted as a projected"
                " volume, and its path is set by ALICLOUD_OIDC_TOKEN_FILE",
                code="TokenFileUnreadable",
            )
        return content


class ServiceAccountToken:
    """The token of any ServiceAccount, requested from the API server."""

    __slots__ = ("_audiences", "_minter", "_name", "_namespace", "_uid")

    def __init__(
        self,
        minter: TokenMinter,
        namespace: str,
        name: str,
        uid: str,
        audiences: tuple[str, ...],
    ) -> None:
        self._minter = minter
        self._namespace = namespace
        self._name = name
        self._uid = uid
        self._audiences = audiences

    @property
    def user(self) -> str:
        """Return the user name of the ServiceAccount in the API server."""
        return f"system:serviceaccount:{self._namespace}:{self._name}"

    @property
    def key(self) -> Hashable:
        """Return the ServiceAccount with its uid: a recreated one is another identity."""
        return "serviceaccount", self._namespace, self._name, self._uid, self._audiences

    async def token(self) -> str:
        """Request a token.

        Raises:
            SecretSyncError: No token was obtained.
        """
        return await self._minter.mint(self._namespace, self._name, self._uid, self._audiences)


def _read(path: str) -> tuple[str, str]:
    """Return the token, or an error; an exception would reference the token in its frames."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read: {error.strerror or type(error).__name__}"
    except ValueError:
        return "", "cannot be read: invalid path"
    token = content.decode(errors="replace").strip()
    if not token:
        return "", "is empty"
    if len(content) > _MAX_BYTES or not (token.isascii() and token.isprintable()):
        return "", "does not contain a token"
    return token, ""
