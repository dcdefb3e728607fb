"""What the controller uses: parsed templates, their fields and functions."""

from __future__ import annotations

import threading

import pytest

from secret_sync.templates import engine
from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TemplateError
from tests.unit.templates.rendering import new_rendering, rendered


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("{{ .a }}{{ $.b }}{{ .c.d }}", "a b c"),
        ("{{ if .a }}{{ .b }}{{ else if .c }}{{ else }}{{ .d }}{{ end }}", "a b c d"),
        ("{{ with .a }}{{ .inner }}{{ $.b }}{{ else }}{{ .c }}{{ end }}", "a b c"),
        ("{{ with . }}{{ .a }}{{ end }}{{ with $ }}{{ .b }}{{ end }}", "a b"),
        ("{{ range .a }}{{ .inner }}{{ $.b }}{{ else }}{{ .c }}{{ end }}", "a b c"),
        ("{{ (.a).inner }}{{ print (print .b) (.c | upper) }}", "a b c"),
        ("{{ (fromJson .a).inner }}", "a"),
        ("{{ $x := .a }}{{ $x.inner }}{{ $x = .b }}", "a b"),
        ('{{ index . "a" }}{{ get $ "b" }}{{ hasKey . "c" }}{{ index .d "inner" }}', "a b c d"),
        ('{{ define "t" }}{{ .a }}{{ end }}{{ template "t" . }}', "a"),
        ('{{ define "t" }}{{ .inner }}{{ end }}{{ template "t" .a }}', "a"),
        ('{{ define "t" }}{{ .not_called }}{{ end }}{{ .a }}', "a"),
        ('{{ define "t" }}{{ .a }}{{ template "t" . }}{{ end }}{{ template "t" $ }}', "a"),
        ('{{ block "t" . }}{{ .a }}{{ end }}', "a"),
        ("{{ .a | default .b }}", "a b"),
        ("plain", ""),
    ],
)
def test_fields_are_those_of_the_data(template: str, fields: str) -> None:
    assert parse(template).fields == frozenset(fields.split())


def test_functions_are_those_that_are_called() -> None:
    template = (
        '{{ if eq .a "x" }}{{ print (upper .b) | quote }}{{ end }}'
        '{{ define "t" }}{{ len . }}{{ end }}'
    )
    assert parse(template).functions == {"eq", "print", "upper", "quote", "len"}


def test_each_template_has_its_own_copy_of_the_data() -> None:
    rendering = new_rendering()
    values = {"a": b"1"}
    changing = parse('{{ $_ := set . "a" "2" }}{{ $_ := set . "b" "3" }}{{ .a }}{{ .b }}')
    assert changing.render(values, rendering) == b"23"
    assert parse("{{ .a }}").render(values, rendering) == b"1"
    assert values == {"a": b"1"}


def test_same_source_is_parsed_once() -> None:
    assert parse("{{ .once }}") is parse("{{ .once }}")


def test_kept_templates_are_limited() -> None:
    kept = engine.ParsedTemplates()
    first = kept.get("{{ .first }}")
    for number in range(511):
        kept.get(f"{{{{ .a{number} }}}}")
        assert kept.get("{{ .first }}") is first
    second = kept.get("{{ .a0 }}")
    for number in range(511):
        kept.get(f"{{{{ .b{number} }}}}")
    assert kept.get("{{ .first }}") is not first
    assert kept.get("{{ .a0 }}") is not second


def test_kept_templates_are_limited_by_size() -> None:
    kept = engine.ParsedTemplates()
    first = kept.get("{{ .first }}")
    for number in range(3):
        kept.get(f"{number}" * 60_000)
    assert kept.get("{{ .first }}") is not first


def test_template_that_cannot_be_parsed_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(TemplateError):
            parse("{{ nothing }}")


def test_threads_share_a_template() -> None:
    template = parse("{{ $x := .a }}{{ range 50 }}{{ $x = print $x . }}{{ end }}{{ $x }}")
    wanted = {
        str(number): template.render({"a": str(number).encode()}, new_rendering())
        for number in range(4)
    }
    found: dict[str, set[bytes]] = {key: set() for key in wanted}

    def work(key: str) -> None:
        for _ in range(50):
            found[key].add(template.render({"a": key.encode()}, new_rendering()))

    threads = [threading.Thread(target=work, args=(key,)) for key in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {key: {value} for key, value in wanted.items()}


def test_numbers_of_documents_keep_their_text() -> None:
    data = '{"id": 1234567890123456, "price": 1.50, "big": 1e3}'
    template = "{{ $d := fromJson .d }}{{ $d.id }} {{ $d.price }} {{ $d.big }}"
    assert rendered(template, d=data) == b"1234567890123456 1.50 1e3"
    template = '{{ $d := fromJson .d }}{{ printf "%v|%20v|%.1f" $d.id $d.id $d.price }}'
    assert rendered(template, d=data) == b"1234567890123456|    1234567890123456|1.5"
    assert rendered("{{ (fromJson .d).id | print }}", d=data) == b"1234567890123456"
    assert rendered("{{ if eq (fromJson .d).price 1.5 }}equal{{ end }}", d=data) == b"equal"
    assert rendered("{{ list (fromJson .d).id }}", d=data) == b"[1234567890123456]"


def test_methods_of_values_are_called() -> None:
    day = "2026-11-30"
    template = (
        '{{ $t := toDate "2006-01-02" .t }}{{ $t.Year }} {{ $t.Format "Jan 2" }} '
        '{{ "02/01" | $t.Format }}'
    )
    assert rendered(template, t=day) == b"2026 Nov 30 30/11"
    assert rendered('{{ (semver "1.2.3").Minor }}') == b"2"
    with pytest.raises(TemplateError, match=r"has no field Yaer; it has the methods .*Year"):
        rendered('{{ (toDate "2006-01-02" .t).Yaer }}', t=day)
    with pytest.raises(TemplateError, match="Format needs 1 argument and has 0"):
        rendered('{{ (toDate "2006-01-02" .t).Format }}', t=day)
