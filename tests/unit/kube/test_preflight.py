"""What has to be there before anything is watched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.errors import DefiniteError
from secret_sync.kube import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    NAMESPACES,
    SECRETS,
    ApiUnavailableError,
    KubeClient,
    Preflight,
    RequiredPermission,
    Resource,
)
from secret_sync.kube import preflight as module
from tests.unit.kube.fakes import answering, closing, refusing

if TYPE_CHECKING:
    from secret_sync.kube import ClusterAccess
    from tests.unit.kube.fakes import Exchange, Script, ScriptedServer

KIND = Resource("example.com", "v1", "things", "Thing")
NEEDS = (
    RequiredPermission(KIND, ("list", "watch")),
    RequiredPermission(KIND, ("patch",), "status"),
)
KNOWN = answering({"resources": [{"name": "things"}, {"name": "things/status"}]})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute is over at once."""
    monkeypatch.setattr(module, "BETWEEN", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.05)


def reviewing(*denied: str) -> Script:
    """Grants everything but what is written here as ``verb plural/subresource``."""

    async def script(exchange: Exchange) -> None:
        asked = orjson.loads(exchange.request.body)["spec"]["resourceAttributes"]
        name = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        exchange.answer({"status": {"allowed": f"{asked['verb']} {name}" not in denied}})

    return script


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    bodies = [orjson.loads(r.body) for r in server.requests if r.method == "POST"]
    return [body["spec"]["resourceAttributes"] for body in bodies]


async def test_all_is_well(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 3)
    await Preflight(client).check(NEEDS, namespaces=(), hint="")
    assert server.requests[0].path == "/apis/example.com/v1"
    rights = {(a["verb"], a["resource"], a.get("subresource")) for a in asked(server)}
    assert rights == {
        ("list", "things", None),
        ("watch", "things", None),
        ("patch", "things", "status"),
    }
    assert all(a["group"] == "example.com" and "namespace" not in a for a in asked(server))


async def test_rights_are_asked_for_in_each_namespace(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 6)
    await Preflight(client).check(NEEDS, namespaces=("one", "two"), hint="")
    assert sorted(a["namespace"] for a in asked(server)) == ["one"] * 3 + ["two"] * 3


async def test_a_namespace_without_any_right_is_left_to_itself_if_others_have_them(
    server: ScriptedServer, client: KubeClient
) -> None:
    def granting(*namespaces: str) -> Script:
        async def script(exchange: Exchange) -> None:
            attributes = orjson.loads(exchange.request.body)["spec"]["resourceAttributes"]
            exchange.answer({"status": {"allowed": attributes["namespace"] in namespaces}})

        return script

    places = ("one", "gone", "two")
    server.lists.extend([KNOWN] * 2)
    server.others.extend([granting("one", "two")] * 9)
    assert await Preflight(client).check(NEEDS, namespaces=places, hint="") == ("gone",)
    server.others.extend([granting()] * 9)
    with pytest.raises(DefiniteError) as caught:
        await Preflight(client).check(NEEDS, namespaces=places, hint="")
    assert all(f"in namespace {place}" in caught.value.message for place in places)


async def test_a_namespace_with_some_of_the_rights_only_is_a_mistake(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing("watch things")] * 6)
    with pytest.raises(DefiniteError, match=r"watch things\.example\.com in namespace one, watch "):
        await Preflight(client).check(NEEDS, namespaces=("one", "two"), hint="")


async def test_a_missing_right_is_one_line(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing("watch things", "patch things/status")] * 3)
    with pytest.raises(DefiniteError) as caught:
        await Preflight(client).check(NEEDS, namespaces=("one",), hint="")
    assert "watch things.example.com in namespace one" in caught.value.message
    assert "patch things/status.example.com in namespace one" in caught.value.message
    assert "list things" not in caught.value.message


