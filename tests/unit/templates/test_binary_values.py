"""Bytes that are not UTF-8 pass through functions unharmed."""

from __future__ import annotations

import base64
import json
import re

import pytest

from tests.unit.templates.rendering import rendered

#: Each byte between others, and each alone at both ends.
EVERY_BYTE = [
    bytes(range(256)),
    bytes(range(255, -1, -1)),
    *(bytes((byte,)) for byte in (0, 9, 0x7F, 0x80, 0xBF, 0xC3, 0xE2, 0xF0, 0xFF)),
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"a\xffb\x80c\xc3",
]
UNCHANGED = [
    ".x",
    "toString .x",
    "print .x",
    'printf "%s" .x',
    'trimAll "" .x',
    'trimPrefix "~~" .x',
    'trimSuffix "~~" .x',
    'replace "~~" "-" .x',
    'replace "" "" .x',
    "repeat 1 .x",
    "cat .x",
    "trunc 99999 .x",
    "substr 0 -1 .x",
    "abbrev 99999 .x",
    "wrap 99999 .x",
    "indent 0 .x",
    "b64enc .x | b64dec",
    "b32enc .x | b32dec",
    'splitList "," .x | join ","',
    'splitList "" .x | join ""',
    '(splitn "~~" 2 .x)._0',
    'join "" (list .x)',
    "first (list .x)",
    "index (toStrings .x) 0",
    "index (sortAlpha .x) 0",
    "default `d` .x",
    "coalesce .x",
    "ternary .x `` true",
    'get (dict "k" .x) "k"',
    "index (keys (dict .x 1)) 0",
    'dig "k" "" (dict "k" .x)',
    "deepCopy .x",
    "index (uniq (list .x .x)) 0",
    'plural .x "" 1',
    'regexReplaceAll "~~" .x "-"',
    'regexReplaceAll "(?s)(.*)" .x "$1"',
    'regexReplaceAllLiteral "~~" .x "-"',
    'regexReplaceAllLiteral "^(?s).*$" "" .x',
    'regexFind "(?s)^.*$" .x',
    'regexFindAll "(?s)." .x -1 | join ""',
    'regexSplit "~~" .x -1 | join ""',
]


@pytest.mark.parametrize("data", EVERY_BYTE)
@pytest.mark.parametrize("expression", UNCHANGED)
def test_bytes_pass_unchanged(expression: str, data: bytes) -> None:
    value = {"$base64": base64.b64encode(data).decode()}
    assert rendered("{{ " + expression + " }}", x=value) == data


@pytest.mark.parametrize(
    "function",
    ["upper", "lower", "title", "untitle", "swapcase", "trim", "nospace", "initials"],
)
def test_functions_on_letters_keep_bytes_that_are_no_letters(function: str) -> None:
    value = {"$base64": base64.b64encode(b"\xffA\x80b\xc3").decode()}
    found = rendered(f"{{{{ {function} .x }}}}", x=value)
    kept = re.sub(rb"[A-Za-z]", b"", found)
    assert kept == (b"\xff" if function == "initials" else b"\xff\x80\xc3")


@pytest.mark.parametrize("data", EVERY_BYTE)
def test_json_text_of_bytes_is_json(data: bytes) -> None:
    value = {"$base64": base64.b64encode(data).decode()}
    for function in ("toJson", "toRawJson", "toPrettyJson"):
        found = rendered(f"{{{{ {function} .x }}}}", x=value)
        # Each byte that is not UTF-8 is one replacement character.
        text = "".join(
            "\ufffd" if "\udc80" <= char <= "\udcff" else char
            for char in data.decode("utf-8", "surrogateescape")
        )
        assert json.loads(found) == text


def test_lengths_and_positions_count_bytes() -> None:
    assert (
        rendered("{{ len .x }} {{ index .x 1 }} {{ trunc 1 .x | b64enc }}", x="é") == b"2 169 ww=="
    )
    assert rendered("{{ substr 1 2 .x | b64enc }} {{ (slice (list 1 2) 1) }}", x="é") == b"qQ== [2]"
