"""Who may send: those who have a token, or a key for HMAC, of a mounted Secret.

Each file holds one token or key a line, so two are valid at once while they are rotated. The
files are read again when a request comes: the kubelet updates them, without a restart.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.background import DaemonExecutor
from secret_sync.clock import loop_time
from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = structlog.get_logger(__name__)

TOKENS: Final = "token"
KEYS: Final = "hmac"
SIGNATURE_HEADER: Final = "X-Secret-Sync-Signature"
#: The field "Token" of an HTTP target of EventBridge arrives in this header.
EVENTBRIDGE_HEADER: Final = "x-eventbridge-signature-token"
#: A request that was signed this many seconds ago, or ahead, is refused as a replay.
REPLAY_WINDOW: Final = 300
#: Shorter ones could be guessed.
MIN_LENGTH: Final = 32
#: Seconds between two reads of the files.
READ_EVERY: Final = 5.0
#: A thread of its own: a volume that hangs must not occupy those of other work.
_READER: Final = DaemonExecutor(1, "refresh token reader")
_MAX_BYTES: Final = 16 * 1024
_MAX_VALUES: Final = 8
#: Of a signature.
_HEX_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class RefreshKeys:
    """What is valid now."""

    tokens: tuple[bytes, ...] = ()
    keys: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"RefreshKeys({len(self.tokens)} tokens, {len(self.keys)} keys)"


class Authentication:
    """Checks requests against the files of a folder.

    Args:
        folder: Where the Secret is mounted.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._valid = RefreshKeys()
        self._problem = ""
        self._read_at = float("-inf")

    async def start(self) -> None:
        """Read the files.

        Raises:
            DefiniteError: There is nothing that a client could authenticate with.
        """
        await self.reread()
        if self._problem:
            raise DefiniteError(
                f"--refresh-token-dir: {self._problem}; mount a Secret there with a token of "
                f"{MIN_LENGTH} characters or more"
            )

    async def reread(self) -> None:
        """Read the files, unless they have just been read or are being read."""
        now = loop_time()
        if now - self._read_at < READ_EVERY:
            return
        self._read_at = float("inf")
        loop = asyncio.get_running_loop()
        try:
            self._valid, problem = await loop.run_in_executor(_READER, _read_folder, self._folder)
        finally:
            self._read_at = loop_time()
        if problem and problem != self._problem:
            _log.warning("no refresh request is accepted", why=problem)
        self._problem = problem

    def has_token(self, headers: Mapping[str, str]) -> bool:
        """Return whether the headers have a valid token."""
        token = _token_of(headers)
        return token is not None and _is_one_of(token, self._valid.tokens)

    def may_be_signed(self, headers: Mapping[str, str]) -> bool:
        """Return whether there could be a body of which a valid signature is in the headers."""
        return bool(self._valid.keys) and _signature_of(headers) is not None

    async def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a valid signature of the raw body is in the headers.

        Hashes with one key in a turn of the event loop: many may send the largest body at once.
        """
        signature = _signature_of(headers)
        if signature is None:
            return False
        sent, given = signature
        matches = 0
        # All are compared, each in constant time.
        for key in self._valid.keys:
            matches += hmac.compare_digest(given, sign(key, sent, body).encode())
            await asyncio.sleep(0)
        return matches > 0


def sign(key: bytes, sent: str, body: bytes) -> str:
    """Return the signature of a body that is sent at a time (seconds since the epoch)."""
    return hmac.digest(key, sent.encode() + b"." + body, "sha256").hex()


def _signature_of(headers: Mapping[str, str]) -> tuple[str, bytes] | None:
    """Return when a request was sent, and its signature, unless no valid one looks like that."""
    fields = dict(
        part.strip().partition("=")[::2] for part in headers.get(SIGNATURE_HEADER, "").split(",")
    )
    sent, signature = fields.get("t", ""), fields.get("v1", "").encode(errors="replace")
    if not (sent.isascii() and sent.isdecimal() and len(sent) <= len("99999999999")):
        return None
    if abs(time.time() - int(sent)) > REPLAY_WINDOW or len(signature) != _HEX_LENGTH:
        return None
    return sent, signature


def _token_of(headers: Mapping[str, str]) -> bytes | None:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode(errors="replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    token = headers.get(EVENTBRIDGE_HEADER)
    return None if token is None else token.strip().encode(errors="replace")


def _is_one_of(given: bytes, valid: tuple[bytes, ...]) -> bool:
    # All are compared, each in constant time.
    return sum([hmac.compare_digest(given, each) for each in valid]) > 0


def _read_folder(folder: str) -> tuple[RefreshKeys, str]:
    """Return what is valid, or why nothing is; no exception, whose frames would hold a token."""
    found = {}
    for name in (TOKENS, KEYS):
        try:
            with Path(folder, name).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            return RefreshKeys(), f"{folder}/{name} cannot be read ({error.strerror})"
        lines = content.split()
        if len(content) > _MAX_BYTES or len(lines) > _MAX_VALUES:
            return (
                RefreshKeys(),
                f"{folder}/{name} has more than {_MAX_VALUES} lines, or is too large",
            )
        if any(len(line) < MIN_LENGTH for line in lines):
            return RefreshKeys(), f"{folder}/{name} has a line of less than {MIN_LENGTH} characters"
        found[name] = tuple(lines)
    if not any(found.values()):
        return RefreshKeys(), f"{folder} has neither a file {TOKENS!r} nor {KEYS!r} with content"
    return RefreshKeys(found[TOKENS], found[KEYS]), ""
