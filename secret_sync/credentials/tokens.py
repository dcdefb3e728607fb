"""Where the ServiceAccount token comes from that a role is assumed with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from secret_sync.background import DaemonExecutor
from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

# The kubelet's are about 1 KiB; what is larger is some other file.
_MAX_BYTES = 1024 * 1024
# Of their own: reads of a volume that hangs must not take the threads of other work.
_READERS = DaemonExecutor(2, "token reader")


class TokenSource(Protocol):
    """Gives the token of one ServiceAccount."""

    @property
    def key(self) -> Hashable:
        """What tells this token's identity from others."""

    async def token(self) -> str:
        """Obtain a token, anew each time.

        Raises:
            SecretSyncError: There is none, or not now.
        """


class TokenMinter(Protocol):
    """Asks the API server for tokens."""

    async def mint(self, namespace: str, name: str, uid: str, audiences: Sequence[str]) -> str:
        """Ask for a token of a ServiceAccount.

        Raises:
            ReferenceChangedError: The ServiceAccount of that name has another uid.
            SecretSyncError: It was not given.
        """


class TokenFile:
    """The controller's own token, as the kubelet projects and rotates it in a file."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def key(self) -> Hashable:
        """The path."""
        return "file", self._path

    async def token(self) -> str:
        """Read the file.

        Raises:
            DefiniteError: ``TokenFileUnreadable``.
        """
        # A projected volume is in memory, but the path is a setting and may be anywhere.
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
    """The token of any ServiceAccount, asked of the API server."""

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
        """Who the token stands for, as the API server calls it."""
        return f"system:serviceaccount:{self._namespace}:{self._name}"

    @property
    def key(self) -> Hashable:
        """The ServiceAccount: one that is created anew under its name is another."""
        return "serviceaccount", self._namespace, self._name, self._uid, self._audiences

    async def token(self) -> str:
        """Ask for a token.

        Raises:
            SecretSyncError: It was not given.
        """
        return await self._minter.mint(self._namespace, self._name, self._uid, self._audiences)


def _read(path: str) -> tuple[str, str]:
    """Return the token, or what is wrong; an exception would hold the former in its frames."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        return "", f"cannot be read: {error.strerror or type(error).__name__}"
    except ValueError:
        return "", "cannot be read: it is no path"
    token = content.decode(errors="replace").strip()
    if not token:
        return "", "is empty"
    if len(content) > _MAX_BYTES or not (token.isascii() and token.isprintable()):
        return "", "holds no token"
    return token, ""
