"""Templates on the real API server: rendered again when an input changes, and only then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import KubeClient
from tests.support.operator import (
    external_secret,
    path_of,
    secret,
    syncs_of,
    values_of,
    version_of,
)
from tests.support.watching import Watching, force_sync, post_as

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

OWNER = "secret-sync.alibabacloud.com/owner"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RENDERED = "secret-sync.alibabacloud.com/rendered-metadata"
MANAGED_KEYS = "ack-alibabacloud.com/managed-keys"
FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
LABELS = {"labels": {"user": "{{ .user }}"}, "annotations": {"example.org/note": "{{ .user }}"}}


def templated(template: dict[str, Any], object_name: str = "some", **target: Any) -> dict[str, Any]:
    """An ExternalSecret with a user and a password."""
    return external_secret(
        object_name,
        {"key": "templates/user", "name": "user"},
        {"key": "templates/password", "name": "password"},
        target={"template": template, **target},
    )


def config_map(data: dict[str, str], name: str = "texts") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def from_object(kind: str, *keys: str, name: str = "texts") -> dict[str, Any]:
    return {"templateFrom": [{kind: {"name": name, "items": [{"key": key} for key in keys]}}]}


def metadata_of(found: dict[str, Any] | None, field: str) -> dict[str, str]:
    """Labels or annotations, without those that all Secrets have."""
    held: dict[str, str] = ((found or {}).get("metadata") or {}).get(field) or {}
    return {k: v for k, v in held.items() if k not in (OWNER, RENDERED, MANAGED_BY_LABEL)}


@pytest.fixture(autouse=True)
async def _values(admin: CloudAdmin) -> None:
    await admin.put_secret("templates/user", "alice")
    await admin.put_secret("templates/password", "one")


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every write of the controllers of this process, but of Leases."""
    seen: list[str] = []
    send = KubeClient.request

    async def request(client: KubeClient, method: str, path: str, **more: Any) -> Any:
        if method != "GET" and "leases" not in path and "selfsubject" not in path:
            seen.append(f"{method} {path}")
        return await send(client, method, path, **more)

    monkeypatch.setattr(KubeClient, "request", request)
    return seen


# -- Rendered again -----------------------------------------------------------------------


