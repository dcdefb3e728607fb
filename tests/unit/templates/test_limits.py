"""Whatever a template does, it ends within its budget."""

from __future__ import annotations

import inspect
import sys
import time
import tracemalloc
from typing import Any

import pytest

from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TEMPLATE_INVALID, TOO_COSTLY, TemplateError
from secret_sync.templates.limits import MAX_DEPTH, MAX_RESULT, MAX_TEMPLATE
from tests.unit.templates.rendering import new_rendering, rendered

#: Seconds of a processor: three times the goal, as processors differ.
LONGEST = 5.0
MEMORY = 64 * 1024 * 1024
DEFINE = '{{ define "t" }}'
BLOW_UPS = [
    "{{ range 1000000000 }}{{ end }}",
    "{{ range 9223372036854775807 }}x{{ end }}",
    "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}",
    "{{ range $i := 1000 }}{{ range $j := 1000 }}{{ $x := add $i $j }}{{ end }}{{ end }}",
    '{{ repeat 1000000000 "a" }}',
    '{{ repeat 1000 (repeat 1000 (repeat 1000 "a")) }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = print $s $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = printf "%s%s" $s $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = cat $s $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = replace "a" "aa" $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = regexReplaceAll "a" $s "aa" }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = indent 1000 $s }}{{ end }}',
    '{{ $s := "<" }}{{ range 100 }}{{ $s = print $s $s | html }}{{ end }}',
    '{{ $s := "%" }}{{ range 100 }}{{ $s = print $s $s | urlquery }}{{ end }}',
    '{{ $s := "\'" }}{{ range 100 }}{{ $s = js $s }}{{ end }}',
    '{{ $s := "\\x01" }}{{ range 100 }}{{ $s = quote $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = b64enc $s }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = toJson $s }}{{ end }}',
    "{{ $l := list 1 }}{{ range 100 }}{{ $l = concat $l $l }}{{ end }}",
    "{{ $l := list 1 }}{{ range 100 }}{{ $l = list $l $l }}{{ end }}{{ $l }}",
    "{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}",
    '{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ printf "%v" $l }}',
    "{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ deepEqual $l (list $l) }}",
    (
        "{{ $a := list 1 }}{{ $b := list 1 }}{{ range 50 }}{{ $a = list $a $a }}"
        "{{ $b = list $b $b }}{{ end }}{{ deepEqual $a $b }}"
    ),
    "{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ deepCopy $l }}",
    "{{ $l := list 1 }}{{ range 100000 }}{{ $l = append $l 1 }}{{ end }}",
    "{{ $l := list 1 }}{{ range 1000 }}{{ $l = list $l }}{{ end }}{{ $l }}",
    '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $d }}',
    '{{ $d := dict }}{{ $_ := set $d "d" (list $d) }}{{ toJson $d }}',
    '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $_ := set $d "e" $d }}{{ printf "%v" $d }}',
    "{{ until 1000000000 }}",
    "{{ untilStep 0 1000000000 1 }}",
    "{{ seq 1 1000000000 }}",
    '{{ join "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" (until 99999) }}',
    '{{ printf "%1000000d%1000000d%1000000d%1000000d%1000000d" 1 2 3 4 5 }}',
    '{{ printf "%*d" 1000000 1 | printf "%1000000s%1000000s%[1]s%[1]s" "x" }}',
    '{{ printf "%.1000000f%[1].1000000f%[1].1000000f%[1].1000000f%[1].1000000f" 1.5 }}',
    '{{ range 100 }}{{ printf "%1000000d" 1 }}{{ end }}',
    "{{ .big }}{{ .big }}{{ .big }}",
    "{{ range 100000 }}{{ eq $.big $.big2 }}{{ end }}",
    '{{ range 100000 }}{{ $x := contains "b" $.big }}{{ end }}',
    '{{ range 100000 }}{{ $x := regexMatch "(a+)+$" $.big }}{{ end }}',
    '{{ range 100000 }}{{ $x := splitList "a" $.big }}{{ end }}',
    "{{ range 100000 }}{{ $x := sha256sum $.big }}{{ end }}",
    "{{ range 100000 }}{{ $x := $.big | upper }}{{ end }}",
    '{{ regexReplaceAll "" .big "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }}',
    '{{ regexMatch "((((a{0,30}){0,30}){0,30}){0,30}){0,30}" .big }}',
    DEFINE + '{{ template "t" . }}{{ end }}{{ template "t" . }}',
    DEFINE + '{{ template "u" . }}{{ end }}{{ define "u" }}{{ template "t" . }}{{ end }}'
    '{{ template "t" . }}',
    '{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}'
    + "".join(
        f'{{{{ define "{name}" }}}}' + f'{{{{ template "{after}" }}}}' * 2 + "{{ end }}"
        for name, after in zip("bcdefghijklmnopqrstuvwxy", "cdefghijklmnopqrstuvwxyz", strict=True)
    )
    + '{{ define "z" }}z{{ end }}{{ template "a" }}',
    "x{{ range 200000 }}{{ .nothing }}{{ end }}".replace(".nothing", "with $.nothing }}{{ end"),
    "{{ range 100000 }}{{ if $.nothing }}{{ end }}{{ end }}",
]


