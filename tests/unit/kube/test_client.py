"""Unary requests: what is sent, what is repeated, what an error says."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.errors import NotFoundError, TransientError
from secret_sync.kube import (
    METADATA,
    SECRETS,
    SERVICE_ACCOUNTS,
    Answer,
    ApiConflictError,
    ApiError,
    ApiExpiredError,
    ApiNotFoundError,
    ApiUnavailableError,
    KubeClient,
    Resource,
)
from secret_sync.kube import client as client_module
from secret_sync.kube.errors import ReadOnlyError
from secret_sync.kube.resource import verb_and_resource
from tests.unit.kube.fakes import answering, closing, refusing, status_of, storing

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.kube import ClusterAccess
    from tests.unit.kube.fakes import Exchange, ScriptedServer

PATH = SECRETS.path("ns", "name")
VALUE = "cGFzc3dvcmQ="


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (SECRETS, (), "/api/v1/secrets"),
        (SECRETS, ("ns",), "/api/v1/namespaces/ns/secrets"),
        (SECRETS, ("ns", "x"), "/api/v1/namespaces/ns/secrets/x"),
        (
            Resource("alibabacloud.com", "v1alpha1", "externalsecrets", "ExternalSecret"),
            ("ns", "x", "status"),
            "/apis/alibabacloud.com/v1alpha1/namespaces/ns/externalsecrets/x/status",
        ),
        (
            Resource("", "v1", "namespaces", "Namespace", namespaced=False),
            ("", "x"),
            "/api/v1/namespaces/x",
        ),
    ],
)
def test_paths(resource: Resource, arguments: tuple[str, ...], path: str) -> None:
    assert resource.path(*arguments) == path


async def test_a_request_carries_what_it_is_given(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others.append(storing())
    reply = await client.request(
        "PATCH",
        PATH,
        params={"fieldManager": "a b", "force": "true"},
        body={"data": {"key": VALUE}},
        content_type="application/apply-patch+yaml",
        accept=METADATA,
    )
    assert reply["metadata"]["resourceVersion"] == "7"
    request = server.requests[0]
    assert (request.method, request.path) == ("PATCH", PATH)
    assert request.query == {"fieldManager": "a b", "force": "true"}
    assert orjson.loads(request.body) == {"data": {"key": VALUE}}
    assert request.headers["content-type"] == "application/apply-patch+yaml"
    assert request.headers["accept"] == METADATA
    assert request.headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", SECRETS.path(), ("list", "secrets")),
        ("GET", SECRETS.path("ns"), ("list", "secrets")),
        ("GET", PATH, ("get", "secrets")),
        ("WATCH", SECRETS.path("ns"), ("watch", "secrets")),
        ("POST", SERVICE_ACCOUNTS.path("ns", "x", "token"), ("create", "serviceaccounts")),
        ("PATCH", "/apis/a.b/v1/namespaces/ns/things/x/status", ("patch", "things")),
        ("PUT", "/apis/a.b/v1/things/x", ("update", "things")),
        ("DELETE", "/api/v1/namespaces/namespaces/secrets/secrets", ("delete", "secrets")),
        ("GET", "/api/v1/namespaces/x", ("get", "namespaces")),
        ("GET", "/api/v1/namespaces", ("list", "namespaces")),
        ("GET", "/version", ("list", "")),
    ],
)
def test_verb_and_resource_are_those_of_rules(
    method: str, path: str, expected: tuple[str, str]
) -> None:
    assert verb_and_resource(method, path) == expected


class SeenRequests(list[tuple[str, str, int]]):
    """An observer that remembers."""

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        assert 0 <= seconds < 15
        self.append((verb, resource, code))


async def test_every_try_is_observed_with_its_answer(
    server: ScriptedServer, access: ClusterAccess
) -> None:
    seen = SeenRequests()
    async with KubeClient(access, observer=seen) as client:
        server.others += [refusing(401, "Unauthorized"), storing(), refusing(409, "Conflict")]
        await client.request("PATCH", PATH, body={})
        with pytest.raises(ApiConflictError):
            await client.request("PATCH", PATH, body={})
        (await client.stream(SECRETS.path(), params={"watch": "true"}, accept="", idle=1)).close()
        access.server = "http://127.0.0.1:1"
        with pytest.raises(ApiUnavailableError):
            await client.request("GET", PATH)
        with pytest.raises(ApiUnavailableError):
            await client.stream(SECRETS.path(), params={}, accept="", idle=1)
    patches = [("patch", "secrets", code) for code in (401, 200, 409)]
    gone = [("get", "secrets", 0), ("watch", "secrets", 0)]
    assert seen == [*patches, ("watch", "secrets", 200), *gone]


async def test_requests_share_a_connection(server: ScriptedServer, client: KubeClient) -> None:
    for _ in range(3):
        await client.request("GET", PATH)
    assert server.connections == 1


async def test_after_a_401_the_token_is_read_again_at_once(
    server: ScriptedServer, client: KubeClient, tmp_path: Path
) -> None:
    server.lists.append(refusing(401, "Unauthorized"))
    server.lists.append(storing(body={"kind": "Secret"}))
    (tmp_path / "token").write_text("token-2\n")
    assert (await client.request("GET", PATH))["kind"] == "Secret"
    assert [r.headers["authorization"] for r in server.requests] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_a_second_401_is_an_answer(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.extend([refusing(401, "Unauthorized")] * 3)
    with pytest.raises(ApiError) as caught:
        await client.request("GET", PATH)
    assert caught.value.status == 401
    assert len(server.requests) == 2


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "DELETE"])
async def test_a_stale_connection_costs_one_more_try(
    server: ScriptedServer, client: KubeClient, method: str
) -> None:
    await client.request("GET", PATH)
    queue = server.lists if method == "GET" else server.others
    queue.append(closing())
    queue.append(storing(body={"kind": "Done"}))
    assert (await client.request(method, PATH))["kind"] == "Done"
    assert len(server.requests) == 3


async def test_a_server_that_always_closes_is_unavailable(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.others.extend([closing()] * 9)
    with pytest.raises(ApiUnavailableError) as caught:
        await client.request("PATCH", PATH)
    assert caught.value.status == 0
    assert len(server.requests) == 2


async def test_nobody_there_is_unavailable_and_not_tried_twice(
    server: ScriptedServer, client: KubeClient
) -> None:
    await server.stop()
    with pytest.raises(ApiUnavailableError, match="cannot connect"):
        await client.request("GET", PATH)
    await server.start()  # the fixture stops it again


async def test_a_silent_server_is_unavailable(server: ScriptedServer, client: KubeClient) -> None:
    async def silence(exchange: Exchange) -> None:
        await exchange.stall()

    server.lists.append(silence)
    with pytest.raises(ApiUnavailableError, match="no answer in time"):
        await client.request("GET", PATH, timeout=0.1)


async def test_an_answer_that_breaks_off_is_unavailable(
    server: ScriptedServer, client: KubeClient
) -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"kind"')
        exchange.close()

    server.lists.append(half)
    with pytest.raises(ApiUnavailableError):
        await client.request("GET", PATH)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"null"])
async def test_an_answer_that_is_no_object_is_unavailable(
    server: ScriptedServer, client: KubeClient, body: bytes
) -> None:
    server.lists.append(answering(body))
    with pytest.raises(ApiUnavailableError):
        await client.request("GET", PATH)


async def test_redirects_are_not_followed(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(answering(b"", 307, Location=f"{server.url}/elsewhere"))
    with pytest.raises(ApiError):
        await client.request("GET", PATH)
    assert len(server.requests) == 1


async def test_an_error_holds_no_request(server: ScriptedServer, client: KubeClient) -> None:
    """The library's exceptions carry the request, token and all; ours must not lead there."""
    server.others.extend([closing()] * 2)
    with pytest.raises(ApiUnavailableError) as caught:
        await client.request("PATCH", PATH, body={"data": VALUE})
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (404, "NotFound", ApiNotFoundError),
        (404, "NotFound", NotFoundError),
        (409, "Conflict", ApiConflictError),
        (410, "Expired", ApiExpiredError),
        (410, "Gone", ApiExpiredError),
        (429, "TooManyRequests", ApiUnavailableError),
        (500, "InternalError", TransientError),
        (503, "ServiceUnavailable", ApiUnavailableError),
    ],
)
async def test_http_statuses_are_classified(
    server: ScriptedServer, client: KubeClient, code: int, reason: str, kind: type[Exception]
) -> None:
    server.lists.append(refusing(code, reason))
    with pytest.raises(kind):
        await client.request("GET", PATH)


