"""From an error of another room to the reason a user reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.controller.problem import Problem
from secret_sync.errors import NotFoundError, ThrottledError, TransientError
from secret_sync.kube import ApiError, ApiUnavailableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.errors import SecretSyncError

#: Codes of Alibaba Cloud and of our own rooms, by their beginning; the first match counts.
_BY_CODE: Final = (
    ("AccessKeySecret", Reason.ACCESS_KEY_NOT_FOUND),
    ("InvalidAccessKey", Reason.ACCESS_KEY_INVALID),
    ("SignatureDoesNotMatch", Reason.ACCESS_KEY_INVALID),
    ("IncompleteSignature", Reason.ACCESS_KEY_INVALID),
    ("InvalidTimeStamp", Reason.CLOCK_SKEW),
    ("IllegalTimestamp", Reason.CLOCK_SKEW),
    ("Forbidden.ResourceNotFound", Reason.SECRET_NOT_FOUND),
    ("Forbidden.KeyNotFound", Reason.SECRET_UNAVAILABLE),
    ("Forbidden", Reason.FORBIDDEN),
    ("NoPermission", Reason.FORBIDDEN),
    ("Rejected.Throttling", Reason.THROTTLED),
    ("Rejected", Reason.SECRET_UNAVAILABLE),
    ("Throttling", Reason.THROTTLED),
    ("TooLarge", Reason.TOO_LARGE),
    ("InvalidKey", Reason.INVALID_KEY),
)


def problem_of(error: SecretSyncError) -> Problem:
    """What a user is told of a fetch that failed.

    Of the whole way to a value only the Secret with the AccessKey is read from the API server;
    that its rules forbid this has nothing to do with RAM.
    """
    if isinstance(error, ApiUnavailableError):
        message = f"the API server could not be asked for the AccessKey: {error.message}"
        return Problem(Reason.PROVIDER_UNAVAILABLE, message, passing=True)
    if isinstance(error, ApiError):
        message = f"the API server refuses to have the AccessKey read: {error.message}"
        advice = "; see its RBAC rules" if error.lacks_right else ""
        return Problem(Reason.ACCESS_KEY_NOT_FOUND, message + advice)
    return Problem(_reason(error), error.message, passing=isinstance(error, TransientError))


def _reason(error: SecretSyncError) -> Reason:
    for beginning, reason in _BY_CODE:
        if error.code.startswith(beginning):
            return reason
    if isinstance(error, NotFoundError):
        return Reason.SECRET_NOT_FOUND
    if isinstance(error, ThrottledError):
        return Reason.THROTTLED
    if isinstance(error, TransientError):
        return Reason.PROVIDER_UNAVAILABLE
    return Reason.REQUEST_REFUSED
