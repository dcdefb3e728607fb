"""Templates of other objects: looked up once, read when they are due, and not kept."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.template_references import (
    TemplateReferences,
    TemplateSources,
)
from secret_sync.controller.sync import Problem
from secret_sync.kube import ApiNotFoundError, ApiRefusedError, ApiUnavailableError, Store
from secret_sync.resources import ExternalSecret, ForeignSecret, Reason

if TYPE_CHECKING:
    from secret_sync.errors import SecretSyncError
    from secret_sync.resources import ConfigMap, SecretMeta
    from secret_sync.resources.template import SecretTemplate

TEXTS = "/api/v1/namespaces/ns/configmaps/texts"
SECRET = "/api/v1/namespaces/ns/secrets/texts"

NOT_FOUND = Reason.TEMPLATE_SOURCE_NOT_FOUND


class PlayedApi:
    """The API server, the informer of ConfigMaps, and what was asked of them."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | SecretSyncError] = {}
        self.asked: list[str] = []
        self.store: Store[ConfigMap] = Store()
        self.watched = 0

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        self.asked.append(f"{path} metadata" if more else path)
        assert method == "GET"
        answer = self.answers.get(path, ApiNotFoundError("none", status=404))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def learn(self, found: ConfigMap) -> None:
        self.store.put(f"{found.namespace}/{found.name}", found)

    def watch(self) -> None:
        self.watched += 1


def stored(version: str = "7", **more: Any) -> dict[str, Any]:
    annotations = more.pop("annotations", {})
    metadata = {"namespace": "ns", "name": "texts", "uid": "u", "resourceVersion": version}
    return {"metadata": {**metadata, "annotations": annotations}, **more}


def an_es(kind: str, *keys: str) -> tuple[ExternalSecret, SecretTemplate]:
    metadata = {"name": "some", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    sources = [{kind: {"name": "texts", "items": [{"key": key} for key in keys]}}]
    spec = {"target": {"template": {"templateFrom": sources}}}
    es = ExternalSecret.from_dict({"metadata": metadata, "spec": spec})
    assert es.template is not None
    return es, es.template


@pytest.fixture
def api() -> PlayedApi:
    return PlayedApi()


def references(api: Any, *, granted: bool = False) -> TemplateReferences:
    secrets: Store[SecretMeta] = Store()
    secrets.put("ns/texts", ForeignSecret("ns", "texts", "s", "9", ""))
    return TemplateReferences(TemplateSources(api, secrets, api, api.watch, granted=granted))


async def test_config_map_is_looked_up_once(api: PlayedApi) -> None:
    api.answers[TEXTS] = stored()
    es = an_es("configMap", "a")
    found = references(api)
    assert found.versions(*es) == ("ConfigMap/texts/",)
    await found.look_up(*es)
    await found.look_up(*es)
    assert api.asked == [f"{TEXTS} metadata"]
    assert found.versions(*es) == ("ConfigMap/texts/u/7",)
    assert api.watched == 2


async def test_secret_is_known_by_the_watch_of_all(api: PlayedApi) -> None:
    es = an_es("secret", "a")
    found = references(api)
    await found.look_up(*es)
    assert found.versions(*es) == ("Secret/texts/s/9",)
    assert (api.asked, api.watched) == ([], 0)


@pytest.mark.parametrize(
    "error", [ApiNotFoundError("none", status=404), ApiRefusedError("no", status=403)]
)
async def test_failure_to_look_up_is_reported_when_it_is_read(
    api: PlayedApi, error: SecretSyncError
) -> None:
    api.answers[TEXTS] = error
    await references(api).look_up(*an_es("configMap", "a"))
    assert list(api.store.values()) == []


async def test_texts_are_read(api: PlayedApi) -> None:
    binary = b64encode(b"\xff").decode()
    api.answers[TEXTS] = stored(data={"a": "1", "more": "x"}, binaryData={"b": binary})
    api.answers[SECRET] = stored(data={"a": b64encode(b"2").decode()})
    assert await references(api).read(*an_es("configMap", "a", "b")) == {
        ("ConfigMap", "texts", "a"): b"1",
        ("ConfigMap", "texts", "b"): b"\xff",
    }
    assert await references(api).read(*an_es("secret", "a")) == {("Secret", "texts", "a"): b"2"}


@pytest.mark.parametrize(
    ("kind", "answer", "reason", "said"),
    [
        ("configMap", ApiNotFoundError("", status=404), NOT_FOUND, "does not exist"),
        ("secret", ApiNotFoundError("", status=404), NOT_FOUND, "does not exist"),
        ("configMap", stored(data={"b": "x"}), NOT_FOUND, "no key 'a'"),
        (
            "configMap",
            ApiRefusedError("", status=403),
            Reason.TEMPLATE_SOURCE_FORBIDDEN,
            "component template-config-maps",
        ),
        ("configMap", stored(data={"a": "x" * 70_000}), Reason.TOO_COSTLY, "too long"),
    ],
)
async def test_unreadable_source_is_a_problem(
    api: PlayedApi, kind: str, answer: Any, reason: Reason, said: str
) -> None:
    api.answers[TEXTS if kind == "configMap" else SECRET] = answer
    found = await references(api).read(*an_es(kind, "a"))
    assert isinstance(found, Problem)
    assert found.reason is reason
    assert said in found.message
    assert found.message.startswith("target.template.templateFrom[0]: ")


@pytest.mark.parametrize(("value", "granted"), [("true", True), ("True", False), (None, False)])
async def test_secret_has_to_agree_where_that_is_required(
    api: PlayedApi, *, value: str | None, granted: bool
) -> None:
    annotations = {"secret-sync.alibabacloud.com/template": value} if value else {}
    api.answers[SECRET] = stored(annotations=annotations, data={"a": ""})
    found = await references(api, granted=True).read(*an_es("secret", "a"))
    assert isinstance(found, Problem) is not granted
    if isinstance(found, Problem):
        assert found.reason is Reason.TEMPLATE_SOURCE_FORBIDDEN


async def test_an_outage_is_not_a_problem_of_the_object(api: PlayedApi) -> None:
    api.answers[TEXTS] = ApiUnavailableError("down")
    with pytest.raises(ApiUnavailableError):
        await references(api).read(*an_es("configMap", "a"))