@pytest.mark.slow
@pytest.mark.parametrize("template", BLOW_UPS)
def test_blow_up_ends_within_the_budget(template: str) -> None:
    data = {"big": "a" * 700_000, "big2": "a" * 699_999 + "b"}
    begin = time.process_time()
    with pytest.raises(TemplateError) as caught:
        rendered(template, **data)
    taken = time.process_time() - begin
    assert caught.value.message
    assert taken < LONGEST
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError):
            rendered(template, **data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEMORY


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 150 + "1" + ")" * 150 + " }}",
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        "{{ if 1 }}" * 150 + "{{ end }}" * 150,
        "{{ if 1 }}" * 5000,
        '{{ block "b" . }}' * 150 + "{{ end }}" * 150,
    ],
)
def test_nesting_is_limited(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template)
    assert caught.value.code == TOO_COSTLY


def test_nesting_up_to_the_limit_is_rendered() -> None:
    levels = MAX_DEPTH - 1
    assert rendered("{{ " + "(" * levels + '"x"' + ")" * levels + " }}") == b"x"
    assert rendered("{{ if 1 }}" * levels + "x" + "{{ end }}" * levels) == b"x"
    assert rendered("{{ with 1 }}{{ if (1) }}" * 49 + "x" + "{{ end }}{{ end }}" * 49) == b"x"
    # A recursion takes a level for the call and one for each block around it.
    tree: dict[str, Any] = {}
    for _ in range(45):
        tree = {"t": tree}
    template = (
        '{{ define "t" }}x{{ with .t }}{{ template "t" . }}{{ end }}{{ end }}{{ template "t" . }}'
    )
    assert rendered(template, **tree) == b"x" * 45
    for _ in range(20):
        tree = {"t": tree}
    with pytest.raises(TemplateError) as caught:
        rendered(template, **tree)
    assert caught.value.code == TOO_COSTLY


@pytest.mark.parametrize("opening", ["(print ", "(1 | print ", "(and 1 ", "($y := ", "(list "])
def test_nested_calls_up_to_the_limit_are_rendered(opening: str) -> None:
    levels = MAX_DEPTH - 1
    rendered("{{ $x := " + opening * levels + "1" + ")" * levels + " }}")


def test_parsing_ends_where_the_stack_does() -> None:
    template = "{{ " + "print (" * 90 + "1" + ")" * 90 + " }}"
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack(0)) + 300)
        with pytest.raises(TemplateError) as caught:
            parse(template)
    finally:
        sys.setrecursionlimit(limit)
    assert caught.value.code == TOO_COSTLY


def test_chains_are_not_nested() -> None:
    assert rendered("{{ 1" + " | print" * 5000 + " }}") == b"1"
    chain = "{{ if 0 }}" + "{{ else if 0 }}" * 3000 + "{{ else }}x{{ end }}"
    assert rendered(chain) == b"x"
    assert rendered("{{ .a" + ".b" * 5000 + " | not }}") == b"true"


def test_templates_of_an_object_share_the_budget() -> None:
    rendering = new_rendering()
    template = parse("{{ .a }}")
    values = {"a": b"x" * (MAX_RESULT // 2)}
    template.render(values, rendering)
    template.render(values, rendering)
    with pytest.raises(TemplateError) as caught:
        template.render({"a": b"x"}, rendering)
    assert caught.value.code == TOO_COSTLY


def test_size_of_a_template_is_limited() -> None:
    assert rendered("é" * (MAX_TEMPLATE // 2)) == "é".encode() * (MAX_TEMPLATE // 2)
    with pytest.raises(TemplateError) as caught:
        parse("é" * (MAX_TEMPLATE // 2 + 1))
    assert caught.value.code == TEMPLATE_INVALID


def test_ordinary_template_takes_few_steps() -> None:
    rendering = new_rendering()
    rendered('{"auth":"{{ printf "%s:%s" .u .p | b64enc }}"}', rendering, u="alice", p="secret")
    assert rendering.budget.steps < 30
