"""``extract_all``: documents in, keys and values out; all of them or none."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.external_secret.desired import Overwritten, build_extracted
from secret_sync.controller.external_secret.extraction import (
    ExtractedData,
    ExtractionError,
    extract_all,
)
from secret_sync.resources import Reason
from tests.unit.controller.extracting import an_es, batch_of, extract, pick

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired

KEY = secrets.token_bytes(32)
USER = b'{"user": "app", "password": "hunter2", "port": 5432}'


def extract_values(spec: dict[str, Any], *values: bytes) -> ExtractedData | ExtractionError:
    return extract_all(batch_of(an_es(**spec), *values))


def desired(spec: dict[str, Any], *values: bytes, key: bytes = KEY) -> Desired:
    inputs = batch_of(an_es(**spec), *values)
    extracted = extract_all(inputs)
    assert isinstance(extracted, ExtractedData)
    return build_extracted(inputs, extracted, key)


@pytest.mark.parametrize(
    ("spec", "values", "data"),
    [
        pytest.param(
            {"data": [pick(name="user", port="port")]},
            [USER],
            {"name": b"app", "port": b"5432"},
            id="picked",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [USER],
            {"user": b"app", "password": b"hunter2", "port": b"5432"},
            id="extracted",
        ),
        pytest.param(
            {"dataProcess": [extract("db", ("^", "DB_"), ("-", "_"))]},
            [b'{"max-age": 1.10, "n": null}'],
            {"DB_max_age": b"1.10", "DB_n": b""},
            id="extracted and renamed, rule after rule",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b"user: app\nhosts:\n- a\n- b\n"],
            {"user": b"app", "hosts": b"- a\n- b"},
            id="of YAML",
        ),
        pytest.param(
            {"data": [{"key": "cert", "name": "tls.crt"}, pick(user="user")]},
            [b"\x00\xff", USER],
            {"tls.crt": b"\x00\xff", "user": b"app"},
            id="beside a plain one, byte for byte",
        ),
        pytest.param(
            {"dataProcess": [extract("a"), extract("b")]},
            [b'{"x": "1"}', b'{"y": "2"}'],
            {"x": b"1", "y": b"2"},
            id="of two documents",
        ),
        pytest.param({"dataProcess": [extract()]}, [b"{}"], {}, id="of an empty document, nothing"),
    ],
)
def test_extracted_data(spec: dict[str, Any], values: list[bytes], data: dict[str, bytes]) -> None:
    assert extract_values(spec, *values) == ExtractedData(data, ())
    made = desired(spec, *values)
    assert made.data == data
    assert made.keys == data.keys()
    assert made.absent == ()


@pytest.mark.parametrize(
    ("spec", "values", "data", "overwritten"),
    [
        (
            {"data": [{"key": "plain", "name": "user"}, pick("db", user="user")]},
            [b"old", USER],
            {"user": b"app"},
            (Overwritten("user", "plain", "db"),),
        ),
        (
            # However it is written, dataProcess comes after data.
            {"dataProcess": [extract("db")], "data": [{"key": "plain", "name": "user"}]},
            [b"old", b'{"user": "app", "x": "y"}'],
            {"user": b"app", "x": b"y"},
            (Overwritten("user", "plain", "db"),),
        ),
        (
            {"dataProcess": [extract("a"), extract("b"), extract("c")]},
            [b'{"x": "1", "y": "1"}', b'{"x": "2"}', b'{"y": "3", "x": "3"}'],
            {"x": b"3", "y": b"3"},
            (
                Overwritten("x", "a", "b"),
                Overwritten("y", "a", "c"),
                Overwritten("x", "b", "c"),
            ),
        ),
    ],
)
def test_the_later_entry_wins_and_both_are_named(
    spec: dict[str, Any],
    values: list[bytes],
    data: dict[str, bytes],
    overwritten: tuple[Overwritten, ...],
) -> None:
    assert extract_values(spec, *values) == ExtractedData(data, overwritten)
    assert desired(spec, *values).overwritten == overwritten


BIG = b'"' + b"x" * 600_000 + b'"'


@pytest.mark.parametrize(
    ("spec", "values", "error"),
    [
        pytest.param(
            {"data": [pick(a="nowhere")]},
            [USER],
            (0, Reason.PATH_NOT_FOUND, "entry 'db': ", "'nowhere'"),
            id="a path that finds nothing",
        ),
        pytest.param(
            {"data": [{"key": "first"}, pick(a="nowhere")]},
            [b"x", USER],
            (1, Reason.PATH_NOT_FOUND, "entry 'db': ", "'nowhere'"),
            id="the entry that cannot be used is named",
        ),
        pytest.param(
            {"data": [pick("a", x="none")], "dataProcess": [extract("b")]},
            [USER, b"["],
            (0, Reason.PATH_NOT_FOUND, "entry 'a': ", "matches nothing"),
            id="the first one of two",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b"hunter2"],
            (0, Reason.NOT_A_DOCUMENT, "entry 'db': ", "a single string"),
            id="a value without keys",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b'{"password": "hunter2'],
            (0, Reason.NOT_A_DOCUMENT, "entry 'db': ", "invalid JSON"),
            id="broken JSON",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b"\xff\xfe"],
            (0, Reason.NOT_A_DOCUMENT, "entry 'db': ", "not UTF-8"),
            id="no text",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b'{"a": "hunter2", "a": "hunter2"}'],
            (0, Reason.DUPLICATE_KEY, "entry 'db': ", ""),
            id="a key twice",
        ),
        pytest.param(
            {"dataProcess": [extract("db", ("[ab]", "c"))]},
            [b'{"a": "hunter2", "b": "hunter2"}'],
            (0, Reason.KEY_COLLISION, "entry 'db': ", "'a' and 'b'"),
            id="two keys that become one",
        ),
        pytest.param(
            {"dataProcess": [extract()]},
            [b'{"a b": "hunter2"}'],
            (0, Reason.INVALID_KEY, "entry 'db': ", "rename with `replaceRule`: {"),
            id="a key that no Secret has",
        ),
        pytest.param(
            {"dataProcess": [extract("a"), extract("b")]},
            [b'{"x": ' + BIG + b"}", b'{"y": ' + BIG + b"}"],
            (None, Reason.TOO_LARGE, "the values have 1200000 bytes", "a Secret holds 1048576"),
            id="too large together: nobody's fault",
        ),
    ],
)
def test_all_or_nothing(
    spec: dict[str, Any], values: list[bytes], error: tuple[int | None, Reason, str, str]
) -> None:
    index, reason, beginning, said = error
    made = extract_values(spec, *values)
    assert isinstance(made, ExtractionError)
    assert (made.index, made.problem.reason) == (index, reason)
    assert made.problem.message.startswith(beginning)
    assert said in made.problem.message
    assert "hunter2" not in repr(made)


#: Everything that can be asked of a value that is no document, or a strange one.
ASKED: list[dict[str, Any]] = [
    {"data": [pick(a="a", b="a.b[0].c")]},
    {"data": [pick(a="keys(@)", b="length(@)")]},
    {"dataProcess": [extract("db", ("(.)", "$1$1"))]},
]


@given(
    st.sampled_from(ASKED),
    st.sampled_from(["{}", '{{"a": {}', "a: [{}", "{0}: {0}", "- &x {0}\n- *y", '{{"a": "{}", }}']),
    st.text("{}[]:,\"'&*!|>-\n #ab01", max_size=12),
)
def test_no_value_is_ever_reported(spec: dict[str, Any], around: str, noise: str) -> None:
    value = around.format(f"s3cr3t{noise}v4lue").encode()
    made = extract_values(spec, value)
    if isinstance(made, ExtractionError) and made.problem.reason not in {
        # These name a key of the document, which is no secret.
        Reason.INVALID_KEY,
        Reason.DUPLICATE_KEY,
        Reason.KEY_COLLISION,
    }:
        assert "s3cr3t" not in repr(made)
        assert "v4lue" not in repr(made)
    elif isinstance(made, ExtractedData):
        assert not any(
            value.decode() in repr(made) for value in made.data.values() if len(value) > 9
        )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(b'{"a": "1", "b": 2}', b'{ "b":2,\n"a":"1" }', id="written in another way"),
        pytest.param(b'{"a": "1", "b": "2"}', b"a: '1'\nb: 2\n", id="as YAML"),
        pytest.param(
            b'{"a": "1", "b": 2}', b'{"a": "1", "b": 2, "c": 3}', id="of more than is used"
        ),
    ],
)
def test_equal_outputs_of_different_documents_need_no_write(one: bytes, two: bytes) -> None:
    spec = {"data": [pick(x="a", y="b")]}
    assert desired(spec, one).fingerprint == desired(spec, two).fingerprint


def test_fingerprint_is_independent_of_the_spec() -> None:
    picked = desired({"data": [pick(user="user", password="password", port="port")]}, USER)
    assert picked.fingerprint == desired({"dataProcess": [extract()]}, USER).fingerprint


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({}, b'{"a": "2"}'),
        ({}, b'{"b": "1"}'),
        ({}, b'{"a": "1", "b": ""}'),
        ({"type": "example.org/type"}, b'{"a": "1"}'),
        ({"target": {"creationPolicy": "Merge"}}, b'{"a": "1"}'),
        ({"target": {"deletionPolicy": "Retain"}}, b'{"a": "1"}'),
        ({"target": {"immutable": True}}, b'{"a": "1"}'),
    ],
)
def test_relevant_differences_change_the_fingerprint(spec: dict[str, Any], value: bytes) -> None:
    processed = {"dataProcess": [extract()]}
    before = desired(processed, b'{"a": "1"}')
    assert desired({**processed, **spec}, value).fingerprint != before.fingerprint


def test_the_fingerprint_is_keyed() -> None:
    spec = {"dataProcess": [extract()]}
    assert desired(spec, USER).fingerprint != desired(spec, USER, key=b"another").fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"data": [pick(x="a"), pick("db2", y="b")]},
        {"data": [pick(x="b"), pick("db2", y="a")]},
        {"data": [pick(x="a"), pick("db2", z="a")]},
        {"data": [pick(x="a")], "dataProcess": [extract("db2")]},
        {"data": [pick(x="a"), pick("db2", y="a")], "type": "example.org/type"},
    ],
)
def test_another_spec_is_extracted_again(other: dict[str, Any]) -> None:
    values = [b'{"a": "1", "b": "2"}'] * 2
    spec = {"data": [pick(x="a"), pick("db2", y="a")]}
    digest = batch_of(an_es(**spec), *values).digest
    assert batch_of(an_es(**spec), *values).digest == digest
    assert batch_of(an_es(**other), *values).digest != digest
    assert batch_of(an_es(**spec), values[0], b"another").digest != digest


def test_nothing_on_the_way_shows_a_value() -> None:
    inputs = batch_of(an_es(dataProcess=[extract()]), USER)
    extracted = extract_all(inputs)
    assert isinstance(extracted, ExtractedData)
    shown = f"{inputs!r} {extracted!r} {build_extracted(inputs, extracted, KEY)!r}"
    assert "hunter2" not in shown
    assert "password" in shown
