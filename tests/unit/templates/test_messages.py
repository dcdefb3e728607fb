"""What users read about a template that does not work: where, what, and what to do."""

from __future__ import annotations

import pytest

from secret_sync.templates.engine import parse
from secret_sync.templates.errors import (
    TEMPLATE_FAILED,
    TEMPLATE_INVALID,
    TOO_COSTLY,
    TemplateError,
)
from secret_sync.templates.functions import REFUSED
from tests.unit.templates.rendering import rendered

DATA = {
    "credentials": '{"username": "u"}',
    "user": "alice",
    "list": ["a"],
    "map": {"key": "v", "none": None},
    "number": 5,
}
#: Template, line, column, message.
FAILED = [
    (
        "\n  {{ .credentials.username }}",
        (2, 6),
        (
            ".credentials is a string and has no field username; "
            'use (fromJson .credentials).username or jsonPath .credentials "username"'
        ),
    ),
    (
        "{{ $c := .credentials }}{{ $c.username }}",
        (1, 28),
        (
            "$c is a string and has no field username; "
            'use (fromJson $c).username or jsonPath $c "username"'
        ),
    ),
    (
        "{{ .list.name }}",
        (1, 4),
        ".list is a list and has no field name; use index .list 0, or range",
    ),
    (
        "{{ .number.name }}",
        (1, 4),
        ".number is a float64 and has no field name; only maps have fields",
    ),
    ("{{ .usr }}", (1, 4), '.usr is missing: there is no key "usr"; the closest is "user"'),
    ("{{ .map.kay }}", (1, 4), '.map.kay is missing: there is no key "kay"; the closest is "key"'),
    ("{{ .xyz }}", (1, 4), '.xyz is missing: there is no key "xyz"'),
    ("{{ .xyz.deep }}", (1, 4), '.xyz is missing: there is no key "xyz"'),
    ("{{ .map.none }}", (1, 4), ".map.none is null"),
    (
        "{{ .map }}",
        (1, 4),
        (
            "a list or map that is printed contains a missing value; "
            "use toJson, or print its elements one by one"
        ),
    ),
    (
        '{{ printf "%v" (list .usr) }}',
        (1, 4),
        (
            "printf: a list or map that is printed contains a missing value; "
            "use toJson, or print its elements one by one"
        ),
    ),
    (
        '{{ index . "usr" }}',
        (1, 4),
        'there is no key "usr", or it is null; the closest is "user"',
    ),
    (
        "{{ .usr | quote }}",
        (1, 11),
        'quote: .usr is missing: there is no key "usr"; the closest is "user"',
    ),
    (
        "{{ .usr | b64enc }}",
        (1, 11),
        'b64enc: .usr is missing: there is no key "usr"; the closest is "user"',
    ),
    (
        "{{ print .user .usr }}",
        (1, 4),
        'print: .usr is missing: there is no key "usr"; the closest is "user"',
    ),
    (
        "{{ trunc .user .user }}",
        (1, 10),
        "trunc: an argument is a string and has to be an int; convert it with int or atoi",
    ),
    ("{{ trunc 2.5 .user }}", (1, 10), "trunc: a number constant has to be an int here"),
    ("{{ upper 5 }}", (1, 10), "upper: a number has to be a string here; write it in quotes"),
    ("{{ upper nil }}", (1, 10), "upper: nil is not a string"),
    (
        "{{ upper .list }}",
        (1, 10),
        (
            "upper: an argument is a list and has to be a string; "
            "join it, or convert it with toString or toJson"
        ),
    ),
    (
        "{{ keys .credentials }}",
        (1, 9),
        "keys: an argument is a string and has to be a map; read it with fromJson",
    ),
    ("{{ trunc 5 }}", (1, 4), "trunc needs 2 arguments and has 1"),
    ("{{ printf }}", (1, 4), "printf needs at least 1 argument and has 0"),
    ('{{ printf "%d" .user }}', (1, 4), "printf: %d does not fit a string; use %s or %q"),
    ('{{ printf "%s" 5 }}', (1, 4), "printf: %s does not fit an int; use %d"),
    ('{{ printf "%s %s" .user }}', (1, 4), "printf: there is no value for %s"),
    (
        '{{ printf "x" .user }}',
        (1, 4),
        "printf: there are more values than verbs; add %v for each, or remove them",
    ),
    (
        '{{ eq .number "5" }}',
        (1, 4),
        (
            "eq: a float64 and a string cannot be compared; "
            "convert one of them, for example with int, float64 or toString"
        ),
    ),
    ("{{ lt .list 1 }}", (1, 4), "lt: a list has no order; compare numbers or strings"),
    (
        "{{ range .user }}{{ end }}",
        (1, 10),
        "range: a string has no elements; split it with splitList, or read it with fromJson",
    ),
    ("{{ index .list 7 }}", (1, 4), "index: the index is out of range; check it with len"),
    ("{{ call .user }}", (1, 4), "call: there are no functions among the values of templates"),
    ('{{ fail "no tls" }}', (1, 4), "fail: no tls"),
    (
        "{{ fail .user }}",
        (1, 4),
        (
            "fail: the template refuses to be rendered; "
            "its message is not a constant, so it is not shown"
        ),
    ),
    (
        '{{ template "t" }}',
        (1, 4),
        "there is no template t; write {{ define }} with this name into the same template",
    ),
    (
        '{{ define "t" }}{{ . }}{{ end }}{{ template "t" }}',
        (1, 20),
        "the template t is called without an argument; write . behind its name",
    ),
    (
        '{{ "a" .user }}',
        (1, 4),
        "a value that is not a function has arguments; is a function's name missing?",
    ),
]
INVALID = [
    ("{{ .user", (1, 1), "an action has no closing }}"),
    (
        "{{ .my-key }}",
        (1, 7),
        (
            "a name is followed by a character that cannot be part of it; names "
            'have letters, digits and _ only. For another key write index . "key"'
        ),
    ),
    ("a\n{{ uper .user }}", (2, 4), "there is no function uper; did you mean upper?"),
    ("{{ zzzzz }}", (1, 4), "there is no function zzzzz; if it is a key of data, write .zzzzz"),
    (
        "{{ tpl .user . }}",
        (1, 4),
        ("there is no function tpl: text that comes from a value is never run as a template"),
    ),
    ("{{ toYaml . }}", (1, 4), "there is no function toYaml: use toJson: JSON is YAML, too"),
    (
        "{{ $usr := 1 }}{{ $user }}",
        (1, 19),
        "the variable $user is not declared here; did you mean $usr?",
    ),
    ("{{ if .user }}", (1, 4), "if has no {{ end }}"),
    ("x{{ end }}", (1, 11), "end belongs to no if, with, range, define or block"),
    ("{{ range . }}{{ else if . }}{{ end }}", (1, 22), "if cannot be in else of range"),
    ('{{ "a }}', (1, 4), 'a string has no closing "'),
    ('{{ "\\q" }}', (1, 4), "a string has an invalid escape; write a backslash as \\\\"),
    (
        "{{ 9223372036854775807123 }}",
        (1, 4),
        "an int has to fit into 64 bits; write it as a string",
    ),
    ("{{ print(.user) }}", (1, 9), "( cannot be here, in an action; is a space missing?"),
    ("{{ .user | 3 }}", (1, 12), "a value is piped into something that is not a function"),
    ("{{ break }}", (1, 4), "break has to be in a range"),
    ("{{ /* a */ }}", (1, 4), "an action cannot have this character outside quotes"),
    ("{{/* a */ }}", (1, 1), "a comment has to end with */}} or */ -}}"),
    ("{{ (1 }}", (1, 7), "a ) is missing before }}"),
]


