"""The meaning of a failed call: retry, slow down, refresh the credentials, or stop.

Services give the cause as a code. Their message may repeat the request, including the security
token and the signed string, so it is quoted only for codes that are not about credentials, and
always redacted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import orjson

from secret_sync.cloud.clocks import compare
from secret_sync.cloud.services import KMS
from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    NotFoundError,
    ThrottledError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from secret_sync.cloud.services import ServiceProfile
    from secret_sync.cloud.transport import Reply
    from secret_sync.errors import SecretSyncError

# Longest wait that a service may request: a header must not stop us for longer.
MAX_RETRY_AFTER = 60.0
_MAX_QUOTE = 200
_MAX_XML = 64 * 1024
_MAX_DIGITS = 12

# AccessKey IDs, tokens, signatures and digests are long runs of these; ordinary words are not.
_KEY_LIKE = re.compile(r"[A-Za-z0-9+/=_.~%-]{20,}")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,100}")
_XML_FIELD = re.compile(rb"<(Code|Message|RequestId)>([^<]{0,4096})</\1>")

# For these the service's message is not quoted, even if the code is unknown.
_ABOUT_CREDENTIALS = re.compile(r".*(AccessKey|Signature|Token|Authenticat|Credential)", re.DOTALL)

_THROTTLED = re.compile(r"Rejected\.Throttling|Throttling.*")
_TRANSIENT = re.compile(
    # The second one is spelled as the service spells it.
    r"ServiceUnavailable.*|SerivceUnvailableTemporary|InternalFailure|InternalError"
    r"|SignatureNonceUsed"
)
_REFRESH = re.compile(r"InvalidSecurityToken.*|AuthenticationFail\.OIDCToken\.Expired")
_REFRESH_TEMPORARY = re.compile(r"InvalidAccessKeyId.*")
_DEFINITE = re.compile(
    r"Forbidden.*|NoPermission|EntityNotExist.*|InvalidParameter.*|SignatureDoesNotMatch"
    r"|Rejected\..*"
)
_CLOCK = re.compile(r"InvalidTimeStamp\.Expired|IllegalTimestamp")

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CLIENT_ERROR = 400


class UnreachableError(TransientError):
    """No connection was made, so nothing was sent: another host of the service may work."""


class StaleConnectionError(TransientError):
    """The connection was closed before any response.

    That is normal for a kept-alive connection that the server closed. So the first time the call
    is repeated at once, with a new signature; like every try it acquires the rate limiter.
    """


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str
    message: str
    request_id: str


def error_of(
    reply: Reply,
    *,
    what: str,
    temporary: bool,
    hide: Collection[str] = (),
    service: ServiceProfile = KMS,
) -> SecretSyncError:
    """Convert a response that is not a success into an error.

    Args:
        reply: The response, with any status but 200.
        what: What was requested and where; the message begins with it.
        temporary: Whether the credentials were temporary, so that a refresh can replace them.
        hide: Strings of the request that must not be repeated.
        service: The service that responded.

    Returns:
        An error whose class says what to do, with the service's code.
    """
    refusal = _parse(reply)
    wait = retry_after(reply.headers)
    if refusal is None:
        return _unreadable(reply, what, wait)
    code = refusal.code
    details = [part for part in (code, f"HTTP {reply.status}") if part]
    if refusal.request_id:
        details.append(f"request {refusal.request_id}")
    kind = _kind(code, reply.status, service, temporary=temporary)
    clocks = compare(reply.headers) if kind is ClockError else ""
    message = f"{what}: {_meaning(refusal, hide, service)}{clocks} ({', '.join(details)})"
    request_id = refusal.request_id
    if issubclass(kind, TransientError):
        return kind(message, code=code, request_id=request_id, retry_after=wait)
    return kind(message, code=code, request_id=request_id)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response asks to wait, at most ``MAX_RETRY_AFTER``.

    ``x-acs-retry-after`` is in milliseconds and takes precedence; ``Retry-After`` is in seconds, or
    a date, which is compared with the response's own ``Date``. Anything else is ignored.
    """
    seconds = _number(headers.get("x-acs-retry-after"), 0.001)
    if seconds is None:
        value = headers.get("Retry-After")
        seconds = _number(value, 1.0)
        if seconds is None and value is not None:
            seconds = _between(headers.get("Date"), value)
    if seconds is None or seconds <= 0.0:
        return None
    return min(seconds, MAX_RETRY_AFTER)


