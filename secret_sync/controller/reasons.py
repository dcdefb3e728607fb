"""From an error of another room to the reason a user reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.controller.sync import Problem
from secret_sync.errors import NotFoundError, ThrottledError, TransientError
from secret_sync.kube import ApiError, ApiUnavailableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.errors import SecretSyncError

#: Codes of Alibaba Cloud and of our own rooms, by their beginning; the first match counts.
_BY_CODE: Final = (
    ("AccessKeySecretKeyMissing", Reason.ACCESS_KEY_KEY_MISSING),
    ("AccessKeySecret", Reason.ACCESS_KEY_NOT_FOUND),
    ("InvalidAccessKey", Reason.ACCESS_KEY_INVALID),
    ("SignatureDoesNotMatch", Reason.ACCESS_KEY_INVALID),
    ("IncompleteSignature", Reason.ACCESS_KEY_INVALID),
    ("InvalidTimeStamp", Reason.CLOCK_SKEW),
    ("IllegalTimestamp", Reason.CLOCK_SKEW),
    ("ClockSkew", Reason.CLOCK_SKEW),
    ("Forbidden.ResourceNotFound", Reason.SECRET_NOT_FOUND),
    ("Forbidden.KeyNotFound", Reason.SECRET_UNAVAILABLE),
    ("Forbidden", Reason.FORBIDDEN),
    # STS has the word without a prefix.
    ("NoPermission", Reason.ROLE_NOT_TRUSTED),
    ("AuthenticationFail.NoPermission", Reason.ROLE_NOT_TRUSTED),
    ("AuthenticationFail.OIDCToken.Expired", Reason.TOKEN_EXPIRED),
    ("AuthenticationFail.OIDCToken.AudienceNotMatch", Reason.AUDIENCE_MISMATCH),
    ("AuthenticationFail.OIDCToken", Reason.TOKEN_INVALID),
    ("EntityNotExist.Role", Reason.ROLE_NOT_FOUND),
    ("EntityNotExist.OIDCProvider", Reason.OIDC_PROVIDER_NOT_FOUND),
    ("InvalidParameter.RoleSessionName", Reason.SESSION_NAME_INVALID),
    ("InvalidParameter.DurationSeconds", Reason.SESSION_EXPIRATION_INVALID),
    ("InvalidSecurityToken", Reason.SESSION_EXPIRED),
    ("ServiceAccountNotFound", Reason.SERVICE_ACCOUNT_NOT_FOUND),
    ("TokenForbidden", Reason.TOKEN_FORBIDDEN),
    ("TokenFileUnreadable", Reason.TOKEN_FILE_UNREADABLE),
    ("WorkerRole.NotAttached", Reason.WORKER_ROLE_MISSING),
    ("WorkerRole", Reason.WORKER_ROLE_UNAVAILABLE),
    ("Rejected.Throttling", Reason.THROTTLED),
    ("Rejected", Reason.SECRET_UNAVAILABLE),
    ("Throttling", Reason.THROTTLED),
    ("EmptyValue", Reason.VALUE_UNUSABLE),
    ("UnusableValue", Reason.VALUE_UNUSABLE),
    ("VersionMismatch", Reason.VERSION_MISMATCH),
    ("UnknownRegionCA", Reason.PRIVATE_CA_UNKNOWN),
    ("InvalidVersionId", Reason.INVALID_SPEC),
    # Of parse/.
    ("TooLarge", Reason.TOO_LARGE),
    ("InvalidKey", Reason.INVALID_KEY),
    ("InvalidJMESPath", Reason.INVALID_JMES_PATH),
    ("InvalidRegex", Reason.INVALID_REGEX),
    ("NotADocument", Reason.NOT_A_DOCUMENT),
    ("DuplicateKey", Reason.DUPLICATE_KEY),
    ("PathNotFound", Reason.PATH_NOT_FOUND),
    ("KeyCollision", Reason.KEY_COLLISION),
    ("TooCostly", Reason.TOO_COSTLY),
    # Of templates/.
    ("TemplateInvalid", Reason.TEMPLATE_INVALID),
    ("TemplateFailed", Reason.TEMPLATE_FAILED),
)


def problem_of(error: SecretSyncError) -> Problem:
    """Return the problem to report for a fetch that failed.

    What the API server says on the way to a value is about an AccessKey or a token; that its
    rules forbid something has nothing to do with RAM.
    """
    if isinstance(error, ApiUnavailableError):
        message = f"the API server could not be asked for the credentials: {error.message}"
        return Problem(Reason.PROVIDER_UNAVAILABLE, message)
    if isinstance(error, ApiError):
        message = f"the API server refuses to have the AccessKey read: {error.message}"
        advice = "; add that to the controller's RBAC rules" if error.lacks_right else ""
        return Problem(Reason.ACCESS_KEY_NOT_FOUND, message + advice)
    return Problem(_reason(error), error.message, request_id=error.request_id)


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