async def test_version_too_large_counts_as_expired(
    server: ScriptedServer, client: KubeClient
) -> None:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    server.lists.append(refusing(504, "Timeout", causes=causes, retryAfterSeconds=1))
    with pytest.raises(ApiExpiredError):
        await client.request("GET", PATH)


@pytest.mark.parametrize("code", [400, 409, 413, 422, 500])
async def test_an_error_never_quotes_what_was_sent(
    server: ScriptedServer, client: KubeClient, code: int
) -> None:
    body = status_of(
        code,
        "Invalid",
        message=f'Secret "x" is invalid: data[key]: Invalid value: "{VALUE}"',
        causes=[{"field": "data[key]", "reason": "FieldValueInvalid", "message": VALUE}],
    )
    server.others.append(answering(body, code))
    with pytest.raises(ApiError) as caught:
        await client.request("PATCH", PATH, body={"data": {"key": VALUE}})
    error = caught.value
    assert VALUE not in str(error) + repr(error) + repr(vars(error))
    assert error.message == f"PATCH {PATH}: {code} Invalid (data[key])"
    assert error.about("data[key]")
    assert error.about("data[key]", "FieldValueInvalid")
    assert not error.about("data[key]", "FieldValueTooLong")


BARRED = 'secrets "x" is forbidden:'
IN_NS = ' in the namespace "ns"'


