"""Objects that cost as much as their author could think of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.unit.controller.extracting import an_es, extract

if TYPE_CHECKING:
    from secret_sync.resources import ExternalSecret

#: Thirteen thousand instructions of RE2.
WIDE_CLASS: Final = r"[\pL\pN]{10}7"
YAML_30K: Final = "\n".join(f"key{i}: value {i} and more of it" for i in range(900)).encode()
TEXT_30K: Final = json.dumps({"a": "x" * 30_000}).encode()
LAUGHS: Final = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 5)
)
NUMBERED: Final = json.dumps({f"k{i}": i for i in range(3_400)}).encode()
THOUSAND: Final = json.dumps({f"some_key_{i}": i for i in range(1_000)}).encode()
LISTS: Final = json.dumps({f"k{i}": list(range(100)) for i in range(60)}).encode()


def picks(key: str, number: int, path: str, alias: str = "a") -> dict[str, Any]:
    """An entry that picks by one path, under so many aliases."""
    aliases = [{"path": path, "objectAlias": f"{alias}{i}"} for i in range(number)]
    return {"key": key, "jmesPath": aliases}


def plain(number: int, **more: Any) -> ExternalSecret:
    """So many plain entries."""
    return an_es(data=[{"key": f"k{i}", **more} for i in range(number)])


def rules(source: str, rules_: int, entries: int) -> ExternalSecret:
    """So many rules in so many entries, all different."""
    pairs = [(f"{source}b{{0,{i}}}", "x$0") for i in range(rules_)]
    return an_es(dataProcess=[extract("db", *pairs) for _ in range(entries)])


#: Each with the value that all its entries have, and the reason of its refusal, if there is one.
KNOWN: Final[dict[str, tuple[ExternalSecret, bytes, str]]] = {
    "8,000 plain entries": (plain(8_000), b"x", "TooCostly"),
    "100,000 plain entries": (plain(100_000), b"x", "TooCostly"),
    "500 plain entries": (plain(500), b"x", ""),
    "one key written by 500 entries": (plain(500, name="one"), b"x" * 30_000, ""),
    "700 entries with 34 aliases": (
        an_es(data=[picks(f"k{i}", 34, "@") for i in range(700)]), TEXT_30K, "TooCostly",
    ),
    "58 entries with 34 aliases": (
        an_es(data=[picks("db", 34, "@", f"a{i}.") for i in range(58)]), TEXT_30K, "TooLarge",
    ),
    "58 entries with the same 34 aliases": (
        an_es(data=[picks("db", 34, "@") for _ in range(58)]), TEXT_30K, "",
    ),
    "60 entries on one YAML document": (
        an_es(dataProcess=[extract() for _ in range(60)]), YAML_30K, "TooCostly",
    ),
    "64 rules in 40 entries": (rules(WIDE_CLASS, 64, 40), b'{"abcdefghijk": 1}', "TooCostly"),
    "64 rules on 1,000 keys": (rules(WIDE_CLASS, 64, 1), THOUSAND, "TooCostly"),
    "64 harmless rules on 1,000 keys": (
        an_es(dataProcess=[extract("db", *[(f"^x_{i}_", "$0") for i in range(64)])]), THOUSAND, "",
    ),
    "115 KB of rules": (rules(r"\pL" * 200, 64, 3), b"{}", "TooCostly"),
    "a repetition that no automaton holds": (
        rules("(a?){900}", 64, 1), json.dumps({"a" * 4_000: 1}).encode(), "TooCostly",
    ),
    "10,000 collisions": (
        an_es(dataProcess=[extract(), extract(), extract(), extract()]), NUMBERED, "TooCostly",
    ),
    "nested aliases": (an_es(dataProcess=[extract()]), LAUGHS.encode(), ""),
    "wide projections": (an_es(data=[picks("db", 256, "*[].[@,@,@]")]), LISTS, "TooCostly"),
    "a key of a megabyte": (an_es(data=[{"key": "k" * 1_000_000}]), b"x", "TooCostly"),
}  # fmt: skip