async def test_a_new_value_is_rendered(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    template = {"data": {"both": "{{ .user }}:{{ .password }}"}, "metadata": LABELS}
    async with running():
        await api.put(templated(template), home)
        await api.until_holds(home, "some", {"both": "alice:one"})
        await admin.put_secret("templates/user", "bob")
        await force_sync(api, home, "some", "now")
        found = await api.until_holds(home, "some", {"both": "bob:one"})
        assert metadata_of(found, "labels") == {"user": "bob"}
        assert metadata_of(found, "annotations") == {"example.org/note": "bob"}


@pytest.mark.parametrize("kind", ["configMap", "secret"])
async def test_a_changed_source_of_templates_is_rendered_without_a_call(
    admin: CloudAdmin, api: Api, home: str, running: Running, kind: str
) -> None:
    def texts(text: str) -> dict[str, Any]:
        return config_map({"a": text}) if kind == "configMap" else secret("texts", {"a": text})

    async with running(disable_polling=True):
        await api.put(templated(from_object(kind, "a")), home)
        await api.until_ready(home, "some", "TemplateSourceNotFound")
        await api.put(texts("1 {{ .user }}"), home)
        await api.until_holds(home, "some", {"a": "1 alice"})
        calls = (await admin.counters())["total"]
        for number in (2, 3):
            await api.put(texts(f"{number} {{{{ .user }}}}"), home)
            started = asyncio.get_running_loop().time()
            await api.until_holds(home, "some", {"a": f"{number} alice"})
            assert asyncio.get_running_loop().time() - started < 5
        await api.delete("ConfigMap" if kind == "configMap" else "Secret", home, "texts")
        await api.until_ready(home, "some", "TemplateSourceNotFound")
        assert (await api.get("Secret", home, "some"))["data"] == {"a": "MyBhbGljZQ=="}
        await api.put(texts("4 {{ .user }}"), home)
        await api.until_holds(home, "some", {"a": "4 alice"})
        assert (await admin.counters())["total"] == calls


async def test_of_config_maps_only_those_referred_to_are_kept(
    api: Api, home: str, running: Running
) -> None:
    await api.put(config_map({"a": "{{ .user }}"}), home)
    await api.put(config_map({"a": "b"}, "other"), home)
    async with running() as controller:
        store = controller.watched.config_maps.store
        await api.put(templated({"data": {"a": "b"}}), home)
        await api.until_ready(home, "some", "Synced")
        assert not controller.watched.config_maps.synced
        await api.put(templated(from_object("configMap", "a")), home)
        await api.until_holds(home, "some", {"a": "alice"})
        await controller.watched.config_maps.wait_synced()
        await api.put(config_map({"a": "c"}, "other"), home)
        await api.put(config_map({"a": "2 {{ .user }}"}), home)
        await api.until_holds(home, "some", {"a": "2 alice"})
        assert [found.name for found in store.values()] == ["texts"]
        # Of one that existed before, nothing has told; it is looked up.
        await api.put(templated(from_object("configMap", "a", name="other")), home)
        await api.until_holds(home, "some", {"a": "c"})
        assert [found.name for found in store.values()] == ["other"]
        await api.delete("ConfigMap", home, "other")
        await api.until_ready(home, "some", "TemplateSourceNotFound")
        await api.delete("ExternalSecret", home, "some")
        await api.until("ExternalSecret", home, "some", lambda found: found is None)
        assert list(store.values()) == []


async def test_secrets_have_to_be_granted_where_the_operator_says_so(
    api: Api, home: str, running: Running
) -> None:
    await api.put(secret("texts", {"a": "1 {{ .user }}"}), home)
    async with running(template_secrets="granted"):
        await api.put(templated(from_object("secret", "a")), home)
        condition = await api.until_ready(home, "some", "TemplateSourceForbidden")
        assert "--template-secrets=granted" in condition["message"]
        assert await api.find("Secret", home, "some") is None
        granted = {"secret-sync.alibabacloud.com/template": "true"}
        await api.merge("Secret", home, "texts", {"metadata": {"annotations": granted}})
        await api.until_holds(home, "some", {"a": "1 alice"})
        await api.merge("Secret", home, "texts", {"metadata": {"annotations": None}})
        await api.until_ready(home, "some", "TemplateSourceForbidden")
        await api.until_holds(home, "some", {"a": "1 alice"})


# -- Fields of ours -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "patch",
    [
        {"data": {"a": "aGFja2Vk"}},
        {"data": {"a": None}},
        {"data": {"more": "eA=="}},
        {"metadata": {"labels": {"user": "mallory"}}},
        {"metadata": {"labels": {"user": None}}},
        {"metadata": {"annotations": {"example.org/note": "x"}}},
        {"metadata": {"annotations": {RENDERED: None}}},
        {"metadata": {"annotations": {RENDERED: "labels/other"}}},
        {"metadata": {"labels": None, "annotations": None}},
    ],
    ids=str,
)
async def test_drift_of_what_was_rendered_is_repaired(
    admin: CloudAdmin, api: Api, home: str, running: Running, patch: dict[str, Any]
) -> None:
    template = {"data": {"a": "{{ .user }}"}, "metadata": LABELS}
    async with running():
        await api.put(templated(template), home)
        before = await api.until_holds(home, "some", {"a": "alice"})
        await api.until_ready(home, "some", "Synced")
        calls = (await admin.counters())["total"]
        edited = await api.merge("Secret", home, "some", patch)

        def repaired(found: dict[str, Any] | None) -> bool:
            return (
                found is not None
                and version_of(found) != version_of(edited)
                and found["data"] == before["data"]
                and found["metadata"].get("labels") == before["metadata"]["labels"]
                and found["metadata"].get("annotations") == before["metadata"]["annotations"]
            )

        await api.until("Secret", home, "some", repaired)
        assert (await admin.counters())["total"] == calls


