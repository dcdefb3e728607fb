"""Templates as users of ack-secret-manager have them, and what they reach."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.controller.test_templates import (
    MANAGED_BY_LABEL,
    config_map,
    from_object,
    metadata_of,
    templated,
)
from tests.support.controlplane import fresh_namespace
from tests.support.operator import external_secret, secret, values_of
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

#: What KMS has, by the key of the Secret.
VALUES = {
    "account": '{"name": "ann", "id": 1234567890123456, "db": {"host": "db", "port": 5432}}',
    "over": '{"db": {"port": 5433}}',
    "host": "db.example.com",
    "pass": "p:w/d",
    "stage": "staging",
    "vars": "ONE=1\nTWO=a=b",
    "hosts": "a.example.com\nb.example.com",
    "certificate": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
}
LINES = """HOST={{ .host }}
STAGE={{ .stage | upper }}
# A comment, and an empty line.

PORT={{ jsonPath .account `db.port` }}
"""
#: As in the examples template-01 to template-04: by name a template, and what it gives.
USES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "conditions": (
        {
            "a": '{{ if eq .stage "dev" }}true{{ else }}false{{ end }}\n',
            "b": '{{ if eq .stage "prod" }}error{{ else if eq .stage "staging" }}warn{{ end }}',
        },
        {"a": "false\n", "b": "warn"},
    ),
    "connection": (
        {"a": "x://u:{{ .pass }}@tcp({{ .host }})/"},
        {"a": "x://u:p:w/d@tcp(db.example.com)/"},
    ),
    "paths": (
        {
            "a": '{{ jsonPath .account "db.host" }}:{{ jsonPath .account "db.port" }}',
            "b": '{{ jsonPath .account "level" | default "info" }}',
            "c": '{{ jsonPath .account "id" }}',
        },
        {"a": "db:5432", "b": "info", "c": "1234567890123456"},
    ),
    "merged-json": (
        {"a": "{{ mergeJson .account .over }}"},
        {"a": '{"db":{"host":"db","port":5433},"id":1234567890123456,"name":"ann"}'},
    ),
    "pairs": ({"a": "{{ (parseKeyValue .vars).TWO }}"}, {"a": "a=b"}),
    "lines": ({"a": "{{ toLines .hosts | toJson }}"}, {"a": '["a.example.com","b.example.com"]'}),
}


def using(name: str, template: dict[str, Any]) -> dict[str, Any]:
    entries = ({"key": f"usage/{key}", "name": key} for key in VALUES)
    return external_secret(name, *entries, target={"template": template})


@pytest.fixture(autouse=True)
async def _values(admin: CloudAdmin) -> None:
    await admin.put_secrets({f"usage/{key}": value for key, value in VALUES.items()})
    await admin.put_secrets({"templates/user": "alice", "templates/password": "one"})


async def test_templates_of_ack_secret_manager_give_the_same(
    api: Api, home: str, running: Running
) -> None:
    pem = {"tls.crt": "{{ .certificate }}", "tls.key": "{{ .pass }}"}
    texts = config_map({"text": LINES})
    lines = {"name": "texts", "items": [{"key": "text", "templateAs": "KeysAndValues"}]}
    literal = {"literal": "A={{ .stage | upper }}\n", "target": "Data"}
    metadata = {"labels": {"by": "someone"}, "annotations": {"stage": "{{ .stage }}"}}
    await api.put(texts, home)
    async with running():
        for name, (data, _) in USES.items():
            await api.put(using(name, {"data": data}), home)
        await api.put(using("typed", {"type": "kubernetes.io/tls", "data": pem}), home)
        await api.put(using("config-map", {"templateFrom": [{"configMap": lines}]}), home)
        await api.put(using("literal", {"templateFrom": [literal]}), home)
        merge = {"mergePolicy": "Merge", "data": {"host": "{{ .host | upper }}", "new": "x"}}
        await api.put(using("merge", {**merge, "metadata": metadata}), home)
        await api.put(using("field", {"data": {"a": "{{ .account.name }}"}}), home)

        for name, (_, expected) in USES.items():
            await api.until_holds(home, name, expected)
        typed = await api.until_holds(
            home, "typed", {"tls.crt": VALUES["certificate"], "tls.key": VALUES["pass"]}
        )
        assert typed["type"] == "kubernetes.io/tls"
        await api.until_holds(
            home, "config-map", {"HOST": "db.example.com", "STAGE": "STAGING", "PORT": "5432"}
        )
        await api.until_holds(home, "literal", {"literal": "A=STAGING\n"})
        merged = await api.until_holds(
            home, "merge", {**VALUES, "host": "DB.EXAMPLE.COM", "new": "x"}
        )
        assert metadata_of(merged, "labels") == {"by": "someone"}
        assert metadata_of(merged, "annotations") == {"stage": "staging"}
        # The one that nobody meant: a field of a string.
        message = (await api.until_ready(home, "field", "TemplateFailed"))["message"]
        assert 'target.template.data["a"], line 1 column' in message
        assert ".account is a string and has no field name" in message
        assert "(fromJson .account).name" in message
        assert 'jsonPath .account "name"' in message
        assert await api.find("Secret", home, "field") is None


@pytest.mark.parametrize("kind", ["configMap", "secret"])
async def test_templates_of_another_namespace_are_out_of_reach(
    cluster: ControlPlane, api: Api, home: str, running: Running, kind: str
) -> None:
    with contextmanager(fresh_namespace)(cluster) as elsewhere:
        body = config_map({"a": "x"}) if kind == "configMap" else secret("texts", {"a": "x"})
        await api.put(body, elsewhere)
        async with running():
            template = from_object(kind, "a")
            template["templateFrom"][0][kind]["namespace"] = elsewhere
            await api.put(templated(template), home)
            condition = await api.until_ready(home, "some", "TemplateSourceNotFound")
            assert f"{home}/texts" in condition["message"]
            for number, name in enumerate((f"{elsewhere}/texts", f"../../{elsewhere}/x/texts")):
                await api.put(templated(from_object(kind, "a", name=name), f"odd-{number}"), home)
                await api.until_ready(home, f"odd-{number}", "InvalidSpec")


async def test_nothing_is_rendered_after_a_failed_fetch(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    """Neither a template that changed meanwhile nor one that needs only what was fetched."""
    async with running():
        template = {"data": {"a": "1 {{ .user }}", "b": "{{ .password }}"}}
        await api.put(templated(template), home)
        before = await api.until_holds(home, "some", {"a": "1 alice", "b": "one"})
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret("templates/user", "bob")
        await admin.delete("templates/password")
        await force_sync(api, home, "some", "now")
        await api.until_ready(home, "some", "SecretNotFound")
        await api.put(templated({"data": {"a": "2 {{ .user }}"}}), home)
        generation = (await api.get("ExternalSecret", home, "some"))["metadata"]["generation"]
        await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda es: es is not None and es["status"].get("observedGeneration") == generation,
        )
        await api.until_ready(home, "some", "SecretNotFound")
        assert values_of(await api.get("Secret", home, "some")) == values_of(before)
        await admin.put_secret("templates/password", "two")
        await force_sync(api, home, "some", "again")
        await api.until_holds(home, "some", {"a": "2 bob"})


async def test_names_of_labels_that_no_secret_can_hold_are_too_large(
    api: Api, home: str, running: Running
) -> None:
    lines = '{{ range until 4000 }}{{ repeat 60 "a" }}.b/{{ . }}=x\n{{ end }}'
    await api.put(secret("texts", {"a": lines}), home)
    source = {"name": "texts", "items": [{"key": "a", "templateAs": "KeysAndValues"}]}
    template = {"templateFrom": [{"secret": source, "target": "Labels"}]}
    async with running():
        await api.put(templated(template), home)
        condition = await api.until_ready(home, "some", "TooLarge")
        assert "262144 bytes" in condition["message"]
        # As many as fit.
        await api.put(secret("texts", {"a": lines.replace("4000", "3000")}), home)
        await api.until_ready(home, "some", "Synced")
        found = await api.get("Secret", home, "some")
        assert len(found["metadata"]["labels"].keys() - {MANAGED_BY_LABEL}) == 3000