@pytest.mark.parametrize(
    ("code", "sentence", "shown"),
    [
        (403, 'User "me" cannot get resource "secrets"', None),
        (
            403,
            f'{BARRED} User "me" cannot patch resource "secrets" in API group ""{IN_NS}: {VALUE}',
            f'User "me" cannot patch resource "secrets" in API group ""{IN_NS}',
        ),
        (
            403,
            f"{BARRED} exceeded quota: q, requested: pods=1,secrets=1, used: secrets=5",
            "exceeded quota: q, requested: pods=1,secrets=1, used: secrets=5",
        ),
        (
            403,
            f"{BARRED} unable to create new content in namespace ns because it is being terminated",
            "unable to create new content in namespace ns because it is being terminated",
        ),
        (
            403,
            f'admission webhook "p.example.com" denied the request: {VALUE} is too weak',
            'refused by admission webhook "p.example.com"',
        ),
        (
            404,
            f'admission webhook "p.example.com" denied the request: {VALUE}',
            'refused by admission webhook "p.example.com"',
        ),
        (
            422,
            f"{BARRED} ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {VALUE}",
            "refused by ValidatingAdmissionPolicy 'p'",
        ),
        (403, f'{BARRED} {VALUE}: User "me" cannot get path "/"', ""),
        (403, f"exceeded everything: {VALUE}", ""),
    ],
)
async def test_a_refusal_is_quoted_where_its_form_is_known(
    server: ScriptedServer, client: KubeClient, code: int, sentence: str, shown: str | None
) -> None:
    server.lists.append(refusing(code, "Forbidden", sentence))
    with pytest.raises(ApiError) as caught:
        await client.request("GET", PATH)
    shown = sentence if shown is None else shown
    # A webhook chooses the reason as well.
    reason = "" if shown.startswith("refused by") else " Forbidden"
    assert caught.value.message == f"GET {PATH}: {code}{reason}" + (f": {shown}" if shown else "")
    assert caught.value.lacks_right == ("cannot" in shown)


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry_After": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry_After": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({"Retry_After": "86400"}, {}, 60.0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({}, {"retryAfterSeconds": "soon"}, None),
        ({}, {}, None),
    ],
)
async def test_retry_after_is_read(
    server: ScriptedServer,
    client: KubeClient,
    headers: dict[str, str],
    details: dict[str, Any],
    seconds: float | None,
) -> None:
    body = status_of(429, "TooManyRequests", **details)
    server.lists.append(answering(body, 429, **headers))
    with pytest.raises(ApiUnavailableError) as caught:
        await client.request("GET", PATH)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Bad Gateway</body></html>",
        b"",
        b"[1]",
        b'{"kind":"Status","code":"x","details":[],"reason":null}',
        b'{"kind":"Status","details":{"causes":[null,7,{}],"retryAfterSeconds":"x"}}',
    ],
)
async def test_a_refusal_in_any_shape_is_one(
    server: ScriptedServer, client: KubeClient, body: bytes
) -> None:
    server.lists.append(answering(body, 502))
    with pytest.raises(ApiUnavailableError) as caught:
        await client.request("GET", PATH)
    assert caught.value.status == 502


async def test_a_cancelled_request_is_cancelled(server: ScriptedServer, client: KubeClient) -> None:
    async def silence(exchange: Exchange) -> None:
        await exchange.stall()

    server.lists.append(silence)
    task = asyncio.create_task(client.request("GET", PATH))
    while not server.requests:  # noqa: ASYNC110 (the server has no event for it)
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_kernel_asks_whether_a_silent_connection_is_alive() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with client_module.keepalive_socket(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def test_a_proxy_is_used_only_where_the_kubeconfig_names_one(
    server: ScriptedServer, access: ClusterAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with KubeClient(access) as client:
        await client.request("GET", PATH)
    access.proxy = server.url
    access.server = "http://api.test:80"
    async with KubeClient(access) as client:
        await client.request("GET", PATH)
    assert server.requests[-1].headers["host"] == "api.test"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_client_that_only_reads_sends_no_write(
    server: ScriptedServer, access: ClusterAccess, method: str
) -> None:
    async with KubeClient(access, read_only=True) as client:
        with pytest.raises(ReadOnlyError, match="not sent, since this is a dry run"):
            await client.request(method, PATH, body={})
        assert server.requests == []


@pytest.mark.parametrize(
    "path",
    [
        SERVICE_ACCOUNTS.path("ns", "reader"),
        SECRETS.path("serviceaccounts", "token"),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    ],
)
async def test_client_that_only_reads_creates_nothing_but_tokens(
    server: ScriptedServer, access: ClusterAccess, path: str
) -> None:
    async with KubeClient(access, read_only=True) as client:
        with pytest.raises(ReadOnlyError):
            await client.request("POST", path, body={})
        assert server.requests == []
        path = SERVICE_ACCOUNTS.path("ns", "reader", "token")
        await client.request("POST", path, body={}, expected=Answer.ANY)
    assert [request.method for request in server.requests] == ["POST"]
