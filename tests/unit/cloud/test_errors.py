"""Which failure means what: the table of refusals as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from secret_sync.cloud.errors import MAX_RETRY_AFTER, error_of, retry_after
from secret_sync.cloud.services import KMS, OOS, STS
from secret_sync.cloud.transport import Reply
from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    NotFoundError,
    ThrottledError,
    TransientError,
)

if TYPE_CHECKING:
    from secret_sync.cloud.services import ServiceProfile
    from secret_sync.errors import SecretSyncError

WHAT = 'KMS secret "db" at kms.example'
TOKEN = "CAISshort"

# status, code, permanent credentials, temporary ones
TABLE: list[tuple[int, str, type[SecretSyncError], type[SecretSyncError]]] = [
    (404, "Forbidden.ResourceNotFound", NotFoundError, NotFoundError),
    (404, "Forbidden.KeyNotFound", DefiniteError, DefiniteError),
    (403, "Forbidden.NoPermission", DefiniteError, DefiniteError),
    (400, "Forbidden.NoPermission", DefiniteError, DefiniteError),
    (403, "Forbidden.DKMSInstanceNotFound", DefiniteError, DefiniteError),
    (403, "Forbidden.DKMSInstanceStateInvalid", DefiniteError, DefiniteError),
    (403, "NoPermission", DefiniteError, DefiniteError),
    (404, "EntityNotExist.Role", DefiniteError, DefiniteError),
    (400, "InvalidParameter", DefiniteError, DefiniteError),
    (400, "InvalidParameter.RoleArn", DefiniteError, DefiniteError),
    (400, "MissingParameter", DefiniteError, DefiniteError),
    (400, "IllegalTimestamp", ClockError, ClockError),
    (400, "UnsupportedOperation", DefiniteError, DefiniteError),
    (400, "Rejected.UnsupportedOperation", DefiniteError, DefiniteError),
    (404, "InvalidAccessKeyId.NotFound", DefiniteError, CredentialsError),
    (400, "InvalidAccessKeyId.Inactive", DefiniteError, CredentialsError),
    (400, "SignatureDoesNotMatch", DefiniteError, DefiniteError),
    (400, "SignatureNonceUsed", TransientError, TransientError),
    (400, "InvalidTimeStamp.Expired", ClockError, ClockError),
    (400, "InvalidSecurityToken.Expired", CredentialsError, CredentialsError),
    (403, "InvalidSecurityToken.Malformed", CredentialsError, CredentialsError),
    (401, "AuthenticationFail.OIDCToken.Expired", CredentialsError, CredentialsError),
    (401, "AuthenticationFail.OIDCToken.Invalid", DefiniteError, DefiniteError),
    (409, "Rejected.Disabled", DefiniteError, DefiniteError),
    (409, "Rejected.PendingDeletion", DefiniteError, DefiniteError),
    (409, "Rejected.Unavailable", DefiniteError, DefiniteError),
    (409, "Rejected.ResourceInDeleteWindow", DefiniteError, DefiniteError),
    (429, "Rejected.Throttling", ThrottledError, ThrottledError),
    (400, "Throttling.User", ThrottledError, ThrottledError),
    (400, "Throttling.Api", ThrottledError, ThrottledError),
    (400, "Throttling", ThrottledError, ThrottledError),
    (500, "InternalFailure", TransientError, TransientError),
    (400, "InternalError", TransientError, TransientError),
    (503, "ServiceUnavailableTemporary", TransientError, TransientError),
    (503, "SerivceUnvailableTemporary", TransientError, TransientError),
    (400, "NeverSeenBefore", DefiniteError, DefiniteError),
    (418, "", DefiniteError, DefiniteError),
    (429, "NeverSeenBefore", ThrottledError, ThrottledError),
    (500, "NeverSeenBefore", TransientError, TransientError),
    (302, "NeverSeenBefore", TransientError, TransientError),
]


def reply(status: int, body: bytes, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, CIMultiDict(names), body, complete=True)


def refusal(status: int, code: str, message: str = "", **headers: str) -> Reply:
    body = {"Code": code, "Message": message, "RequestId": "REQ-1", "HttpStatus": status}
    return reply(status, json.dumps(body).encode(), **headers)


def xml_refusal(status: int, code: str, message: str = "") -> Reply:
    fields = f"<RequestId>REQ-1</RequestId>\n<Code> {code}</Code><Message>{message}</Message>"
    return reply(status, f'<?xml version="1.0"?><KMS>{fields}</KMS>'.encode())


@pytest.mark.parametrize(("status", "code", "permanent", "temporary"), TABLE)
@pytest.mark.parametrize("form", [refusal, xml_refusal])
def test_classes_of_refusals(
    form: type, status: int, code: str, permanent: type, temporary: type
) -> None:
    for is_temporary, expected in ((False, permanent), (True, temporary)):
        error = error_of(form(status, code), what=WHAT, temporary=is_temporary)
        assert type(error) is expected
        assert error.code == code
        assert error.message.startswith(f"{WHAT}: ")
        assert "request REQ-1" in error.message
        assert error.request_id == "REQ-1"
        assert f"HTTP {status}" in error.message


@pytest.mark.parametrize("service", [KMS, OOS, STS])
@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (7200.0, "that of this machine is about 120 minutes behind: set it (InvalidTimeStamp"),
        (-1800.0, "that of this machine is about 30 minutes ahead: set it (InvalidTimeStamp"),
        (60.0, "agrees with this machine's clock, so the request was held up on its way, the"),
        (None, "15 minutes (InvalidTimeStamp.Expired, HTTP 400"),
    ],
)
def test_clock_difference_names_the_clock_that_seems_wrong(
    service: ServiceProfile, ahead: float | None, words: str
) -> None:
    headers = {}
    if ahead is not None:
        date = datetime.now(UTC) + timedelta(seconds=ahead)
        headers["Date"] = format_datetime(date, usegmt=True)
    answer = reply(400, b'{"Code": "InvalidTimeStamp.Expired", "RequestId": "R"}', **headers)
    error = error_of(answer, what=WHAT, temporary=False, service=service)
    assert isinstance(error, ClockError)
    assert words in error.message


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b'"x"', b"\xff\xfe"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(502, TransientError), (503, TransientError), (404, TransientError), (429, ThrottledError)],
)
def test_response_not_from_the_service_keeps_its_status_and_is_transient(
    status: int, kind: type, body: bytes
) -> None:
    error = error_of(reply(status, body, Retry_After="2"), what=WHAT, temporary=False)
    assert type(error) is kind
    assert isinstance(error, TransientError)
    assert error.retry_after == 2.0
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InvalidTimeStamp.Expired", "clock of this machine"),
        ("IllegalTimestamp", "clock of this machine"),
        ("SignatureDoesNotMatch", "AccessKey secret does not belong to the AccessKey ID"),
        ("InvalidAccessKeyId.NotFound", "AccessKey ID does not exist"),
        ("InvalidAccessKeyId.Inactive", "AccessKey is disabled"),
        ("Forbidden.NoPermission", "kms:GetSecretValue"),
        ("Forbidden.ResourceNotFound", "does not exist"),
        ("Rejected.Throttling", "too many calls"),
        ("InvalidSecurityToken.Malformed", "temporary credentials were not accepted"),
        ("AuthenticationFail.OIDCToken.Invalid", "credentials were not accepted"),
        ("InvalidParameter", 'refused with "The parameter SecretName is invalid."'),
    ],
)
def test_cause_is_explained(code: str, words: str) -> None:
    answer = refusal(400, code, "The parameter SecretName is invalid.")
    assert words in error_of(answer, what=WHAT, temporary=False).message


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NoPermission", "sts:AssumeRole"),
        ("Forbidden.NoPermission", "sts:AssumeRole"),
        ("EntityNotExist.Role", "role does not exist"),
    ],
)
def test_sts_is_not_spoken_of_as_kms(code: str, words: str) -> None:
    answer = refusal(403, code, "m")
    error = error_of(answer, what="role", temporary=True, service=STS)
    assert "kms:" not in error.message
    assert words in error.message


def test_sts_not_found_is_not_a_missing_secret() -> None:
    answer = refusal(404, "Forbidden.ResourceNotFound", "m")
    assert type(error_of(answer, what="role", temporary=True, service=STS)) is DefiniteError


@pytest.mark.parametrize("service", [KMS, STS])
def test_every_meaning_is_a_clause(service: ServiceProfile) -> None:
    assert service.meaning
    for code, words in service.meaning.items():
        assert words.isprintable()
        assert not words.endswith("."), code
        assert "  " not in words, code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x_acs_retry_after": "500"}, 0.5),
        ({"X_Acs_Retry_After": "1500", "Retry_After": "9"}, 1.5),
        ({"Retry_After": "9"}, 9.0),
        ({"Retry_After": "999999"}, MAX_RETRY_AFTER),
        ({"x_acs_retry_after": "99999999"}, MAX_RETRY_AFTER),
        ({"x_acs_retry_after": "0"}, None),
        ({"x_acs_retry_after": "-5"}, None),
        ({"x_acs_retry_after": "soon", "Retry_After": "3"}, 3.0),
        ({"Retry_After": "١٢"}, None),
        (
            {
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
                "Retry_After": "Wed, 21 Oct 2026 07:28:07 GMT",
            },
            7.0,
        ),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:07 GMT"}, None),
        ({"Date": "yesterday", "Retry_After": "tomorrow"}, None),
        (
            {
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
                "Retry_After": "Wed, 21 Oct 2026 07:28:00 +99999999999999999999",
            },
            None,
        ),
    ],
)
def test_requested_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(reply(503, b"", **headers).headers) == seconds


@pytest.mark.slow
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_header_is_handled(wait: str, date: str) -> None:
    found = retry_after({"x-acs-retry-after": wait, "Retry-After": wait, "Date": date})
    assert found is None or 0.0 < found <= MAX_RETRY_AFTER


@pytest.mark.parametrize(
    "code",
    [
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId.NotFound",
        "InvalidSecurityToken.Malformed",
        "IncompleteSignature",
        "MissingSecurityToken",
        "InvalidCredentials.Other",
    ],
)
def test_service_is_never_quoted_about_credentials(code: str) -> None:
    message = f"server string to sign is: POST x-acs-security-token:{TOKEN} tail"
    text = str(error_of(refusal(400, code, message), what=WHAT, temporary=True))
    assert "string to sign" not in text
    assert TOKEN not in text


def test_quoted_message_is_redacted() -> None:
    message = (
        f"bad\r\n\x1b[31m thing {TOKEN} LTAI5tExampleExampleExample"
        " c2VjcmV0IHRva2VuIG9mIHNvbWVib2R5+/== " + "word " * 100
    )
    text = error_of(
        refusal(400, "InvalidParameter", message), what=WHAT, temporary=True, hide=("", TOKEN)
    ).message
    assert 'refused with "bad [31m thing *** *** *** word word' in text
    assert text.isprintable()
    assert len(text) < 350


def test_malformed_code_or_request_id_is_dropped() -> None:
    body = {"Code": "Bad code\n" * 50, "Message": "m", "RequestId": "<script>"}
    error = error_of(reply(400, json.dumps(body).encode()), what=WHAT, temporary=False)
    assert error.code == ""
    assert error.message == f'{WHAT}: refused with "m" (HTTP 400)'


def test_request_id_may_come_in_a_header() -> None:
    answer = reply(400, b'{"Code":"InvalidParameter"}', x_acs_request_id="REQ-9")
    assert "request REQ-9" in error_of(answer, what=WHAT, temporary=False).message


@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_body_is_handled(status: int, body: bytes) -> None:
    assert error_of(reply(status, body), what=WHAT, temporary=False).message.startswith(WHAT)
