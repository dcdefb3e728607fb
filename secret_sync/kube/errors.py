"""Error responses of the API server.

The server's own sentences can quote the object that it refused, a Secret's values among it,
so only the codes, and sentences of a few known forms, are kept. Webhooks and policies
refuse with any code, in words of their own: of them only the name is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.errors import NotFoundError, SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: These say that somebody is unknown, or something: they never quote a body.
_QUOTABLE: Final = (401, 404)
_FORBIDDEN: Final = 403
#: Who refuses in words of their own.
_ADMISSION: Final = re.compile(
    r"admission webhook \"[\w.\-/]+\"|ValidatingAdmissionPolicy '[\w.\-]+'", re.ASCII
)
#: What RBAC says; who else authorizes may add free words, which are cut off.
_RIGHT: Final = re.compile(
    r'User "[^"]*" cannot \w+ (?:resource|path) "[^"]*"'
    r'(?: in API group "[^"]*")?(?: in the namespace "[^"]*"| at the cluster scope)?'
)
_LIMIT: Final = re.compile(
    r"exceeded quota: [\w.\-]+(?:, (?:requested|used|limited): [\w.\-/=]+(?:,[\w.\-/=]+)*)*"
    r"|unable to create new content in namespace [\w\-]+ because it is being terminated",
    re.ASCII,
)
_MAX_QUOTED: Final = 300
#: No wait that a server asks for stops us for longer (seconds).
MAX_WAIT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of ``details.causes``: which field, and what about it."""

    field: str
    reason: str


class ApiError(SecretSyncError):
    """A request to the API server failed: it was refused, or the API server is unavailable.

    Only the two subclasses, and theirs, are raised.

    Attributes:
        status: The HTTP status; 0 where no answer came.
        causes: What the failure is about, by field.
        retry_after: Seconds to wait, from ``Retry-After``, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        SecretSyncError.__init__(self, message, code=reason)
        self.status = status
        self.causes = causes
        self.retry_after = retry_after

    def about(self, field: str, *reasons: str) -> bool:
        """Whether a cause names this field, for one of these reasons if any are given."""
        return any(c.field == field and (not reasons or c.reason in reasons) for c in self.causes)

    @property
    def lacks_right(self) -> bool:
        """Whether authorization refused: a rule is missing, and nothing else."""
        return self.status == _FORBIDDEN and _RIGHT.search(self.message) is not None


class ReadOnlyError(SecretSyncError):
    """A client that only reads was to write; a bug, since nothing is to try it."""


class ApiRefusedError(ApiError):
    """The API server refused: the same request is refused again until something changes."""


class ApiUnavailableError(ApiError, TransientError):
    """The API server is not there, is overloaded or failed: the same request may succeed later."""


class ApiNotFoundError(ApiRefusedError, NotFoundError):
    """The object, or its whole kind, does not exist."""


class ApiConflictError(ApiRefusedError):
    """409: the object is not in the state the request was made for."""

    @property
    def managers(self) -> tuple[str, ...]:
        """Fields that another field manager owns; empty for any other conflict."""
        return tuple(c.field for c in self.causes if c.reason == "FieldManagerConflict")


class ApiExpiredError(ApiRefusedError):
    """410: the resource version is too old, so only a fresh list helps."""


def error_of(action: str, status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Read an error response.

    Args:
        action: What was tried (``PATCH /api/v1/...``), for the message.
        status: The HTTP status.
        body: A ``Status`` object, or whatever a proxy in between made of it.
        headers: Of the reply; ``Retry-After`` in seconds counts.
    """
    value = _status_object(body)
    retry_after = _seconds(headers.get("Retry-After"))
    return error_of_status(action, value, status=status, retry_after=retry_after)


def error_of_status(
    action: str,
    value: dict[str, Any],
    *,
    status: int = 0,
    retry_after: float | None = None,
) -> ApiError:
    """Read a ``Status`` object, also one that arrived in a stream with HTTP 200."""
    if status < 400:  # noqa: PLR2004 (HTTP)
        code = value.get("code")
        status = code if isinstance(code, int) and code >= 400 else 500  # noqa: PLR2004 (HTTP)
    sentence = str(value.get("message") or "")
    admission = _ADMISSION.search(sentence)
    # A webhook chooses this word, too, and fields and reasons that mean nothing here.
    reason = "" if admission is not None else str(value.get("reason") or "")
    details = _dict(value.get("details"))
    causes = tuple(
        Cause(str(c.get("field") or ""), str(c.get("reason") or ""))
        for c in map(_dict, _list(details.get("causes")))
        if admission is None
    )
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, int) and seconds > 0:
        retry_after = float(seconds)
    message = f"{action}: {status} {reason}".rstrip()
    quoted = f"refused by {admission[0]}" if admission is not None else _quoted(status, sentence)
    if quoted:
        message += f": {quoted[:_MAX_QUOTED]}"
    fields = ", ".join(dict.fromkeys(c.field for c in causes if c.field))
    if fields:
        message += f" ({fields})"
    return _class_of(status, reason, causes)(
        message,
        status=status,
        reason=reason,
        causes=causes,
        retry_after=None if retry_after is None else min(retry_after, MAX_WAIT),
    )


def _class_of(status: int, reason: str, causes: tuple[Cause, ...]) -> type[ApiError]:
    # A version that this server has not seen yet is too large; a list without one helps.
    too_new = any(c.reason == "ResourceVersionTooLarge" for c in causes)
    if status == 410 or reason in ("Expired", "Gone") or too_new:  # noqa: PLR2004 (HTTP)
        return ApiExpiredError
    if status == 404:  # noqa: PLR2004 (HTTP)
        return ApiNotFoundError
    if status == 409:  # noqa: PLR2004 (HTTP)
        return ApiConflictError
    if status == 429 or status >= 500:  # noqa: PLR2004 (HTTP)
        return ApiUnavailableError
    return ApiRefusedError


def _quoted(status: int, sentence: str) -> str:
    """Return the part of the server's message that may be shown."""
    if status in _QUOTABLE:
        return sentence
    if status != _FORBIDDEN:
        return ""
    # Behind "is forbidden: ", where there is that; what follows is free text.
    _, found, rest = sentence.partition(" is forbidden: ")
    known_part = rest if found else sentence
    known = _RIGHT.match(known_part) or _LIMIT.match(known_part)
    return known[0] if known is not None else ""


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(value: str | None) -> float | None:
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)
