"""The errors that cross packages, by what is to be done about them.

Each class answers one question: try again, refresh the credentials, or stop? Which reason a
user reads is the controller's business. A message is for a person and never carries a value,
a token or key material.
"""

from __future__ import annotations


class SecretSyncError(Exception):
    """Base of all errors this project raises on purpose.

    Attributes:
        message: A sentence for a person: what, where and, if known, what to do.
        code: The code of the service (``Forbidden.NoPermission``), or ``""``.
        request_id: The service's number of the request, or ``""``.
    """

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.request_id = request_id


class TransientError(SecretSyncError):
    """A passing fault: the same call may succeed later.

    Attributes:
        retry_after: Seconds to wait, as the service demanded, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after


class ReferenceChangedError(TransientError):
    """What a store refers to is not in the version whose grant was checked any more.

    It was not used. The change is about to arrive by a watch, and is checked then.
    """


class ThrottledError(TransientError):
    """The other side limits our rate; the caller's gate slows down."""


class CredentialsError(SecretSyncError):
    """The credentials were not accepted: refresh them once, then repeat the call."""


class DefiniteError(SecretSyncError):
    """A definite "no": only a change of the configuration helps, so retry slowly."""


class ClockError(DefiniteError):
    """Our clock is wrong, so no call is accepted: as an outage, until it is set."""


class NotFoundError(DefiniteError):
    """The requested secret does not exist."""


def word_for(error: SecretSyncError) -> str:
    """Return the result of a call as a metric label."""
    match error:
        case ThrottledError():
            return "throttled"
        case TransientError():
            return "unavailable"
        case CredentialsError():
            return "credentials"
    return "refused"