async def test_forbidden_access_review_lets_the_start_pass(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([refusing(403, "Forbidden")] * 3)
    await Preflight(client).check(NEEDS, namespaces=(), hint="")


@pytest.mark.parametrize("script", [answering({"resources": []}), refusing(404, "NotFound")])
async def test_a_missing_kind_comes_with_a_hint(
    server: ScriptedServer, client: KubeClient, script: Script
) -> None:
    server.lists.append(script)
    with pytest.raises(DefiniteError, match="install the CRDs"):
        await Preflight(client).check(NEEDS, namespaces=(), hint="install the CRDs")


async def test_the_core_group_is_elsewhere(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(answering({"resources": [{"name": "secrets"}]}))
    server.others.append(reviewing())
    await Preflight(client).check((RequiredPermission(SECRETS, ("get",)),), namespaces=(), hint="")
    assert server.requests[0].path == "/api/v1"


async def test_a_server_that_comes_up_late_is_waited_for(
    server: ScriptedServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BETWEEN", 0.01)
    server.lists.extend([refusing(503, "ServiceUnavailable")] * 3)
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 3)
    async with asyncio.timeout(5):
        await Preflight(client).check(NEEDS, namespaces=(), hint="")


async def test_an_answer_that_is_lost_is_asked_for_again(
    server: ScriptedServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BETWEEN", 0.01)
    server.lists.append(KNOWN)
    # Twice for each of the three, since a connection that breaks is tried once more at once.
    server.others.extend([closing()] * 6)
    server.others.extend([reviewing("watch things")] * 3)
    async with asyncio.timeout(5):
        with pytest.raises(DefiniteError, match="watch things"):
            await Preflight(client).check(NEEDS, namespaces=(), hint="")
    server.others.extend([closing()] * 2)
    server.others.append(answering({"status": {"userInfo": {"username": "somebody"}}}))
    async with asyncio.timeout(5):
        assert await Preflight(client).who_am_i() == "somebody"


async def test_a_server_that_does_not_come_up_is_an_error(
    server: ScriptedServer, client: KubeClient, impatient: None
) -> None:
    server.lists.extend([refusing(503, "ServiceUnavailable")] * 1000)
    async with asyncio.timeout(5):
        with pytest.raises(ApiUnavailableError):
            await Preflight(client).check(NEEDS, namespaces=(), hint="")


# -- What is useful but not indispensable ---------------------------------------------------

WATCHING = RequiredPermission(KIND, ("list", "watch"))


async def test_no_permission_is_missing(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 2)
    assert await Preflight(client).missing_permission(WATCHING) == ""
    # It is about the whole cluster.
    assert all("namespace" not in a for a in asked(server))


@pytest.mark.parametrize("script", [answering({"resources": []}), refusing(404, "NotFound")])
async def test_kind_that_is_not_installed_is_missing(
    server: ScriptedServer, client: KubeClient, script: Script
) -> None:
    server.lists.append(script)
    assert (
        await Preflight(client).missing_permission(WATCHING)
        == "the API server does not know things"
    )
    assert asked(server) == []


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        (("list things",), "list things.example.com"),
        (
            ("list things", "watch things"),
            "list things.example.com, watch things.example.com",
        ),
    ],
)
async def test_missing_permission_is_named(
    server: ScriptedServer, client: KubeClient, denied: tuple[str, ...], said: str
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing(*denied)] * 2)
    assert (
        await Preflight(client).missing_permission(WATCHING)
        == f"RBAC does not allow this controller to {said}"
    )


async def test_namespaces_themselves_are_in_none(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(answering({"resources": [{"name": "namespaces"}]}))
    server.others.append(reviewing())
    await Preflight(client).check(
        (RequiredPermission(NAMESPACES, ("list",)),), namespaces=("one", "two"), hint=""
    )
    (only,) = asked(server)
    assert "namespace" not in only


async def test_unreachable_server_is_not_a_missing_permission(
    server: ScriptedServer, client: KubeClient, impatient: None
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([refusing(503, "ServiceUnavailable")] * 1000)
    with pytest.raises(ApiUnavailableError):
        await Preflight(client).missing_permission(WATCHING)


async def test_missing_permission_is_checked_in_each_namespace(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(answering({"resources": [{"name": "events"}]}))
    server.others.extend([reviewing("patch events")] * 4)
    need = RequiredPermission(EVENTS, ("create", "patch"))
    assert await Preflight(client).missing_permission(need, namespaces=("one", "two")) == (
        "RBAC does not allow this controller to "
        "patch events in namespace one, patch events in namespace two"
    )


async def test_a_right_may_be_about_one_object(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(answering({"resources": [{"name": "customresourcedefinitions"}]}))
    server.others.append(reviewing("watch customresourcedefinitions"))
    need = RequiredPermission(CUSTOM_RESOURCE_DEFINITIONS, ("watch",), name="things.example.com")
    assert await Preflight(client).missing_permission(need, namespaces=("one",)) == (
        "RBAC does not allow this controller to "
        "watch customresourcedefinitions.apiextensions.k8s.io things.example.com"
    )
    (only,) = asked(server)
    assert only["name"] == "things.example.com"
    assert "namespace" not in only


ME = "system:serviceaccount:secret-sync:secret-sync"


@pytest.mark.parametrize(
    ("script", "user"),
    [
        (answering({"status": {"userInfo": {"username": ME}}}), ME),
        # Servers before 1.28 do not know the question, and some do not let it be asked.
        (refusing(404, "NotFound"), ""),
        (refusing(403, "Forbidden"), ""),
        (answering({}), ""),
        (answering({"status": None}), ""),
        (answering({"status": {"userInfo": {"username": 7}}}), ""),
    ],
)
async def test_own_identity_is_asked_for(
    server: ScriptedServer, client: KubeClient, script: Script, user: str
) -> None:
    server.others.append(script)
    assert await Preflight(client).who_am_i() == user
    (request,) = server.requests
    assert (request.method, request.path) == (
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    )


async def test_own_identity_is_not_guessed_while_the_server_is_away(
    server: ScriptedServer, client: KubeClient, impatient: None
) -> None:
    server.others.extend([refusing(503, "ServiceUnavailable")] * 1000)
    with pytest.raises(ApiUnavailableError):
        await Preflight(client).who_am_i()


async def test_client_that_only_reads_tries_lists_instead_of_asking(
    server: ScriptedServer, access: ClusterAccess
) -> None:
    """A review is a create; what would write is not needed."""
    async with KubeClient(access, read_only=True) as client:
        preflight = Preflight(client)
        server.lists.append(KNOWN)
        assert await preflight.check(NEEDS, namespaces=("one",), hint="") == ()
        assert [request.method for request in server.requests] == ["GET", "GET"]
        server.lists.append(refusing(403, "Forbidden"))
        with pytest.raises(DefiniteError, match=r"list things\.example\.com in namespace one"):
            await preflight.check(NEEDS, namespaces=("one",), hint="")
        server.lists.append(refusing(403, "Forbidden"))
        why = await preflight.missing_permission(NEEDS[0])
        assert why == "RBAC does not allow this controller to list things.example.com"
        assert await preflight.who_am_i() == ""
    assert asked(server) == []
