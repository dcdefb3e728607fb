"""Fuzzes documents: `python -m tests.fuzz.documents`, with arguments of libFuzzer."""

from __future__ import annotations

import sys
from typing import Final

import atheris

with atheris.instrument_imports(include=["secret_sync.parse"]):
    from secret_sync.parse import ExtractionSpec, Rule, Selection
    from tests.fuzz.invariants import examine

#: The first byte of an input chooses.
SPECS: Final = (
    ExtractionSpec(extract=True),
    ExtractionSpec(extract=True, rules=(Rule("^/.*d$", "tom"), Rule("^n.*/$", "mark"))),
    ExtractionSpec(extract=True, rules=(Rule("(.)", "$1$1"),) * 20),
    ExtractionSpec(extract=True, rules=(Rule("[^a-z]", "_"), Rule("(a+)+$", "${1}x"))),
    ExtractionSpec(selections=(Selection("@", "all"),)),
    ExtractionSpec(selections=(Selection("*", "values"), Selection("keys(@)", "keys"))),
    ExtractionSpec(selections=(Selection("a[0].b", "k"), Selection("to_string(@)", "text"))),
    ExtractionSpec(selections=(Selection("sum(*)", "sum"), Selection("sort(*)", "sorted"))),
)


def test_single_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if data:
        examine(SPECS[data[0] % len(SPECS)], data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_single_input)
    atheris.Fuzz()
