"""Complete lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApiError, ApiExpiredError, ApiUnavailableError
from secret_sync.kube.pager import PAGE, Pager
from tests.unit.kube.fakes import COLLECTION, answering, item, listing, refusing, status_of

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ScriptedServer

EXPIRED = refusing(410, "Expired", "The provided continue parameter is too old")


@pytest.fixture
def pager(client: KubeClient) -> Pager[str]:
    def name(value: dict[str, Any]) -> str | None:
        assert (value["kind"], value["apiVersion"]) == ("ConfigMap", "v1")
        found: str = value["metadata"]["name"]
        return None if found.startswith("unwanted") else found

    return Pager(client, COLLECTION, accept="application/json", kind="ConfigMap", read=name)


async def test_pages_until_the_token_is_gone(server: ScriptedServer, pager: Pager[str]) -> None:
    server.lists.append(listing(item("a"), token="t1", rv="7"))
    server.lists.append(listing(item("b"), item("unwanted"), token="t2", rv="7"))
    server.lists.append(listing(item("c", rv="999"), rv="7"))
    found = await pager.list_all()
    assert found.objects == ["a", "b", "c"]
    assert [r.query for r in server.listed] == [
        {"limit": str(PAGE)},
        {"limit": str(PAGE), "continue": "t1"},
        {"limit": str(PAGE), "continue": "t2"},
    ]


async def test_an_empty_token_ends_the_list(server: ScriptedServer, pager: Pager[str]) -> None:
    server.lists.append(listing(item("a"), token=""))
    assert (await pager.list_all()).objects == ["a"]
    assert len(server.listed) == 1


async def test_no_request_names_a_version(server: ScriptedServer, pager: Pager[str]) -> None:
    server.lists.append(listing(token="t"))
    await pager.list_all()
    assert len(server.listed) == 2
    for request in server.listed:
        assert not {"resourceVersion", "resourceVersionMatch"} & request.query.keys()


async def test_a_page_that_expired_discards_the_ones_before(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    server.lists.extend([listing(item("gone"), token="t"), EXPIRED])
    server.lists.extend([listing(item("a"), token="t"), listing(item("b"))])
    assert (await pager.list_all()).objects == ["a", "b"]


async def test_after_three_such_tries_one_list_without_pages(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    for _ in range(3):
        server.lists.extend([listing(item("gone"), token="t"), EXPIRED])
    server.lists.append(listing(item("a"), item("b"), rv="8"))
    found = await pager.list_all()
    assert (found.objects, found.resource_version) == (["a", "b"], "8")
    assert len(server.listed) == 7
    assert server.listed[-1].query == {}


async def test_the_token_of_a_refusal_is_never_used(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    inconsistent = status_of(410, "Expired") | {"metadata": {"continue": "inconsistent"}}
    server.lists.extend([listing(item("gone"), token="t"), answering(inconsistent, 410)])
    server.lists.append(listing(item("a")))
    assert (await pager.list_all()).objects == ["a"]
    assert [r.query.get("continue") for r in server.listed] == [None, "t", None]


async def test_a_first_page_that_is_expired_is_an_error(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    server.lists.append(EXPIRED)
    with pytest.raises(ApiExpiredError):
        await pager.list_all()
    assert len(server.listed) == 1


async def test_the_version_is_the_collections(server: ScriptedServer, pager: Pager[str]) -> None:
    server.lists.append(listing(item("a", rv="900"), item("b", rv="3"), rv="500"))
    assert (await pager.list_all()).resource_version == "500"


async def test_items_get_kind_and_version_from_the_list(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    server.lists.append(listing(item("a")))
    assert b'"kind":"ConfigMap"' not in b"".join(r.body for r in server.requests)
    assert (await pager.list_all()).objects == ["a"]  # the reader has looked


async def test_a_list_of_status_410_with_http_200_is_expired(
    server: ScriptedServer, pager: Pager[str]
) -> None:
    server.lists.append(answering(status_of(410, "Expired")))
    with pytest.raises(ApiExpiredError):
        await pager.list_all()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "SecretList", "metadata": {"resourceVersion": "1"}, "items": []},
        {"kind": "ConfigMapList", "metadata": {}, "items": []},
        {"kind": "ConfigMapList", "metadata": {"resourceVersion": ""}, "items": []},
        {"kind": "ConfigMapList", "metadata": None},
        {"kind": "ConfigMap", "metadata": {"resourceVersion": "1"}},
    ],
)
async def test_invalid_list_is_not_taken_for_an_empty_one(
    server: ScriptedServer, pager: Pager[str], body: dict[str, Any]
) -> None:
    """It would delete every object that is known."""
    server.lists.append(answering(body))
    with pytest.raises(ApiUnavailableError, match=r"malformed|no ConfigMapList"):
        await pager.list_all()


async def test_a_refusal_is_an_error(server: ScriptedServer, pager: Pager[str]) -> None:
    server.lists.append(refusing(403, "Forbidden"))
    with pytest.raises(ApiError):
        await pager.list_all()


async def test_a_list_without_items_is_empty(server: ScriptedServer, pager: Pager[str]) -> None:
    empty = {"kind": "ConfigMapList", "metadata": {"resourceVersion": "1"}, "items": None}
    server.lists.append(answering(empty))
    assert (await pager.list_all()).objects == []
