"""ExternalSecrets whose templates somebody writes to harm others, as data.

Those of ``hostile_objects`` harm by their entries; these have one entry, and harm by
``target.template``.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.hostile_parts import KMS_BYTES, HostileObject, entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Bytes of one template, and of all of an object, that are allowed.
_TEMPLATE: Final = 60_000
_ALL: Final = 250_000
_VALUE: Final = "a" * KMS_BYTES
_CALLS_ITSELF: Final = '{{ template "t" . }}{{ template "t" . }}'
_DOUBLED: Final = "{{ $v := list 1 }}{{ range 60 }}{{ $v = list $v $v }}{{ end }}"

#: Templates that use up the budget, each in another way.
ENDLESS: Final[dict[str, str]] = {
    "loops": "{{ range 9999999 }}{{ range 9999999 }}{{ $x := add 1 2 3 }}{{ end }}{{ end }}",
    "lists": _DOUBLED + "{{ toJson $v }}",
    "equality": _DOUBLED + "{{ $w := list 1 }}{{ range 60 }}{{ $w = list $w $w }}{{ end }}"
    "{{ deepEqual $v $w }}",
    "backtracking": '{{ range 9999999 }}{{ $x := regexMatch "(a|aa)+(a+)+$" $.value }}{{ end }}',
    "compilation": r"{{ range $n := 9999999 }}"
    r'{{ $x := regexMatch (printf "[\\pL\\pN]{8}7%d" $n) "" }}{{ end }}',
    "replacement": "{{ $s := .value }}{{ range 99 }}"
    '{{ $s = regexReplaceAll "" $s "aaaaaaaa" }}{{ end }}',
    "letters": "{{ $s := repeat 9 .value }}{{ range 9999999 }}{{ $x := swapcase $s }}{{ end }}",
    "documents": "{{ range 9999999 }}{{ $x := mergeJson $.document $.document }}{{ end }}",
    "a-path": "{{ range 9999999 }}{{ $x := jsonPath $.document $.dots }}{{ end }}",
    "digests": "{{ range 9999999 }}{{ $x := sha512sum $.value }}{{ end }}",
    "dates": "{{ range 9999999 }}"
    '{{ $x := dateInZone "Monday 2006-01-02 MST" 0 "America/New_York" }}{{ end }}',
    "versions": '{{ range 9999999 }}{{ $x := semverCompare ">=1 <2 || 3.x" "1.4" }}{{ end }}',
}
#: Templates that would be as bad, and that end at once.
EXPLOSIVE: Final[dict[str, str]] = {
    "recursion": f'{{{{ define "t" }}}}{_CALLS_ITSELF}{{{{ end }}}}{_CALLS_ITSELF}',
    "text": "{{ $s := .value }}{{ range 99 }}{{ $s = print $s $s }}{{ end }}",
    "a-cycle": '{{ $d := dict }}{{ $_ := set $d "a" (list $d $d) }}{{ toJson $d }}',
    "widths": '{{ range 99 }}{{ printf "%999999d %.999999f" 1 1.5 }}{{ end }}',
    "one-width": '{{ printf "%2147483647d" 1 }}',
    "repetition": "{{ repeat 9223372036854775807 .value }}",
    "a-range-of-numbers": "{{ seq -9223372036854775808 9223372036854775807 }}",
    "conversions": "{{ $n := repeat 99 .digits }}{{ range 9999999 }}"
    "{{ $x := int $n }}{{ $x = float64 $n }}{{ end }}",
}


def _with(name: str, template: Mapping[str, Any]) -> HostileObject:
    document = json.dumps({f"key-{n}": {"a": [n] * 3} for n in range(700)})
    values = {
        "value": _VALUE,
        "digits": "1" * KMS_BYTES,
        "document": document,
        "dots": "a." * 15_000 + "a",
    }
    entries = [entry(key, name=key) for key in values]
    return HostileObject(name, {"data": entries, "target": {"template": template}}, values)


def with_single(name: str, number: int = 0) -> HostileObject:
    """Return one with a single template; with a number, one of several."""
    suffix = f"-{number}" if number else ""
    template = {"data": {"a": (ENDLESS | EXPLOSIVE)[name]}}
    return _with(f"template-with-{name}{suffix}", template)


def template_hashes() -> HostileObject:
    """As many hashes as are allowed, as costly as is allowed: 9 s of a processor."""
    calls = "".join(f'{{{{ bcrypt "password {n}" 13 }}}}' for n in range(16))
    return _with("template-hashes", {"data": {"a": calls}})


def template_text() -> HostileObject:
    """As much to be parsed as is allowed, in as many pieces as it can have."""
    data = {f"k{n}": "{{.a}}" * (_TEMPLATE // 6) for n in range(_ALL // _TEMPLATE)}
    return _with("template-text", {"data": data})


def template_nesting() -> HostileObject:
    """Levels that a parser which calls itself would not survive."""
    data = {
        "parentheses": "{{ " + "(" * (_TEMPLATE // 2) + "1" + ")" * 100,
        "blocks": "{{ if 1 }}" * (_TEMPLATE // 10),
        "definitions": '{{ define "a" }}' * (_TEMPLATE // 16),
    }
    return _with("template-nesting", {"data": data})


def template_literals() -> HostileObject:
    """One key that a thousand templates write, each after the other."""
    literals = [{"literal": f"{n} {{{{ .value }}}}"} for n in range(900)]
    return _with("template-literals", {"templateFrom": literals})


def template_of_itself() -> HostileObject:
    """A template in the Secret that it renders."""
    source = {"name": "template-of-itself", "items": [{"key": "a"}]}
    template = {"data": {"a": "{{ .a }}{{ .a }}"}, "templateFrom": [{"secret": source}]}
    return _with("template-of-itself", template)


def template_labels() -> HostileObject:
    """Names of labels and keys that a message would like to repeat."""
    labels = {f"label/{n}/{_VALUE[:200]}": "{{ .value }}" for n in range(900)}
    return _with("template-labels", {"metadata": {"labels": labels, "annotations": labels}})


MAKERS: Final[dict[str, Callable[[], HostileObject]]] = {
    **{f"template-with-{name}": partial(with_single, name) for name in ENDLESS | EXPLOSIVE},
    **{
        make.__name__.replace("_", "-"): make
        for make in (
            template_hashes,
            template_text,
            template_nesting,
            template_literals,
            template_of_itself,
            template_labels,
        )
    },
}
