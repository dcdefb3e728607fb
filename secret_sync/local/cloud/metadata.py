"""The metadata service of an ECS machine: its region, and credentials of the role it has."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

import orjson

from secret_sync.local.cloud.sts import timestamp
from secret_sync.local.cloud.wire import HttpReply

if TYPE_CHECKING:
    from secret_sync.local.cloud.ram import RamRole, Session
    from secret_sync.local.cloud.signature import Signed
    from secret_sync.local.cloud.store import CloudStore

TOKEN: Final = "MetadataToken"  # noqa: S105 - an action
ROLE: Final = "MetadataRole"
CREDENTIALS: Final = "MetadataCredentials"
REGION: Final = "MetadataRegion"
OTHER: Final = "MetadataOther"

SESSION_SECONDS: Final = 6 * 3600
"""What the service gives its credentials."""
_RENEW_BEFORE: Final = 30 * 60.0
"""Seconds before their end from which on others are given out."""

_TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
_REGION_PATH: Final = "/latest/meta-data/region-id"
_ROLE_PATH: Final = "/latest/meta-data/ram/security-credentials"
_TTL_HEADER: Final = "x-aliyun-ecs-metadata-token-ttl-seconds"
_TOKEN_HEADER: Final = "x-aliyun-ecs-metadata-token"  # noqa: S105 - a header
_LONGEST_TTL: Final = 6 * 3600
_MAX_TOKENS: Final = 10_000
_CODES: Final = {400: "BadRequest", 403: "Forbidden", 404: "NotFound"}


class MetadataMode(Enum):
    """Which requests are answered."""

    BOTH = "both"
    """With a token and without."""
    HARDENED = "hardened"
    """Only those with a token."""
    PLAIN = "plain"
    """All, and there are no tokens."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the service returns.

    Attributes:
        role: ARN of the role attached to the machine; "" for none.
        region_id: "" for none.
        session_seconds: How long the role's credentials are valid when they are new.
    """

    role: str = ""
    region_id: str = ""
    mode: MetadataMode = MetadataMode.BOTH
    session_seconds: int = SESSION_SECONDS


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    """A request to the service, read.

    Attributes:
        action: One of the constants above: for the journal and for faults.
        subject: Name of the role whose credentials are asked for, else "".
    """

    action: str
    subject: str
    ttl: str
    token: str = field(repr=False)

    @classmethod
    def read(cls, request: Signed) -> MetadataRequest:
        """Find out what is asked."""
        action, subject = _identify(request.method, request.path)
        headers = request.headers
        return cls(action, subject, headers.get(_TTL_HEADER, ""), headers.get(_TOKEN_HEADER, ""))


class Metadata:
    """The service.

    Args:
        store: Whose roles and clock count.
    """

    def __init__(self, store: CloudStore) -> None:
        self._store = store
        self._machine = Machine()
        self._session: Session | None = None
        # Token -> when it expires; insertion order is age.
        self._tokens: dict[str, float] = {}

    def set(self, machine: Machine) -> None:
        """Change the machine; credentials already given out stay valid, the next are new ones."""
        self._machine = machine
        self._session = None

    def expire_tokens(self) -> int:
        """Make the tokens given out so far invalid; return how many."""
        count = len(self._tokens)
        self._tokens.clear()
        return count

    def answer(self, question: MetadataRequest) -> HttpReply:
        """Answer a request."""
        if question.action == TOKEN:
            return self._issue_token(question.ttl)
        if not self._admits(question.token):
            return refusal(403)
        # Looked up each time: a deleted role is no longer there.
        machine, role = self._machine, self._store.ram.roles.get(self._machine.role)
        if question.action == REGION and machine.region_id:
            return _text(machine.region_id)
        if question.action == ROLE and role is not None:
            return _text(role.name)
        if question.action == CREDENTIALS and role is not None and question.subject == role.name:
            return self._give_credentials(role)
        return refusal(404)

    def _issue_token(self, ttl: str) -> HttpReply:
        if self._machine.mode is MetadataMode.PLAIN:
            return refusal(404)
        if not (ttl.isascii() and ttl.isdecimal() and 1 <= int(ttl[:9]) <= _LONGEST_TTL):
            return refusal(400)
        token = secrets.token_urlsafe(40)
        self._store.confidential.note(token)
        self._tokens[token] = self._store.now() + int(ttl)
        while len(self._tokens) > _MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return _text(token)

    def _admits(self, token: str) -> bool:
        mode = self._machine.mode
        if mode is MetadataMode.PLAIN or (mode is MetadataMode.BOTH and not token):
            return True
        return self._tokens.get(token, 0.0) > self._store.now()

    def _give_credentials(self, role: RamRole) -> HttpReply:
        now = self._store.now()
        session = self._session
        if session is None or session.expires - now < _RENEW_BEFORE:
            session = self._session = self._store.ram.open_session(
                role, "ecs-instance", seconds=self._machine.session_seconds, now=now
            )
        content = {
            "AccessKeyId": session.id,
            "AccessKeySecret": session.secret,
            "Expiration": timestamp(session.expires),
            "SecurityToken": session.token,
            "LastUpdated": timestamp(now),
            "Code": "Success",
        }
        return HttpReply(200, orjson.dumps(content), content_type="application/json")


def refusal(status: int, code: str = "") -> HttpReply:
    """Return an answer that is not a success, as the service gives it: a page for people."""
    code = code or _CODES.get(status, "Error")
    page = f"<html><head><title>{status} - {code}</title></head></html>\n"
    return HttpReply(status, page.encode(), code, "text/html")


def _identify(method: str, path: str) -> tuple[str, str]:
    if method == "PUT":
        return (TOKEN if path == _TOKEN_PATH else OTHER), ""
    if method != "GET":
        return OTHER, ""
    if path == _REGION_PATH:
        return REGION, ""
    if path.removesuffix("/") == _ROLE_PATH:
        return ROLE, ""
    if path.startswith(f"{_ROLE_PATH}/"):
        return CREDENTIALS, path.removeprefix(f"{_ROLE_PATH}/")
    return OTHER, ""


def _text(text: str) -> HttpReply:
    return HttpReply(200, text.encode(), content_type="text/plain")
