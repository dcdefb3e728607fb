"""What parsing and rendering templates costs, and the worst that a template can do.

`python -m benchmarks.templates` prints the table.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row, render
from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.rendering import Rendering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RENDER_MS: Final = 0.3
PARSE_MS: Final = 2.0
WORST_SECONDS: Final = 0.5
WORST_MIB: Final = 64.0

_TRIES: Final = 200
_KIB: Final = 1024
_MIB: Final = _KIB * _KIB

#: Five keys as people write them.
FIVE: Final = (
    'postgresql://{{ .user }}:{{ .pass | urlquery }}@{{ .host }}/{{ .db | default "app" }}',
    '{"auths":{"{{ .host }}":{"auth":"{{ printf "%s:%s" .user .token | b64enc }}"}}}',
    "{{ .host | upper }}:{{ .port }}",
    "{{ if .tls }}https{{ else }}http{{ end }}://{{ .host }}",
    "user={{ .user }}\npass={{ .pass }}\n",
)
DATA: Final = {
    "user": b"alice",
    "pass": b"p w/d",
    "host": b"db.example.com",
    "token": b"abcdef",
    "port": b"5432",
    "tls": b"1",
}
#: A little over 1 KiB, mostly actions.
_LONG: Final = (
    "{{- range $key, $value := . }}\n"
    '{{ if and (eq $key "tls") (ne $value "") }}{{ $key | upper }}={{ printf "%s" $value | quote }}'
    '{{ else if contains "a" $value }}# {{ $key }} is {{ len $value }} bytes long{{ end }}\n'
    "{{- end }}\n"
    "{{- with .user }}{{/* encoded */}}user: {{ . | b64enc | trim }}{{ end }}\n"
) * 4
#: Each costs as much as a budget allows, in another way.
WORST: Final = (
    "{{ range 300000 }}{{ $x := add 1 2 3 }}{{ end }}",
    '{{ range 300000 }}{{ $x := regexMatch "(a+)+$" $.big }}{{ end }}',
    "{{ range 300000 }}{{ $x := fromJson `[1, 2]` }}{{ end }}",
    '{{ $s := "a" }}{{ range 100 }}{{ $s = regexReplaceAll "a" $s "aa" }}{{ end }}',
    '{{ $s := "a" }}{{ range 100 }}{{ $s = quote $s $s }}{{ end }}',
    "{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}",
    "{{ $l := list 1 }}{{ range 50 }}{{ $l = list $l $l }}{{ end }}{{ deepCopy $l }}",
    "{{ range 100000 }}{{ $x := eq $.big $.big }}{{ end }}",
)


def measure() -> list[Row]:
    """The rows: rendering, parsing, and the worst templates."""
    return [_rendering(), _parsing(), *_worst_ones()]


def _rendering() -> Row:
    templates = [parse(source) for source in FIVE]

    def work() -> None:
        rendering = Rendering("uid", 0, {})
        for template in templates:
            template.render(DATA, rendering)

    ms = _best_ms(work)
    return _row("templates: render five small keys", RENDER_MS, ms)


def _parsing() -> Row:
    parse(_LONG, keep=False)
    ms = _best_ms(lambda: parse(_LONG, keep=False)) * _KIB / len(_LONG)
    return _row("templates: parse 1 KiB, first time", PARSE_MS, ms)


def _row(what: str, goal: float, ms: float) -> Row:
    return Row(
        what=what,
        goal=f"<= {goal} ms",
        figure=f"{ms:.3f} ms",
        reached=ms <= goal,
        values={"cpu_ms": ms},
    )


def _best_ms(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_TRIES):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def _worst_ones() -> list[Row]:
    data = DATA | {"big": b"a" * (700 * _KIB)}
    seconds = max(_seconds(source, data) for source in WORST)
    mib = max(_peak_mib(source, data) for source in WORST)
    return [
        Row(
            what=f"templates: the worst of {len(WORST)} that the budgets end",
            goal=f"<= {WORST_SECONDS} s, {WORST_MIB:.0f} MiB",
            figure=f"{seconds:.2f} s, {mib:.1f} MiB",
            reached=seconds <= WORST_SECONDS and mib <= WORST_MIB,
            values={"cpu_seconds": seconds, "peak_mib": mib},
        )
    ]


def _seconds(source: str, data: Mapping[str, bytes]) -> float:
    began = time.process_time()
    _exhaust(source, data)
    return time.process_time() - began


def _peak_mib(source: str, data: Mapping[str, bytes]) -> float:
    tracemalloc.start()
    _exhaust(source, data)
    peak = tracemalloc.get_traced_memory()[1] / _MIB
    tracemalloc.stop()
    return peak


def _exhaust(source: str, data: Mapping[str, bytes]) -> None:
    try:
        parse(source).render(data, Rendering("uid", 0, {}))
    except TemplateError:
        return
    raise AssertionError(f"the budget did not end {source}")


if __name__ == "__main__":
    print(render(measure()))