def _kind(
    code: str, status: int, service: ServiceProfile, *, temporary: bool
) -> type[SecretSyncError]:
    # Codes take precedence: the same refusal has different statuses in different services.
    kind: type[SecretSyncError]
    if _THROTTLED.fullmatch(code):
        kind = ThrottledError
    elif code in service.not_found:
        kind = NotFoundError
    elif _TRANSIENT.fullmatch(code):
        kind = TransientError
    elif _REFRESH.fullmatch(code) or (temporary and _REFRESH_TEMPORARY.fullmatch(code)):
        kind = CredentialsError
    elif _CLOCK.fullmatch(code):
        kind = ClockError
    elif _DEFINITE.fullmatch(code):
        kind = DefiniteError
    elif status == _TOO_MANY_REQUESTS:
        kind = ThrottledError
    elif _CLIENT_ERROR <= status < _SERVER_ERROR:
        kind = DefiniteError
    else:
        kind = TransientError
    return kind


def _meaning(refusal: _Refusal, hide: Collection[str], service: ServiceProfile) -> str:
    code = refusal.code
    while code:
        if (known := service.meaning.get(code)) is not None:
            return known
        code = code.rpartition(".")[0]
    if _THROTTLED.fullmatch(refusal.code):
        return "too many calls for the quota"
    if _ABOUT_CREDENTIALS.match(refusal.code):
        return "the credentials were not accepted"
    return f'refused with "{quoted}"' if (quoted := _redacted(refusal.message, hide)) else "refused"


def _unreadable(reply: Reply, what: str, wait: float | None) -> TransientError:
    # Without a code the response is not from the service but from a proxy or gateway, so even a 4xx
    # says nothing definite about the secret.
    kind = ThrottledError if reply.status == _TOO_MANY_REQUESTS else TransientError
    body = "an unreadable answer" if reply.body else "an empty answer"
    return kind(f"{what}: {body} (HTTP {reply.status})", retry_after=wait)


def _parse(reply: Reply) -> _Refusal | None:
    fields = _json_fields(reply.body)
    if fields is None:
        fields = _xml_fields(reply.body)
    if fields is None:
        return None
    code, message, request_id = fields
    request_id = request_id or reply.headers.get("x-acs-request-id", "")
    return _Refusal(
        code if _WORD.fullmatch(code) else "",
        message,
        request_id if _WORD.fullmatch(request_id) else "",
    )


def _json_fields(body: bytes) -> tuple[str, str, str] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None

    def text(name: str) -> str:
        value = document.get(name, document.get(name[0].lower() + name[1:]))
        return value if isinstance(value, str) else ""

    return text("Code"), text("Message"), text("RequestId")


def _xml_fields(body: bytes) -> tuple[str, str, str] | None:
    # Three flat fields need no XML parser, which could be made to expand entities.
    found = {
        name: value.strip().decode(errors="replace")
        for name, value in _XML_FIELD.findall(body[:_MAX_XML])
    }
    if b"Code" not in found:
        return None
    return found[b"Code"], found.get(b"Message", ""), found.get(b"RequestId", "")


def _redacted(message: str, hide: Collection[str]) -> str:
    for secret in hide:
        if secret:
            message = message.replace(secret, "***")
    message = _KEY_LIKE.sub("***", message)
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return message if len(message) <= _MAX_QUOTE else f"{message[:_MAX_QUOTE]}..."


def _number(value: str | None, unit: float) -> float | None:
    # isdecimal() alone would let digits of other scripts pass.
    if value is None or len(value) > _MAX_DIGITS or not (value.isascii() and value.isdecimal()):
        return None
    return int(value) * unit


def _between(earlier: str | None, later: str) -> float | None:
    if earlier is None:
        return None
    try:
        return (parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
