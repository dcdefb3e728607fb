"""From an error of another room to the reason that a user reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync import parse
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    NotFoundError,
    ThrottledError,
    TransientError,
)
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.errors import (
        SecretSyncError,
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotFoundError("x", code="Forbidden.ResourceNotFound"), Reason.SECRET_NOT_FOUND),
        (NotFoundError("x"), Reason.SECRET_NOT_FOUND),
        (DefiniteError("x", code="Forbidden.KeyNotFound"), Reason.SECRET_UNAVAILABLE),
        (DefiniteError("x", code="Forbidden.NoPermission"), Reason.FORBIDDEN),
        (DefiniteError("x", code="NoPermission"), Reason.ROLE_NOT_TRUSTED),
        (DefiniteError("x", code="Rejected.Disabled"), Reason.SECRET_UNAVAILABLE),
        (ThrottledError("x", code="Rejected.Throttling"), Reason.THROTTLED),
        (ThrottledError("x", code="Throttling.User"), Reason.THROTTLED),
        (ThrottledError("x"), Reason.THROTTLED),
        (CredentialsError("x", code="InvalidAccessKeyId.NotFound"), Reason.ACCESS_KEY_INVALID),
        (DefiniteError("x", code="SignatureDoesNotMatch"), Reason.ACCESS_KEY_INVALID),
        (DefiniteError("x", code="InvalidAccessKey"), Reason.ACCESS_KEY_INVALID),
        (DefiniteError("x", code="AccessKeySecretNotFound"), Reason.ACCESS_KEY_NOT_FOUND),
        (DefiniteError("x", code="AccessKeySecretKeyMissing"), Reason.ACCESS_KEY_KEY_MISSING),
        (DefiniteError("x", code="AuthenticationFail.NoPermission"), Reason.ROLE_NOT_TRUSTED),
        (
            CredentialsError("x", code="AuthenticationFail.OIDCToken.Expired"),
            Reason.TOKEN_EXPIRED,
        ),
        (
            DefiniteError("x", code="AuthenticationFail.OIDCToken.AudienceNotMatch"),
            Reason.AUDIENCE_MISMATCH,
        ),
        (
            DefiniteError("x", code="AuthenticationFail.OIDCToken.InvalidSignature"),
            Reason.TOKEN_INVALID,
        ),
        (DefiniteError("x", code="EntityNotExist.Role"), Reason.ROLE_NOT_FOUND),
        (DefiniteError("x", code="EntityNotExist.OIDCProvider"), Reason.OIDC_PROVIDER_NOT_FOUND),
        (
            DefiniteError("x", code="InvalidParameter.RoleSessionName"),
            Reason.SESSION_NAME_INVALID,
        ),
        (
            DefiniteError("x", code="InvalidParameter.DurationSeconds"),
            Reason.SESSION_EXPIRATION_INVALID,
        ),
        (CredentialsError("x", code="InvalidSecurityToken.Expired"), Reason.SESSION_EXPIRED),
        (DefiniteError("x", code="ServiceAccountNotFound"), Reason.SERVICE_ACCOUNT_NOT_FOUND),
        (DefiniteError("x", code="TokenForbidden"), Reason.TOKEN_FORBIDDEN),
        (DefiniteError("x", code="TokenFileUnreadable"), Reason.TOKEN_FILE_UNREADABLE),
        (DefiniteError("x", code="WorkerRole.NotAttached"), Reason.WORKER_ROLE_MISSING),
        (TransientError("x", code="WorkerRole.Unavailable"), Reason.WORKER_ROLE_UNAVAILABLE),
        (DefiniteError("x", code="InvalidTimeStamp.Expired"), Reason.CLOCK_SKEW),
        (DefiniteError("x", code="IllegalTimestamp"), Reason.CLOCK_SKEW),
        (ClockError("x", code="ClockSkew"), Reason.CLOCK_SKEW),
        (DefiniteError("x", code="TooLarge"), Reason.TOO_LARGE),
        (TransientError("x", code="InternalFailure"), Reason.PROVIDER_UNAVAILABLE),
        (TransientError("x"), Reason.PROVIDER_UNAVAILABLE),
        (DefiniteError("x", code="InvalidParameter"), Reason.REQUEST_REFUSED),
    ],
    ids=lambda value: getattr(value, "code", None) or type(value).__name__,
)
def test_reasons(error: SecretSyncError, reason: Reason) -> None:
    problem = problem_of(error)
    assert problem.reason is reason
    assert problem.message == "x"


CODES = [
    value
    for value in (getattr(parse, name) for name in parse.__all__ if name.isupper())
    if isinstance(value, str)
]


@pytest.mark.parametrize("code", CODES)
def test_parse_errors_have_a_reason_of_that_name(code: str) -> None:
    problem = problem_of(DefiniteError("x", code=code))
    assert problem.reason == Reason(code)


def test_request_id_of_the_service_is_kept_for_the_log() -> None:
    problem = problem_of(DefiniteError("RAM says no", code="Forbidden", request_id="0A1"))
    assert problem.log_fields() == {
        "reason": "Forbidden",
        "message": "RAM says no",
        "request_id": "0A1",
    }
    assert "request_id" not in problem_of(DefiniteError("no", code="Forbidden")).log_fields()


def test_an_access_key_that_the_api_server_keeps_to_itself_is_no_matter_of_ram() -> None:
    said = 'User "me" cannot get resource "secrets"'
    problem = problem_of(ApiRefusedError(said, status=403, reason="Forbidden"))
    assert problem.reason is Reason.ACCESS_KEY_NOT_FOUND
    assert problem.message.startswith("the API server refuses")
    assert problem.message.endswith(f"{said}; add that to the controller's RBAC rules")

    other = problem_of(ApiRefusedError("refused by a webhook", status=403, reason="Forbidden"))
    assert other.message.endswith("refused by a webhook")


def test_an_api_server_that_is_away_is_named_as_such() -> None:
    problem = problem_of(ApiUnavailableError("GET /x: 503", status=503))
    assert problem.message.startswith("the API server could not be asked")


def test_every_reason_is_one_word_in_camel_case() -> None:
    for reason in Reason:
        assert reason.value.isalpha()
        assert reason.value[0].isupper()
