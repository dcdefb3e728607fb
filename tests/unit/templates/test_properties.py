"""Properties of all templates and data."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secret_sync.templates.engine import all_functions, parse
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.limits import MAX_CREATED, MAX_ELEMENTS, MAX_RESULT, MAX_STEPS
from tests.fuzz.templates import Case, fault_of, templates
from tests.unit.templates.rendering import new_rendering

pytestmark = pytest.mark.slow

TEMPLATES = templates()
#: Stands in values only, and in none of our messages.
CANARY = b"q7Zx-51c"

names = st.text(st.characters(codec="utf-8"), max_size=8)
data = st.dictionaries(names, st.binary(max_size=60), max_size=5)
words = st.sampled_from(
    [
        *sorted(all_functions()),
        *("{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", "define", "template"),
        *("(", ")", "|", ".", "$", "$x", ":=", "=", ",", '"a"', "`b`", "'c'", "1", "2.5", "nil"),
        *(".a", ".a.b", "true", '"%d"', '"%5.2v"', "{{ end }}", "\n", "break", "block"),
    ]
)


def outcome(template: str, values: dict[str, bytes]) -> bytes | TemplateError:
    rendering = new_rendering()
    try:
        output = parse(template).render(values, rendering)
    except TemplateError as error:
        return error
    assert rendering.budget.steps <= MAX_STEPS
    assert rendering.budget.created <= MAX_CREATED
    assert rendering.budget.elements <= MAX_ELEMENTS
    assert len(output) <= MAX_RESULT
    return output


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60), data)
@example("{{ .9x }}", {})
@example("{{ '\ud800' }}", {})
@example("\ud800", {})
def test_text_gives_bytes_or_our_error(template: str, values: dict[str, bytes]) -> None:
    found = outcome(template, values)
    if isinstance(found, TemplateError):
        assert found.message
    elif "{{" not in template:
        assert found == template.encode()


@settings(deadline=None, max_examples=500)
@given(st.lists(words, max_size=25), data)
def test_words_of_templates_give_bytes_or_our_error(
    parts: list[str], values: dict[str, bytes]
) -> None:
    outcome(" ".join(parts), values)
    outcome("{{ " + " ".join(parts) + " }}", values)


@settings(deadline=None, max_examples=500)
@given(st.integers(0, 10**12))
def test_mutated_templates_give_bytes_or_our_error(seed: int) -> None:
    case = Case(seed, TEMPLATES)
    assert fault_of(case.template, case.data) == "", (seed, case.template)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_values_pass_unharmed(value: bytes) -> None:
    output = outcome("[{{ .a }}]{{ range $k, $v := . }}{{ $v }}{{ end }}", {"a": value})
    assert output == b"[" + value + b"]" + value


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 10**12), st.data())
def test_messages_have_no_values(seed: int, draw: st.DataObject) -> None:
    case = Case(seed, TEMPLATES)
    values = {
        key: draw.draw(st.sampled_from((CANARY, b'{"a":"' + CANARY + b'"}'))) for key in case.data
    }
    found = outcome(case.template, values)
    if isinstance(found, TemplateError):
        assert CANARY.decode() not in found.message
        assert CANARY.decode() not in found.plain
        assert CANARY.decode() not in str(found.__cause__)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**12))
def test_same_input_gives_same_bytes(seed: int) -> None:
    case = Case(seed, TEMPLATES)
    first = outcome(case.template, case.data)
    second = outcome(case.template, case.data)
    assert str(first) == str(second)


def test_long_templates_take_time_in_proportion() -> None:
    for text in ("(", "{{ ", "{{/*", '"', "{{ 1", " ", "{{ .a", "}}", "{{ `", "\\", "{{ 1 | "):
        begin = time.process_time()
        outcome("{{ " + text * (60_000 // len(text)), {})
        outcome(text * (60_000 // len(text)), {})
        assert time.process_time() - begin < 5
