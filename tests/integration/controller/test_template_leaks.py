"""Values that are planted everywhere a template's error could quote are nowhere to be seen."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from structlog.testing import capture_logs

from tests.integration.controller.test_leaks import ours
from tests.support.leaks import spellings
from tests.support.operator import external_secret, ready_of, secret

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

VALUE = "Planted-4f1d.v7"
HIDDEN = "hidden-template-9e2c"
DOCUMENT = f'{{"{VALUE}": "{VALUE}", "text": "{VALUE}"}}'

#: Templates that fail, each beside a value or with one in its hands.
FAILING = {
    "field-of-a-string": "{{ .value.username }}",
    "missing": "{{ .valeu }}",
    "index": "{{ index .value `a` }}",
    "index-missing": "{{ (fromJson .document).nope }}",
    "not-base64": "{{ b64dec .value }}",
    "not-base32": "{{ b32dec .value }}",
    "not-json": "{{ mustFromJson .value }}",
    "json": "{{ fromJson .value }}",
    "merge": "{{ mergeJson .value .value }}",
    "path": "{{ jsonPath .value `a.b` }}",
    "number": "{{ add1 .value | repeat .value }}",
    "type": "{{ repeat .value `x` }}",
    "format": '{{ printf "%d" .value }}',
    "regex": "{{ regexMatch .value `x` }}",
    "regex-broken": "{{ mustRegexMatch (print `(` .value) `x` }}",
    "date": '{{ mustToDate "2006-01-02" .value }}',
    "version": "{{ semver .value }}",
    "fail": "{{ fail .value }}",
    "required": "{{ required .value `` }}",
    "htpasswd": "{{ htpasswd (print .value `:`) .value }}",
    "bcrypt": "{{ bcrypt (repeat 20 .value) }}",
    "template-name": "{{ template .value }}",
    "url": "{{ urlParse (print `:` .value) }}",
    "dict": "{{ dict .value }}",
    "comparison": "{{ lt .value 1 }}",
    "range": "{{ range .value }}{{ end }}",
    "call": "{{ call .value }}",
    "slice": "{{ slice .value 100 }}",
}
LABELS = {"label": "{{ .value }} x", "long": "{{ repeat 9 .value }}"}
LINES = {
    "no-equals": "a=b\n{{ .value }}",
    "illegal-key": "{{ .value }}/{{ .value }}=x",
    "illegal-label": "{{ .value }} {{ .value }}=x",
}
BROKEN_SECRETS = {
    "unclosed": f"{{{{ {HIDDEN}",
    "function": f'{{{{ "{HIDDEN}" | nope }}}}',
    "unknown": f"{{{{ .{HIDDEN.replace('-', '_')} }}}}",
    "variable": f"{{{{ ${HIDDEN.replace('-', '')} }}}}",
}


async def test_no_value_is_in_any_message_of_a_template(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secrets({"leaks/value": VALUE, "leaks/document": DOCUMENT})
    entries: list[dict[str, Any]] = [
        {"key": "leaks/value", "name": "value"},
        {"key": "leaks/document", "name": "document"},
    ]
    documents = [
        external_secret(name, *entries, target={"template": {"data": {"a": text}}})
        for name, text in FAILING.items()
    ]
    documents += [
        external_secret(name, *entries, target={"template": {"metadata": {"labels": {"a": text}}}})
        for name, text in LABELS.items()
    ]
    for name, text in {**LINES, **BROKEN_SECRETS}.items():
        await api.put(secret(f"texts-{name}", {"a": text}), home)
        lines = {"templateAs": "KeysAndValues"} if name in LINES else {}
        source = {"secret": {"name": f"texts-{name}", "items": [{"key": "a", **lines}]}}
        if name == "illegal-label":
            source["target"] = "Labels"  # type: ignore[assignment]
        target = {"template": {"templateFrom": [source]}}
        documents.append(external_secret(name, *entries, target=target))
    reported: dict[str, str] = {}
    with capture_logs() as logs:
        structlog.get_logger().info("captured")
        async with running():
            for document in documents:
                await api.put(document, home)
            for document in documents:
                name = document["metadata"]["name"]
                found = await api.until(
                    "ExternalSecret",
                    home,
                    name,
                    lambda es: ready_of(es).get("status") in ("True", "False"),
                )
                reported[name] = ready_of(found)["reason"]
            # Frames of errors that were reported are waste, but not collected yet.
            gc.collect()
            shown = [repr(thing) for thing in ours()]
    assert logs
    _, events = await api.request("GET", f"/api/v1/namespaces/{home}/events")
    _, objects = await api.request(
        "GET", f"/apis/alibabacloud.com/v1alpha1/namespaces/{home}/externalsecrets"
    )
    statuses = [item["status"] for item in objects["items"]]
    messages = [event["message"] for event in events["items"]]
    texts = [*shown, *map(str, logs), orjson.dumps(statuses).decode(), *messages]
    hidden = [*spellings(VALUE.encode()), HIDDEN, HIDDEN.replace("-", "_"), VALUE[:9]]
    assert [t for t in texts if any(word in t for word in hidden)] == []
    synced = {name for name, reason in reported.items() if reason == "Synced"}
    assert synced <= {"dict", "json", "range", "regex"}
    assert set(reported.values()) >= {"TemplateFailed", "TemplateInvalid", "InvalidKey"}
