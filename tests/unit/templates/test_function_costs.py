"""What functions create is charged before it exists, and what takes longer costs more steps."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TEMPLATE_FAILED, TOO_COSTLY, TemplateError
from secret_sync.templates.rendering import Rendering

LONG = {
    "x": b"x" * 65_535,
    "u": "é".encode() * 32_000,
    "b": bytes(range(256)) * 256,
    "words": b" a b" * 16_000,
    "lines": b"a\n" * 32_000,
    "digits": b"1" * 60_000,
    "numbers": b"[" + b"1," * 24_000 + b"1]",
    "deep": b'{"a":' * 99 + b"1" + b"}" * 99,
    "dots": b"a." * 30_000,
    "steps": b"/a/.." * 10_000,
}
#: Seconds. It takes 0.2 s at most (benchmarks/templates.py); what is not bounded takes minutes.
FAR_TOO_LONG = 5.0
DOUBLED_LIST = "{{ $v := list 1 }}{{ range until 60 }}{{ $v = list $v $v }}{{ end }}"
DEEP_LIST = "{{ $v := list }}{{ range until 5000 }}{{ $v = list $v }}{{ end }}"
DEEP_MAP = '{{ $v := dict }}{{ range until 5000 }}{{ $v = dict "a" $v }}{{ end }}'
#: Two maps whose common parts are merged again and again.
DOUBLED_MAPS = (
    '{{ $v := dict }}{{ range until 90 }}{{ $v = dict "a" $v "b" $v }}{{ end }}'
    '{{ $w := dict }}{{ range until 90 }}{{ $w = dict "a" $w "b" $w }}{{ end }}'
)


def repeated(call: str) -> str:
    """Return a template that makes the call until its budget is used up."""
    return "{{ range until 100000 }}{{ $_ := " + call + " }}{{ end }}"


CREATE_AT_ONCE = [
    "{{ repeat 1000000000 .x }}",
    "{{ repeat 9223372036854775807 .x }}",
    '{{ replace "x" .x .x }}',
    '{{ replace "" .x .x }}',
    "{{ indent 9223372036854775807 .lines }}",
    "{{ indent 1000 .lines }}",
    "{{ nindent 1000 .lines }}",
    '{{ join .x (splitList "" .x) }}',
    "{{ until 1000000000000 }}",
    "{{ untilStep 0 9223372036854775807 1 }}",
    "{{ untilStep -9223372036854775808 9223372036854775807 1 }}",
    "{{ seq 1000000000000 }}",
    "{{ seq -9223372036854775808 9223372036854775807 }}",
    '{{ regexReplaceAll "" .x .x }}',
    '{{ regexReplaceAllLiteral "x" .x .x }}',
    '{{ regexReplaceAll "x" .x "' + "$0" * 70 + '" }}',
    "{{ wrapWith 1 .x .x }}",
]
TAKE_LONG = [
    "{{ $v := .x }}{{ range until 100 }}{{ $v = repeat 2 $v }}{{ end }}",
    "{{ $v := until 1000 }}{{ range until 100 }}{{ $v = concat $v $v }}{{ end }}",
    "{{ $v := list }}{{ range until 100000 }}{{ $v = append $v . }}{{ end }}",
    DOUBLED_LIST + "{{ toJson $v }}",
    DOUBLED_LIST + "{{ toPrettyJson $v }}",
    DOUBLED_LIST + "{{ toString $v }}",
    DOUBLED_LIST + "{{ deepEqual $v $v }}",
    DOUBLED_LIST + "{{ has $v (list $v) }}",
    DOUBLED_LIST + "{{ $_ := deepCopy $v }}",
    DOUBLED_MAPS + "{{ $_ := merge $v $w }}",
    DOUBLED_MAPS + "{{ $_ := mergeOverwrite $v $w }}",
    "{{ mulf " + "1e308 " * 5000 + "}}",
    '{{ regexFindAll "x.*y|x" .x -1 | len }}',
    '{{ regexReplaceAll "x.*y|x" .x "" }}',
    '{{ regexMatch "[a-z]{1000}y" .x }}',
    '{{ range until 5000 }}{{ $_ := regexMatch (printf "[a-z]{1000}%d" .) "" }}{{ end }}',
    *map(
        repeated,
        [
            "title $.x",
            "untitle $.words",
            "swapcase $.u",
            "camelcase $.x",
            "snakecase $.b",
            "upper $.u",
            "initials $.words",
            "quote $.b",
            "toJson $.b",
            "b32enc $.x",
            "sha512sum $.x",
            "wrap 1 $.words",
            'splitList "" $.u',
            "fromJson $.numbers",
            "fromJson $.deep",
            "mergeJson $.deep $.deep",
            "jsonPath $.deep $.dots",
            "parseKeyValue $.lines",
            "toLines $.lines",
            "clean $.steps",
            "urlParse $.b",
            "int $.digits",
            "float64 $.digits",
            "addf 1.1 2.2",
            'semverCompare ">=1.2 <2 || 3.x" "1.4"',
            'dateInZone "2006-01-02 MST" 0 "America/New_York"',
            'toDate "2006-01-02" "2020-01-01"',
            "now.AddDate 1 1 1",
            'regexMatch "x+y" $.x',
            'regexReplaceAll "x" "xxxxxx" "y"',
        ],
    ),
]


@pytest.mark.parametrize("template", CREATE_AT_ONCE)
def test_blow_up_is_too_costly_before_it_exists(template: str) -> None:
    parsed = parse(template)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError) as caught:
            parsed.render(LONG, Rendering("uid", 0, {}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == TOO_COSTLY
    assert peak < 24 * 1024 * 1024


@pytest.mark.parametrize("template", TAKE_LONG)
def test_longest_work_that_the_budget_allows_is_short(template: str) -> None:
    parsed = parse(template)
    started = time.process_time()
    with pytest.raises(TemplateError):
        parsed.render(LONG, Rendering("uid", 0, {}))
    assert time.process_time() - started < FAR_TOO_LONG


@pytest.mark.parametrize("call", ["toJson $v", "deepEqual $v $v", "deepCopy $v", "uniq (list $v)"])
@pytest.mark.parametrize("build", [DEEP_LIST, DEEP_MAP])
def test_deep_value_is_an_error(build: str, call: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(f"{build}{{{{ {call} }}}}").render({}, Rendering("uid", 0, {}))
    assert "more than 200 levels" in str(caught.value)


def test_regular_expression_of_exponential_backtracking_takes_linear_time() -> None:
    started = time.process_time()
    template = parse('{{ regexMatch "(x+x+)+y" .x }} {{ regexMatch "^(x|xx)*$" .x }}')
    assert template.render(LONG, Rendering("uid", 0, {})) == b"false true"
    assert time.process_time() - started < FAR_TOO_LONG


def test_version_constraint_of_many_spaces_takes_linear_time() -> None:
    started = time.process_time()
    template = parse("{{ semverCompare .c `1.2` }}")
    with pytest.raises(TemplateError) as caught:
        template.render({"c": b"1" + b"  1" * 300 + b"!"}, Rendering("uid", 0, {}))
    assert caught.value.code == TEMPLATE_FAILED
    assert time.process_time() - started < FAR_TOO_LONG


def test_document_of_too_many_values_is_too_costly() -> None:
    with pytest.raises(TemplateError) as caught:
        parse("{{ fromJson .d | len }}").render(
            {"d": b"[" + b"1," * 60_000 + b"1]"}, Rendering("uid", 0, {})
        )
    assert caught.value.code == TOO_COSTLY


def test_document_of_too_many_levels_is_too_costly() -> None:
    with pytest.raises(TemplateError) as caught:
        parse("{{ fromJson .d | len }}").render(
            {"d": b"[" * 101 + b"]" * 101}, Rendering("uid", 0, {})
        )
    assert caught.value.code == TOO_COSTLY


def test_usual_templates_use_a_small_part_of_the_budget() -> None:
    rendering = Rendering("uid", 0, {})
    config = b'{"host":"db","port":5432,"users":["a","b"]}'
    template = parse(
        "{{ with fromJson .c }}{{ .host }}:{{ .port }} {{ join `,` .users | upper }}{{ end }}"
        "{{ regexReplaceAll `[^a-z]+` .name `-` | trimSuffix `-` | b64enc | quote }}"
        "{{ dateInZone `2006-01-02` now `Asia/Shanghai` }}"
        "{{ semverCompare `^1.2` `1.3.0` }}{{ .pem | nindent 4 }}"
    )
    template.render({"c": config, "name": b"A b C!", "pem": b"line\n" * 50}, rendering)
    assert rendering.budget.steps < 1_000
    assert rendering.budget.created < 10_000
