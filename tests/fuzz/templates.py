"""Templates mutated from valid ones, with any data: `python -m tests.fuzz.templates`.

Each case gives bytes or one of our errors, within the budget and in reasonable time, and the
result has none of Go's marks of mistakes. Needs no atheris: pieces of valid templates find more
than random bytes do. The seed of a case that fails is printed; `--seed` repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from secret_sync.templates import engine
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.limits import MAX_CREATED, MAX_ELEMENTS, MAX_RESULT, MAX_STEPS
from secret_sync.templates.rendering import Rendering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROWS: Final = Path(__file__).parents[1] / "golden" / "rows"
#: What Go writes where something is missing or does not fit.
MARKS: Final = (b"<no value>", b"<nil>", b"%!")
#: Seconds of a processor that a case may take; the limits are tested elsewhere.
LONGEST: Final = 3.0
_PIECES: Final = (
    *("{{", "}}", "{{-", "-}}", "{{ ", " }}", "(", ")", "|", " | ", ".", "$", "$x", " := ", " = "),
    *(".s", ".json", ".list", ".missing", "nil", "true", "0", "1", "-1", "3.5", "1e400", "1i"),
    *("if ", "else", "end", "range ", "with ", "define", "template", "block", "break", "continue"),
    *('"a"', "`b`", "'c'", '"%d"', '"%s%v"', '"%*.*f"', "9223372036854775807", "0x1p-2", ", "),
    *("{{/*", "*/}}", "\n", "\t", "\0", "é", "²", "\u2028", "\ufeff", '"\\xff"', '"\\u00e9"'),
    *("(fromJson .json)", "(list 1 2 3)", '(dict "a" 1)', "(until 5)", "now", "(semver .ver)"),
    *("{{ end }}", "{{ else }}", "{{ range .list }}", "{{ if .s }}", "{{ with .s }}"),
)


class Case:
    """A template with data, made from a seed.

    Attributes:
        template: Its source.
        data: The values.
    """

    def __init__(self, seed: int, templates: list[str]) -> None:
        self._random = random.Random(seed)
        self._names = sorted(engine.all_functions())
        self.template = self._mutated(templates)
        self.data = self._data()

    def _mutated(self, templates: list[str]) -> str:
        choose = self._random
        text = choose.choice(templates)
        for _ in range(choose.choice((0, 1, 1, 2, 3, 8))):
            begin = choose.randrange(len(text) + 1)
            end = min(len(text), begin + choose.choice((0, 0, 1, 2, 5, 20)))
            text = text[:begin] + self._piece(templates) + text[end:]
        return text[:4000]

    def _piece(self, templates: list[str]) -> str:
        choose = self._random
        kind = choose.randrange(6)
        if kind == 0:
            other = choose.choice(templates)
            begin = choose.randrange(len(other) + 1)
            return other[begin : begin + choose.randrange(40)]
        if kind == 1:
            return f"{{{{ {choose.choice(self._names)} {self._arguments()} }}}}"
        if kind == 2:
            return f" {choose.choice(self._names)} "
        if kind == 3:
            return f" | {choose.choice(self._names)} {self._arguments()}"
        return choose.choice(_PIECES)

    def _arguments(self) -> str:
        operands = (
            *(".s", ".b", ".n", ".json", ".list", ".missing", "0", "1", "-3", "7", "2.5", '"a"'),
            *('"%d %s"', "true", "nil", "(fromJson .json)", "(fromJson .list)", '(dict "k" .s)'),
            *("(list .s 1 nil)", "(int64 5)", "(now)", ".", "$", '"[a-"', '"2006-01-02"', ".ver"),
        )
        return " ".join(self._random.choices(operands, k=self._random.randrange(4)))

    def _data(self) -> dict[str, bytes]:
        choose = self._random
        return {
            "s": choose.choice(
                (b"text", b"", b"a\nb c", "é世😀".encode(), b"\xff\xfe\0", b"x" * 3000)
            ),
            "b": choose.randbytes(choose.randrange(40)),
            "n": choose.choice(
                (b"0", b"17", b"-3", b"1e3", b"99999999999999999999", b"0x10", b"1.5")
            ),
            "json": choose.choice(
                (
                    b'{"a":1.50,"b":[1,{"c":null}],"k":"v"}',
                    b"[]",
                    b"{}",
                    b'"text"',
                    b"12345678901234567890",
                    b'{"a":',
                )
            ),
            "list": b'["a",2,null,[true]]',
            "ver": choose.choice((b"1.2.3", b"v2.0.0-rc.1+b", b"nope")),
            "missing " + str(choose.randrange(3)): b"",
        }


def templates() -> list[str]:
    """Return the templates of all golden rows."""
    return [
        entry if isinstance(entry, str) else entry["template"]
        for path in sorted(ROWS.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text())["rows"]
    ]


def fault_of(template: str, data: Mapping[str, bytes]) -> str:
    """Return what is wrong with the result; ``""`` if nothing is."""
    rendering = Rendering("uid", 1_780_000_000, _AnyHash())
    begin = time.process_time()
    try:
        output = engine.parse(template).render(data, rendering)
    except TemplateError as error:
        output = b""
        if not error.message:
            return "an error without a message"
    except Exception as error:  # noqa: BLE001  # this is what is looked for
        return f"{type(error).__name__}: {error}"
    if time.process_time() - begin > LONGEST:
        return "too slow"
    budget = rendering.budget
    # The charge that exceeds a limit is counted, and raises before anything is created.
    used = (len(output), budget.steps, budget.created, budget.elements)
    if output and any(map(int.__gt__, used, (MAX_RESULT, MAX_STEPS, MAX_CREATED, MAX_ELEMENTS))):
        return "the budget is exceeded"
    return _mark_in(output, (template.encode(), *data.values()))


def _mark_in(output: bytes, sources: Sequence[bytes]) -> str:
    for mark in MARKS:
        # Not if the template or the data have its characters; typeOf calls a missing value so.
        if mark == b"<nil>" and b"typeOf" in sources[0]:
            continue
        if mark in output and not any(mark[:1] in source for source in sources):
            return f"the result has {mark!r}"
    return ""


class _AnyHash(dict[Any, bytes]):
    """Knows every hash: computing one takes 70 ms."""

    def __contains__(self, _key: object) -> bool:
        return True

    def __missing__(self, _key: Any) -> bytes:
        return b"$2a$10$" + b"x" * 53

    def get(self, key: Any, _default: Any = None) -> bytes:
        return self[key]


def main() -> int:
    """Exit code 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10**9, help="how many at most")
    parser.add_argument("--seconds", type=float, default=1e9, help="how long at most")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="the first seed")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    known = templates()
    done = 0
    for seed in range(options.seed, options.seed + options.cases):
        case = Case(seed, known)
        fault = fault_of(case.template, case.data)
        if fault:
            print(f"seed {seed}: {fault}\n{case.template!r}\n{case.data!r}")  # noqa: T201
            return 1
        done += 1
        if time.monotonic() > end:
            break
    print(f"{done} templates, from seed {options.seed}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