async def test_labels_and_annotations_go_with_their_template_and_those_of_others_stay(
    api: Api, home: str, running: Running
) -> None:
    theirs = {"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "2"}}}
    template = {"data": {"a": "{{ .user }}"}, "metadata": LABELS}
    async with running():
        await api.put(templated(template), home)
        await api.until_holds(home, "some", {"a": "alice"})
        await api.merge("Secret", home, "some", theirs)
        fewer = {"labels": {"other": "x"}}
        await api.put(templated({**template, "metadata": fewer}), home)

        def has(labels: dict[str, str], annotations: dict[str, str]) -> Any:
            return lambda found: (
                metadata_of(found, "labels") == labels
                and metadata_of(found, "annotations") == annotations
            )

        await api.until("Secret", home, "some", has({"theirs": "1", "other": "x"}, {"theirs": "2"}))
        plain = external_secret("some", {"key": "templates/user", "name": "user"})
        await api.put(plain, home)
        await api.until_holds(home, "some", {"user": "alice"})
        found = await api.until("Secret", home, "some", has({"theirs": "1"}, {"theirs": "2"}))
        assert RENDERED not in found["metadata"]["annotations"]


@pytest.mark.parametrize("change", ["type", "immutable"])
async def test_a_recreated_secret_has_what_was_rendered_and_what_others_set(
    admin: CloudAdmin, api: Api, home: str, running: Running, change: str
) -> None:
    own = {"type": "example.org/own"} if change == "type" else {}
    template = {"data": {"a": "{{ .user }}"}, "metadata": LABELS}
    immutable: dict[str, Any] = {"immutable": True} if change == "immutable" else {}
    async with running():
        await api.put(templated(template, **immutable), home)
        first = await api.until_holds(home, "some", {"a": "alice"})
        theirs = {"metadata": {"labels": {"theirs": "1"}}}
        await api.merge("Secret", home, "some", theirs)
        if change == "type":
            await api.put(templated({**template, **own}), home)
        else:
            await admin.put_secret("templates/user", "bob")
            await force_sync(api, home, "some", "now")
        found = await api.until(
            "Secret",
            home,
            "some",
            lambda s: s is not None and s["metadata"]["uid"] != first["metadata"]["uid"],
        )
        await api.until_ready(home, "some", "Synced")
        user = values_of(found)["a"]
        assert metadata_of(found, "labels") == {"theirs": "1", "user": user}
        # The label of another one is another one's again.
        await api.put(templated({"data": {"a": "{{ .user }}"}, **own}, **immutable), home)
        await api.until(
            "Secret", home, "some", lambda s: metadata_of(s, "labels") == {"theirs": "1"}
        )


async def test_a_templated_secret_of_ack_secret_manager_is_taken_over(
    api: Api, home: str, running: Running
) -> None:
    """As 0.6.x leaves it: data, labels and annotations of one ``Update``."""
    made = secret("some", {"a": "alice", "dropped": "x"})
    made["metadata"] |= {
        "labels": {"user": "alice", "dropped": "x"},
        "annotations": {MANAGED_KEYS: "a,dropped", "example.org/note": "alice"},
    }
    await post_as(api, "ack-secret-manager", made, home)
    document = templated({"data": {"a": "{{ .user }}"}, "metadata": LABELS})
    document["metadata"]["finalizers"] = [FINALIZER]
    await api.put(document, home)
    async with Watching(api, home, "some") as watching, running():
        await api.until_ready(home, "some", "Synced")
        found = await api.until_holds(home, "some", {"a": "alice"})
        await api.until(
            "Secret", home, "some", lambda s: metadata_of(s, "labels") == {"user": "alice"}
        )
        found = await api.get("Secret", home, "some")
        assert metadata_of(found, "annotations") == {"example.org/note": "alice"}
        managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
        assert managers == {"secret-sync"}
        assert watching.absences == 0
        assert all(state is None or state["a"] == "alice" for state in watching.states)


# -- The same bytes -----------------------------------------------------------------------

DATED = {
    "htpasswd": "{{ htpasswd .user .password }}",
    "hash": "{{ bcrypt .password 4 }}",
    "now": '{{ now | date "2006-01-02T15:04:05Z07:00" }}',
}


async def test_polls_and_restarts_write_nothing_although_the_template_has_hashes_and_the_time(
    admin: CloudAdmin, api: Api, home: str, running: Running, writes: list[str]
) -> None:
    async with running():
        await api.put(templated({"data": DATED, "metadata": LABELS}), home)
        await api.until_ready(home, "some", "Synced")
        first = await api.get("Secret", home, "some")
    status = (await api.get("ExternalSecret", home, "some"))["status"]
    assert values_of(first)["now"] == status["lastSyncTime"]
    await asyncio.sleep(1.1)
    for _ in range(2):
        writes.clear()
        async with running(polling_interval=0.1) as controller:
            calls = (await admin.counters())["secrets"]["templates/user"]
            await api.until(
                "Secret", home, "some", lambda _: syncs_of(controller, "unchanged") >= 1
            )
            while (await admin.counters())["secrets"]["templates/user"] < calls + 20:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            # An edit of a neighbour brings a reconcile of all.
            await api.merge("ExternalSecret", home, "some", {"metadata": {"labels": {"a": "b"}}})
            await api.until(
                "Secret", home, "some", lambda _: syncs_of(controller, "unchanged") >= 2
            )
            assert writes == []
        await api.merge("ExternalSecret", home, "some", {"metadata": {"labels": {"a": None}}})
    assert await api.get("Secret", home, "some") == first


async def test_a_new_value_moves_the_time_and_a_repair_does_not(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    async with running():
        await api.put(templated({"data": {**DATED, "user": "{{ .user }}"}}), home)
        await api.until_ready(home, "some", "Synced")
        first = values_of(await api.get("Secret", home, "some"))
        await asyncio.sleep(1.1)
        await api.merge("Secret", home, "some", {"data": {"user": None}})
        await api.until_holds(home, "some", first)
        await admin.put_secret("templates/user", "bob")
        await force_sync(api, home, "some", "now")
        found = await api.until("Secret", home, "some", lambda s: values_of(s).get("user") == "bob")
        after = values_of(found)
        assert after["now"] > first["now"]
        assert after["hash"] == first["hash"]
        assert after["htpasswd"] != first["htpasswd"]
        status = await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda es: es is not None and es["status"]["lastSyncTime"] == after["now"],
        )
        assert status is not None


async def test_a_value_that_changed_while_nobody_led_moves_the_time(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    template = {"data": {**DATED, "user": "{{ .user }}"}}
    async with running():
        await api.put(templated(template), home)
        await api.until_ready(home, "some", "Synced")
        first = values_of(await api.get("Secret", home, "some"))
    await admin.put_secret("templates/user", "bob")
    await asyncio.sleep(1.1)
    async with running():
        found = await api.until(
            "Secret", home, "some", lambda s: values_of(s).get("now", "") > first["now"]
        )
        assert values_of(found)["user"] == "bob"
        time = values_of(found)["now"]
        await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda es: es is not None and es["status"]["lastSyncTime"] == time,
        )
    settled = await api.get("Secret", home, "some")
    async with running() as controller:
        await api.until("Secret", home, "some", lambda _: syncs_of(controller, "unchanged") >= 1)
    assert await api.get("Secret", home, "some") == settled


async def test_a_template_that_fails_leaves_keys_and_labels_as_they_are(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    template = {
        "data": {"a": "{{ .user }}", "b": "{{ if eq .user `bob` }}{{ .nope }}{{ end }}"},
        "metadata": LABELS,
    }
    async with running():
        await api.put(templated(template), home)
        before = await api.until_holds(home, "some", {"a": "alice", "b": ""})
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret("templates/user", "bob")
        await force_sync(api, home, "some", "now")
        condition = await api.until_ready(home, "some", "TemplateFailed")
        assert 'target.template.data["b"], line 1 column' in condition["message"]
        assert await api.get("Secret", home, "some") == before
        # A drift is repaired meanwhile, with what was rendered last.
        await api.delete("Secret", home, "some")
        await admin.put_secret("templates/user", "carol")
        await force_sync(api, home, "some", "again")
        found = await api.until_holds(home, "some", {"a": "carol", "b": ""})
        assert metadata_of(found, "labels") == {"user": "carol"}


async def test_path_of_the_secret_is_written_once(
    api: Api, home: str, running: Running, writes: list[str]
) -> None:
    async with running():
        await api.put(templated({"data": {"a": "{{ .user }}"}, "metadata": LABELS}), home)
        await api.until_ready(home, "some", "Synced")
    assert writes.count(f"PATCH {path_of('Secret', home, 'some')}") == 1
