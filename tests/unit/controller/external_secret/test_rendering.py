"""From fetched values to a rendered Secret: all of it, or an error without a value."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret import quick_rendering
from secret_sync.controller.external_secret.desired import (
    Clock,
    Desired,
    build_extracted,
)
from secret_sync.controller.external_secret.extraction import (
    ExtractedData,
    ExtractionError,
    ExtractionInput,
)
from secret_sync.controller.external_secret.quick_rendering import (
    import_templates,
    is_quickly_rendered,
)
from secret_sync.controller.external_secret.rendering import (
    NeedsHashes,
    TemplateInput,
    check_template_steps,
    render_steps,
    where_of,
)
from secret_sync.parse import MAX_KEYS, run_to_end
from secret_sync.resources import ExternalSecret, Reason
from secret_sync.templates.hashing import bcrypt_hash

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.rendering import Rendered

VALUES = {"user": b"alice", "pass/word": b"hunter2", "binary": bytes(range(256))}
LINES = {"templateAs": "KeysAndValues"}


def template_input(template: dict[str, Any], **more: Any) -> TemplateInput:
    metadata = {"name": "some", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    spec = {"target": {"template": template}}
    es = ExternalSecret.from_dict({"metadata": metadata, "spec": spec})
    assert es.template is not None
    return TemplateInput(es.template, "u", **{"now": 1000, **more})


def render(
    template: dict[str, Any], values: dict[str, bytes] | None = None, **more: Any
) -> Rendered:
    inputs = template_input(template, **more)
    make = partial(
        build_extracted, ExtractionInput(b"", (), (), template=inputs), secret=b"of the test"
    )
    return run_to_end(render_steps(inputs, ExtractedData(dict(values or VALUES), ()), make))


def made(*args: Any, **more: Any) -> Desired:
    found = render(*args, **more)
    assert isinstance(found, Desired), found
    return found


def wrong(*args: Any, **more: Any) -> tuple[Reason, str]:
    found = render(*args, **more)
    assert isinstance(found, ExtractionError), found
    assert "hunter" not in found.problem.message
    return found.problem.reason, found.problem.message


def from_object(*items: dict[str, str], kind: str = "configMap", **more: Any) -> dict[str, Any]:
    return {kind: {"name": "texts", "items": list(items)}, **more}


@pytest.mark.parametrize(
    ("written", "data"),
    [
        ({"data": {"a": "x{{ .user }}"}}, {"a": b"xalice"}),
        ({"data": {"a": "x"}, "mergePolicy": "Merge"}, None),
        ({"data": {"a": '{{ index . "pass/word" }}'}}, {"a": b"hunter2"}),
        ({"data": {"a": "{{ .binary }}"}}, {"a": VALUES["binary"]}),
        (
            {"data": {"a": '{{ set . "user" "b" | len }}', "b": "{{ .user }}"}},
            {"a": b"3", "b": b"alice"},
        ),
        ({"templateFrom": [{"literal": "1"}, {"literal": "2"}]}, {"literal": b"2"}),
        ({"data": {"literal": "1"}, "templateFrom": [{"literal": "2"}]}, {"literal": b"2"}),
    ],
)
def test_keys_that_are_rendered(written: dict[str, Any], data: dict[str, bytes] | None) -> None:
    if data is None:
        # The keys that stay have to be legal, and one is not.
        assert wrong(written)[0] is Reason.INVALID_KEY
    else:
        assert made(written).data == data


def test_fetched_keys_stay_without_templates_for_keys() -> None:
    values = {"user": b"alice"}
    written = {"metadata": {"labels": {"a": "{{ .user }}"}, "annotations": {"b": "{{ .user }} !"}}}
    found = made(written, values)
    assert found.data == values
    assert found.metadata == ({"a": "alice"}, {"b": "alice !"})
    assert found.fields == {"user", "labels/a", "annotations/b"}


def test_metadata_takes_precedence_and_both_writers_are_named() -> None:
    source = from_object({"key": "a", **LINES}, target="Labels")
    texts = {("ConfigMap", "texts", "a"): b"team = x\nother=y"}
    written = {
        "data": {"k": "v"},
        "templateFrom": [source],
        "metadata": {"labels": {"team": "{{ .user }}"}},
    }
    found = made(written, texts=texts)
    assert found.metadata.labels == {"team": "alice", "other": "y"}
    assert [tuple(o) for o in found.overwritten] == [
        (
            "labels/team",
            "target.template.templateFrom[0] (ConfigMap texts, key 'a')",
            'target.template.metadata.labels["team"]',
        )
    ]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("a=1", {"a": b"1"}),
        ("# x\n\n  a = 1 \r\nb==2=\nc=", {"a": b"1", "b": b"=2=", "c": b""}),
        ("a=1\na={{ .user }}", {"a": b"alice"}),
        ("a=ä", {"a": "ä".encode()}),
    ],
)
def test_lines(text: str, data: dict[str, bytes] | None) -> None:
    texts = {("ConfigMap", "texts", "a"): text.encode()}
    found = made({"templateFrom": [from_object({"key": "a", **LINES})]}, texts=texts)
    assert (found.data or None) == data


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("a=1\n\nhunter", Reason.TEMPLATE_FAILED, "line 3 of what it renders is not key=value"),
        ("=hunter", Reason.TEMPLATE_FAILED, "line 1 of"),
        ("hunter 2=x", Reason.INVALID_KEY, "what is before the = in line 1 cannot be written"),
        ("a=1\n{{ .user", Reason.TEMPLATE_INVALID, "line 2 column 1"),
    ],
)
def test_lines_that_are_wrong_are_named_by_their_number(
    text: str, reason: Reason, said: str
) -> None:
    texts = {("ConfigMap", "texts", "a"): text.encode()}
    found = wrong({"templateFrom": [from_object({"key": "a", **LINES})]}, texts=texts)
    assert found[0] is reason
    assert said in found[1]
    assert found[1].startswith("target.template.templateFrom[0] (ConfigMap texts, key 'a')")


@pytest.mark.parametrize("text", ["{{ hunter2", "{{ .hunter2 }}", '{{ "hunter2" | nope }}'])
def test_nothing_is_quoted_of_a_template_that_comes_from_a_secret(text: str) -> None:
    texts = {("Secret", "texts", "a"): text.encode()}
    written = {"templateFrom": [from_object({"key": "a"}, kind="secret")]}
    reason, message = wrong(written, texts=texts)
    assert reason in (Reason.TEMPLATE_INVALID, Reason.TEMPLATE_FAILED)
    assert "column" in message


@pytest.mark.parametrize(
    ("written", "reason", "said"),
    [
        ({"data": {"a": "\n {{ .usr }}"}}, Reason.TEMPLATE_FAILED, 'data["a"], line 2 column'),
        ({"metadata": {"labels": {"a": "x y"}}}, Reason.TEMPLATE_FAILED, "label 'a' cannot be"),
        ({"metadata": {"labels": {"a": "x\n"}}}, Reason.TEMPLATE_FAILED, "use `trim`"),
        ({"data": {"a": "{{ repeat 2000000 `x` }}"}}, Reason.TOO_COSTLY, 'data["a"]'),
        (
            {"metadata": {"annotations": {"a": "{{ repeat 300000 `x` }}"}}},
            Reason.TOO_LARGE,
            "262144 bytes",
        ),
    ],
)
def test_mistakes_name_the_place(written: dict[str, Any], reason: Reason, said: str) -> None:
    found = wrong(written, {"user": b"alice"})
    assert found[0] is reason
    assert said in found[1]


@pytest.mark.parametrize("target", ["Data", "Labels", "Annotations"])
def test_lines_are_limited_although_they_write_one_key(target: str) -> None:
    """Each writes it again, which is remembered: 44 MiB of an object when it was found."""
    source = from_object({"key": "a", **LINES}, target=target)
    texts = {("ConfigMap", "texts", "a"): b'{{ repeat 250000 "a=b\\n" }}'}
    reason, message = wrong({"templateFrom": [source]}, texts=texts)
    assert reason is Reason.TOO_COSTLY
    assert f"over {MAX_KEYS} keys" in message


def test_failing_template_leaves_nothing() -> None:
    assert wrong({"data": {"a": "good", "b": "{{ .usr }}"}})[0] is Reason.TEMPLATE_FAILED


def test_hashes_are_asked_for_and_then_the_same() -> None:
    written = {"data": {"a": "{{ htpasswd .user `p` }}{{ bcrypt `q` 4 }}"}}
    needed = render(written)
    assert isinstance(needed, NeedsHashes)
    assert [request.password for request in needed.requests] == [b"p", b"q"]
    assert "q" not in repr(needed).removeprefix("NeedsHashes")
    hashes = {request: bcrypt_hash(request) for request in needed.requests}
    found = made(written, hashes=hashes)
    assert (found.data or {})["a"].startswith(b"alice:$2a$10$")
    assert made(written, hashes=hashes).fingerprint == found.fingerprint


def test_an_error_that_a_placeholder_may_have_caused_waits_for_the_hash() -> None:
    assert isinstance(render({"data": {"a": "{{ bcrypt `q` 4 | fromJson }}"}}), NeedsHashes)


def test_hashes_beyond_the_limit_are_an_error_at_once() -> None:
    written = {"data": {"a": "{{ range until 17 }}{{ bcrypt `q` }}{{ end }}"}}
    assert wrong(written)[0] is Reason.TOO_COSTLY


DATED = {"data": {"a": "{{ now | unixEpoch }} {{ .user }}"}}


def test_time_of_a_first_rendering_is_the_current_one() -> None:
    found = made(DATED)
    assert (found.data, found.clock) == ({"a": b"1000 alice"}, Clock(1000))


def test_time_stays_while_all_else_does() -> None:
    first = made(DATED, now=500)
    found = made(DATED, synced_at=500, written=first.fingerprint)
    assert (found.fingerprint, found.clock) == (first.fingerprint, Clock(500))


def test_time_is_the_current_one_when_an_input_changed() -> None:
    first = made(DATED, now=500)
    found = made(DATED, {"user": b"bob"}, synced_at=500, written=first.fingerprint)
    assert (found.data, found.clock) == ({"a": b"1000 bob"}, Clock(1000))


def test_time_of_the_first_rendering_after_a_start_is_provisional() -> None:
    found = made(DATED, synced_at=500)
    assert (found.data, found.clock) == ({"a": b"500 alice"}, Clock(500, provisional=True))


def test_template_without_the_time_has_no_clock() -> None:
    assert made({"data": {"a": "b"}}, synced_at=500).clock is None


@pytest.mark.parametrize(
    ("written", "quick"),
    [
        ({"data": {"a": "{{ .user | b64enc }}"}}, True),
        ({"data": {"a": "{{ .user | replace `a` `b` | nindent 4 }}"}}, True),
        ({"data": {"a": "{{ range until 9 }}x{{ end }}"}}, False),
        ({"data": {"a": "{{ bcrypt .user }}"}}, False),
        ({"data": {"a": '{{ printf "%9999999d" 1 }}'}}, False),
        ({"data": {"a": '{{ printf "%s" .user }}'}}, True),
        ({"data": {"a": "{{ regexMatch `a` .user }}"}}, False),
        ({"data": {"a": "x" * 2000}}, False),
    ],
)
def test_only_what_is_cheap_whatever_the_values_are_is_rendered_on_the_loop(
    written: dict[str, Any], *, quick: bool
) -> None:
    import_templates()
    assert is_quickly_rendered(template_input(written), 100) is quick
    assert not is_quickly_rendered(template_input(written), 100_000)


def test_nothing_is_imported_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is about to import the package has its lock; it is in ``sys.modules``."""
    monkeypatch.setattr(quick_rendering, "IMPORTED", threading.Event())
    inputs = template_input({"data": {"a": "{{ .user }}"}})
    assert not is_quickly_rendered(inputs, 100)
    assert run_to_end(check_template_steps(inputs.template)) is None
    assert is_quickly_rendered(inputs, 100)


def test_names_of_templates() -> None:
    base = ("spec", "target", "template")
    assert where_of((*base, "data", "a.b")) == 'target.template.data["a.b"]'
    assert where_of((*base, "templateFrom", 3)) == "target.template.templateFrom[3]"
    labels = where_of((*base, "metadata", "labels", "data"))
    assert labels == 'target.template.metadata.labels["data"]'
