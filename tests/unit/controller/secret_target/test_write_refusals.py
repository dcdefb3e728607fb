"""Why the API server refuses to write a Secret, as a user reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.controller.secret_target.write_conflicts import refused
from secret_sync.kube import ApiRefusedError
from secret_sync.kube.errors import Cause, error_of
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

TLS = "kubernetes.io/tls"
DOCKER = "kubernetes.io/dockerconfigjson"
BASIC = "kubernetes.io/basic-auth"
REQUIRED, INVALID = "FieldValueRequired", "FieldValueInvalid"


@pytest.mark.parametrize(
    ("of", "causes", "said"),
    [
        (
            TLS,
            [("data[tls.key]", REQUIRED)],
            "data[tls.key] is required by type kubernetes.io/tls: add an entry that writes it",
        ),
        (
            TLS,
            [("data[tls.crt]", REQUIRED), ("data[tls.key]", REQUIRED)],
            (
                "data[tls.crt] is required by type kubernetes.io/tls: add an entry that writes it; "
                "data[tls.key] is required by type kubernetes.io/tls: add an entry that writes it"
            ),
        ),
        (
            BASIC,
            [("data[username]", REQUIRED), ("data[password]", REQUIRED)],
            (
                "data[password] or data[username] is required by type kubernetes.io/basic-auth: "
                "add an entry that writes it"
            ),
        ),
        (
            DOCKER,
            [("data[.dockerconfigjson]", INVALID)],
            (
                "data[.dockerconfigjson] is not what type kubernetes.io/dockerconfigjson requires: "
                'a JSON object like {"auths": {...}}, not encoded in base64'
            ),
        ),
        ("Opaque", [("data[a b]", INVALID)], "data[a b] is not a legal key of a Secret"),
        ("Opaque", [("data", "FieldValueTooLong")], "data is longer than the 1 MiB that"),
        ("Opaque", [("type", INVALID)], "type cannot be changed; delete the Secret, or"),
        ("Opaque", [("data", "FieldValueForbidden")], "data cannot be changed, the Secret is imm"),
        ("Opaque", [("metadata.labels", INVALID)], "metadata.labels (FieldValueInvalid)"),
        # What is no reason of the API server's own is not repeated.
        ("Opaque", [("data[a]", "because it is hunter2")], "PATCH: 422"),
        ("Opaque", [("", REQUIRED)], "PATCH: 422"),
        ("Opaque", [], "PATCH: 422"),
    ],
)
def test_each_field_is_reported_with_its_reason(
    make_es: MakeES, of: str, causes: list[tuple[str, str]], said: str
) -> None:
    given = tuple(Cause(field, reason) for field, reason in causes)
    problem = refused(make_es(type=of), ApiRefusedError("PATCH: 422", status=422, causes=given))
    assert problem.reason is Reason.WRITE_FAILED
    start = "Secret ns/some was not written, the API server refused it: "
    assert problem.message.startswith(start + said)
    assert "hunter2" not in problem.message


def test_of_a_secret_of_others_the_type_is_not_known(make_es: MakeES) -> None:
    error = ApiRefusedError("no", status=422, causes=(Cause("data[.dockercfg]", INVALID),))
    problem = refused(make_es(target={"creationPolicy": "Merge"}), error)
    assert "data[.dockercfg] is not what its type requires: a JSON object" in problem.message


def test_many_fields_are_reported_in_part(make_es: MakeES) -> None:
    causes = tuple(Cause(f"data[{n} x]", INVALID) for n in range(500))
    message = refused(make_es(), ApiRefusedError("no", status=422, causes=causes)).message
    assert message.endswith("and 490 more")
    assert len(message) < 1000


def test_message_of_a_webhook_is_no_reason_of_the_api_server(make_es: MakeES) -> None:
    body: dict[str, Any] = {
        "kind": "Status",
        "code": 422,
        "message": 'admission webhook "a.b" denied the request: hunter2',
        "details": {"causes": [{"field": "data", "reason": "FieldValueForbidden"}]},
    }
    error = error_of("PATCH x", 422, orjson.dumps(body), {})
    assert error.causes == ()
    message = refused(make_es(), error).message
    assert message.endswith('refused it: PATCH x: 422: refused by admission webhook "a.b"')
