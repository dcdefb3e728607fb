"""The metadata service of an ECS node: its RAM role and its region."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import orjson
from yarl import URL

from secret_sync.cloud.endpoints import is_region
from secret_sync.cloud.errors import UnreachableError
from secret_sync.cloud.retry import repeated, settled
from secret_sync.cloud.temporary import read_keys
from secret_sync.errors import DefiniteError, SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from secret_sync.cloud.temporary import TemporaryKeys
    from secret_sync.cloud.transport import Reply, Transport

_T = TypeVar("_T")

NOT_ATTACHED: Final = "WorkerRole.NotAttached"
UNAVAILABLE: Final = "WorkerRole.Unavailable"
#: No region is known; as opposed to no role.
NO_REGION: Final = "Metadata.Unavailable"

# It responds from the node itself, within milliseconds or never.
_TIMEOUT = aiohttp.ClientTimeout(total=2.0, connect=1.0, ceil_threshold=60.0)
_TRIES = 3
# Above three tries of a few requests each.
_SECONDS = 20.0
_TTL_HEADER, _TTL = "X-aliyun-ecs-metadata-token-ttl-seconds", "21600"
_TOKEN_HEADER = "X-aliyun-ecs-metadata-token"  # noqa: S105 - a name

_TOKEN = "/latest/api/token"  # noqa: S105 - a path
_ROLES = "/latest/meta-data/ram/security-credentials/"
_REGION = "/latest/meta-data/region-id"

_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOKEN_TEXT = re.compile(r"[!-~]{1,4096}")
_OK, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 200, 404, 429, 500


class MetadataService:
    """Reads from the metadata service; keeps none of its responses.

    In the hardened mode each request has a token from a PUT request, which a forged request cannot
    make. If the service does not have that mode, or the response to the PUT does not reach a
    container (it may travel one hop only), the plain mode is used.
    """

    def __init__(self, transport: Transport, endpoint: str = "100.100.100.200") -> None:
        """Set up; calls nothing.

        Args:
            transport: A transport without proxies: a proxy would return the metadata of its own
                machine, another identity.
            endpoint: ``host`` or ``host:port``, reached over http.
        """
        self._transport = transport
        self._endpoint = endpoint

    @property
    def endpoint(self) -> str:
        """Return ``host`` or ``host:port``."""
        return self._endpoint

    async def role_credentials(self) -> TemporaryKeys:
        """Obtain the credentials of the role that is attached to this node.

        Raises:
            DefiniteError: ``WorkerRole.NotAttached``: there is no role.
            TransientError: ``WorkerRole.Unavailable``: no usable response in three tries.
        """
        what = f"RAM role of this node, asked of {self._endpoint}"
        advice = "--enable-worker-role=false disables the worker role"
        return await self._ask(_role_credentials, what, UNAVAILABLE, advice)

    async def region_id(self) -> str:
        """Return the region that this node is in.

        Raises:
            TransientError: ``Metadata.Unavailable``: no usable response in three tries.
        """
        what = f"region of this node, asked of {self._endpoint}"
        return await self._ask(_region_id, what, NO_REGION, "--region sets the region")

    async def _ask(
        self, read: Callable[[_MetadataSession], Awaitable[_T]], what: str, code: str, advice: str
    ) -> _T:
        session = _MetadataSession(self._transport, self._endpoint, what)

        async def attempt() -> _T:
            await session.enter()
            return await read(session)

        outcome = await settled(repeated(attempt, what=what, seconds=_SECONDS, most=_TRIES))
        if isinstance(outcome, TransientError):
            message = f"{outcome.message}; is this an ECS node? {advice}"
            raise TransientError(message, code=code)
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome


class _MetadataSession:
    """The requests for one value; its tries share which mode the service has."""

    __slots__ = ("_endpoint", "_headers", "_plain", "_transport", "what")

    def __init__(self, transport: Transport, endpoint: str, what: str) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._headers: dict[str, str] = {}
        self._plain = False
        self.what = what

    async def enter(self) -> None:
        """Obtain a token, if the service has the hardened mode."""
        self._headers = {}
        if self._plain:
            return
        outcome = await settled(self._send("PUT", _TOKEN, {_TTL_HEADER: _TTL}))
        if isinstance(outcome, SecretSyncError):
            # Connected, but silent: the response did not reach the container.
            self._plain = not isinstance(outcome, UnreachableError)
            raise outcome
        if outcome.status == _OK:
            token = outcome.body.decode(errors="replace").strip()
            if not _TOKEN_TEXT.fullmatch(token):
                raise TransientError(f"{self.what}: an unreadable answer (HTTP 200)")
            self._headers = {_TOKEN_HEADER: token}
        elif _passes(outcome.status):
            raise TransientError(f"{self.what}: HTTP {outcome.status}")

    async def get(self, path: str) -> Reply | None:
        """Return one value; ``None`` if the service does not have it."""
        reply = await self._send("GET", path, self._headers)
        if reply.status == _NOT_FOUND:
            return None
        if reply.status != _OK or not reply.complete:
            # The service may require the token after all.
            self._plain = False
            raise TransientError(f"{self.what}: HTTP {reply.status}")
        return reply

    async def _send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        url = URL(f"http://{self._endpoint}{path}", encoded=True)
        return await self._transport.send(method, url, headers, what=self.what, timeout=_TIMEOUT)


async def _role_credentials(session: _MetadataSession) -> TemporaryKeys:
    listed = await session.get(_ROLES)
    # One role can be attached; the first line is its name.
    name = "" if listed is None else listed.body.decode(errors="replace").strip().partition("\n")[0]
    reply = None
    if name:
        if not _WORD.fullmatch(name):
            raise TransientError(f"{session.what}: an unreadable answer (HTTP 200)")
        reply = await session.get(_ROLES + name)
    if reply is None:
        raise DefiniteError(
            f"{session.what}: no RAM role is attached; attach one to the node, set another"
            " authentication method in the SecretStore, or disable the worker role with"
            " --enable-worker-role=false",
            code=NOT_ATTACHED,
        )
    document = _loads(reply.body)
    code = document.get("Code") if isinstance(document, dict) else None
    if code != "Success":
        found = code if isinstance(code, str) and _WORD.fullmatch(code) else "nothing"
        raise TransientError(f"{session.what}: it says {found} instead of Success")
    keys = read_keys(document, reply.headers, what=session.what)
    if keys is None:
        raise TransientError(f"{session.what}: the answer holds no credentials")
    return keys


async def _region_id(session: _MetadataSession) -> str:
    reply = await session.get(_REGION)
    region = "" if reply is None else reply.body.decode(errors="replace").strip()
    if not is_region(region):
        raise TransientError(f"{session.what}: the answer is not the name of a region")
    return region


def _passes(status: int) -> bool:
    return status == _TOO_MANY or status >= _SERVER_ERROR


def _loads(body: bytes) -> Any:
    # The decoder's exception contains the document.
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
