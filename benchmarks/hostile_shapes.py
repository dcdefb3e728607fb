"""Objects of random shapes, for harm that nobody has thought of."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from benchmarks.hostile_parts import (
    KMS_BYTES,
    OBJECT_BYTES,
    HostileObject,
    entry,
    pick,
    yaml_list,
    yaml_mapping,
)

_CHARACTERS: Final = "abcXYZ019-_./ $()[]{}|*+?\\^@&`'\"\n\té漢😀"
_PIECES: Final = (
    *("a", "b", "*", "[*]", "[]", "[0]", "[-1]", "[?a]", ".", " | ", "@", "to_string(@)", "&a"),
    *("sort_by(a, &b)", "map(&@, a)", "join('', a)", "{a: @, b: @}", "[@, @]", "`1`", "keys(@)"),
)
_REGEX_PIECES: Final = (r"\pL", "[a-z]{50}", r"(?:\pN{9}){9}", "(a|b)*", ".*", "^", "$", "(?i)x")


def generated(seed: int) -> HostileObject:
    """Return an object of a random shape and size, the same one for the same seed."""
    draw = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    secrets = {f"g{seed}-{n}": _value(draw) for n in range(draw.choice([1, 1, 3, 20]))}
    names = list(secrets)
    size = draw.choice([2_000, 50_000, 500_000, OBJECT_BYTES])
    lists: dict[str, list[dict[str, Any]]] = {"data": [], "dataProcess": []}
    # Of one make each, as those that harm are; a mixture would end at its first mistake.
    picks, rules = draw.choice([0, 1, 40, 256]), draw.choice([0, 0, 1, 64])
    wild = draw.random() < 0.3  # noqa: PLR2004 (a share)
    while size > 0:
        item = entry(draw.choice(names))
        if wild:
            for name in ("name", "versionStage", "kmsEndpoint", "versionId"):
                if draw.random() < 0.1:  # noqa: PLR2004 (a share)
                    item[name] = _text(draw, 300)
        elif not picks:
            item["name"] = f"k{draw.randrange(10 ** draw.choice([1, 6]))}"
        if picks and draw.random() < 0.7:  # noqa: PLR2004 (a share)
            item["jmesPath"] = [
                pick("".join(draw.choices(_PIECES, k=draw.randint(1, 12))), f"{n}-{size}")
                for n in range(picks)
            ]
        if draw.random() < 0.3 or rules:  # noqa: PLR2004 (a share)
            item = {"extract": item}
            if rules:
                item["replaceRule"] = [
                    {"source": "".join(draw.choices(_REGEX_PIECES, k=9)) + str(n), "target": "$1"}
                    for n in range(rules)
                ]
            lists["dataProcess"].append(item)
        else:
            lists["data"].append(item)
        size -= len(json.dumps(item))
    return HostileObject(f"generated-{seed}", lists, secrets)


def _text(draw: random.Random, most: int) -> str:
    return "".join(draw.choices(_CHARACTERS, k=draw.randrange(most)))


def _value(draw: random.Random) -> str:
    """Return a plain text, JSON or YAML, of any size that KMS takes."""
    size = draw.choice([100, 4000, KMS_BYTES])
    match draw.randrange(5):
        case 0:
            return _text(draw, size // 4) or "x"
        case 1:
            return yaml_list(size)
        case 2:
            return yaml_mapping(size)
        case 3:
            return json.dumps({f"k{n}": [n, str(n)] for n in range(size // 24)})
        case _:
            return json.dumps({"a": [{"a": n, "b": "x"} for n in range(size // 26)]})