def error_of(template: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        rendered(template, **DATA)
    return caught.value


@pytest.mark.parametrize(("template", "place", "message"), FAILED)
def test_rendering_says_what_is_wrong(template: str, place: tuple[int, int], message: str) -> None:
    error = error_of(template)
    assert (error.message, (error.line, error.column)) == (message, place)
    assert error.code == TEMPLATE_FAILED


@pytest.mark.parametrize(("template", "place", "message"), INVALID)
def test_parsing_says_what_is_wrong(template: str, place: tuple[int, int], message: str) -> None:
    error = error_of(template)
    assert (error.message, (error.line, error.column)) == (message, place)
    assert error.code == TEMPLATE_INVALID


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_function_is_an_error_where_it_is_not_reached(name: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(f"{{{{ if false }}}}{{{{ {name} }}}}{{{{ end }}}}")
    assert caught.value.code == TEMPLATE_INVALID
    assert caught.value.message == f"the function {name} is not offered: {REFUSED[name]}"
    assert (caught.value.line, caught.value.column) == (1, 18)


@pytest.mark.parametrize(
    "template",
    [
        "{{ hunter2 }}",
        "{{ $hunter2 }}",
        "{{ .hunter2 }}",
        "{{ .user.hunter2 }}",
        '{{ index . "hunter2" }}',
        '{{ index .map "hunter2" | quote }}',
        '{{ template "hunter2" }}',
        '{{ define "hunter2" }}{{ . }}{{ end }}{{ template "hunter2" }}',
        '{{ fail "hunter2" }}',
        "{{ $hunter2 := 1 }}{{ $hunter2.x }}",
        '{{ "hunter2" | toDate "2006" }}',
        '{{ regexMatch "[hunter2" .user }}',
        '{{ .map.key | b64dec | printf "%d" }}',
        "{{ len .hunter2 }}",
        '{{ with "hunter2" }}{{ .x }}{{ end }}',
        "{{ .map.hunter2 1 }}",
    ],
)
def test_plain_message_has_no_words_of_the_template(template: str) -> None:
    error = error_of(template)
    assert error.plain
    assert "hunter2" not in error.plain


@pytest.mark.parametrize(
    "template",
    [
        "{{ index . .key }}",
        "{{ .key | index . }}",
        "{{ (index . .key).field }}",
        "{{ index (dict `x` 1) .key }}",
        "{{ index (fromJson `{}`) .key `l` }}",
        "{{ $k := .key }}{{ index . $k }}",
        "{{ get . .key }}",
        "{{ (dict `x` 1) | dig .key `y` nil | quote }}",
        "{{ jsonPath `{}` .key }}",
        "{{ template `t` }}{{ define `t` }}{{ index (dict `x` 1) (print 1) }}{{ end }}",
    ],
)
def test_key_that_is_a_value_is_not_named(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(template, key="planted")
    assert "planted" not in str(caught.value)


def test_failure_of_a_called_template_has_the_place_of_the_failure() -> None:
    error = error_of('{{ define "t" }}\n {{ .x }}{{ end }}\n\n{{ template "t" . }}')
    assert (error.line, error.column) == (2, 5)


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("ab{{ range 300000 }}{{ $x := print 1 }}{{ end }}", (1, 12)),
        ("{{ .user }}\n{{ repeat 100000000 .user }}", (2, 4)),
    ],
)
def test_costly_template_has_a_place(template: str, place: tuple[int, int]) -> None:
    error = error_of(template)
    assert error.code == TOO_COSTLY
    assert (error.line, error.column) == place
