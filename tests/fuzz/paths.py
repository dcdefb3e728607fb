"""Fuzzes JMESPath and rules: `python -m tests.fuzz.paths`, with arguments of libFuzzer."""

from __future__ import annotations

import sys
from typing import Final

import atheris

with atheris.instrument_imports(include=["secret_sync.parse", "jmespath"]):
    from secret_sync.parse import ExtractionSpec, Rule, Selection
    from tests.fuzz.invariants import CANARY, examine

#: The first byte of an input chooses.
DOCUMENTS: Final = (
    f'{{"a":[{{"b":"{CANARY}","n":1}},{{"b":"y","n":2.50}}],"c":{{"d":[[1],[2,[3]]]}},"s":"t"}}',
    f"a: &x [1, 0x1f, .inf, {CANARY}]\nb: {{p: *x, 1: *x, true: no}}\nc: [*x, *x]\n",
    '{"a":' + "[" * 60 + "1" + "]" * 60 + ',"big":' + "9" * 5000 + ',"e":1e400}',
    '{"a":[' + ",".join(f'{{"n":{n},"v":"x{n}"}}' for n in range(2000)) + "]}",
)


def test_single_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    document = DOCUMENTS[data[0] % len(DOCUMENTS)].encode()
    path, *rules = data[1:].decode(errors="replace").split("\n")
    spec = ExtractionSpec(
        selections=(Selection(path, "alias"),),
        rules=tuple(Rule(*rule.partition("\t")[::2]) for rule in rules),
    )
    examine(spec, document, leaks=CANARY[:4] not in path)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_single_input)
    atheris.Fuzz()
