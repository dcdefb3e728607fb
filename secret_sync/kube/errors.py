"""What the API server answers when it does not do what it was asked.

The server's own sentences can quote the object that it refused, a Secret's values among it,
so only the codes, and the sentences of a few harmless ones, are kept (A12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.errors import NotFoundError, SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: These name who may not do what, or what does not exist; they never quote a body.
_QUOTABLE: Final = (401, 403, 404)
_MAX_QUOTED: Final = 300
#: No wait that a server asks for stops us for longer (seconds).
_MAX_WAIT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of ``details.causes``: which field, and what about it."""

    field: str
    reason: str


class ApiError(SecretSyncError):
    """The API server refused a request.

    Attributes:
        status: The HTTP status; 0 where no answer came.
        causes: What the refusal is about, by field.
        retry_after: Seconds the server asked to wait, or ``None``.
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
        """Whether a cause names this field, for one of these reasons if any are given (A7)."""
        return any(c.field == field and (not reasons or c.reason in reasons) for c in self.causes)


class ApiUnavailableError(ApiError, TransientError):
    """The API server is not there, is overloaded or failed: the same request may succeed later."""


class ApiNotFoundError(ApiError, NotFoundError):
    """The object, or its whole kind, does not exist."""


class ApiConflictError(ApiError):
    """409: the object is not in the state the request was made for."""

    @property
    def managers(self) -> tuple[str, ...]:
        """Fields that another field manager owns; empty for any other conflict."""
        return tuple(c.field for c in self.causes if c.reason == "FieldManagerConflict")


class ApiExpiredError(ApiError):
    """410: the resource version is too old, so only a fresh list helps (W5)."""


def error_of(action: str, status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Reads a refusal.

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
    """Reads a ``Status`` object, also one that arrived in a stream with HTTP 200 (W5)."""
    if status < 400:  # noqa: PLR2004 (HTTP)
        code = value.get("code")
        status = code if isinstance(code, int) and code >= 400 else 500  # noqa: PLR2004 (HTTP)
    reason = str(value.get("reason") or "")
    details = _dict(value.get("details"))
    causes = tuple(
        Cause(str(c.get("field") or ""), str(c.get("reason") or ""))
        for c in map(_dict, details.get("causes") or ())
    )
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, int) and seconds > 0:
        retry_after = float(seconds)
    message = f"{action}: {status} {reason}".rstrip()
    if status in _QUOTABLE and value.get("message"):
        message += f": {str(value['message'])[:_MAX_QUOTED]}"
    fields = ", ".join(dict.fromkeys(c.field for c in causes if c.field))
    if fields:
        message += f" ({fields})"
    return _class_of(status, reason, causes)(
        message,
        status=status,
        reason=reason,
        causes=causes,
        retry_after=None if retry_after is None else min(retry_after, _MAX_WAIT),
    )


def _class_of(status: int, reason: str, causes: tuple[Cause, ...]) -> type[ApiError]:
    # L7: too new a version means that this server has not seen it; a list without one helps.
    too_new = any(c.reason == "ResourceVersionTooLarge" for c in causes)
    if status == 410 or reason in ("Expired", "Gone") or too_new:  # noqa: PLR2004 (HTTP)
        return ApiExpiredError
    if status == 404:  # noqa: PLR2004 (HTTP)
        return ApiNotFoundError
    if status == 409:  # noqa: PLR2004 (HTTP)
        return ApiConflictError
    if status == 429 or status >= 500:  # noqa: PLR2004 (HTTP)
        return ApiUnavailableError
    return ApiError


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(value: str | None) -> float | None:
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)
