"""What the schema takes at most, as docs/reference.md has it and as the definitions do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit import reference_facts as facts
from tests.unit.reference_tables import codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.reference_tables import Page

KEYWORDS = {"maxItems": "items", "maxLength": "characters"}
#: Rows for the fields that no other row names.
OTHERS = {"every other list": "items", "every other string": "characters"}


def check_schema_limits(page: Page) -> list[str]:
    """Each list and text of a spec has the limit of its row, and each row has a field."""
    written, others = _written(page)
    real = {path: limit for kind in facts.PLURALS for path, limit in limits(kind)}
    # They are those of an ExternalSecret; test_crds.py.
    real = {k: v for k, v in real.items() if not k.startswith("spec.externalSecretSpec.")}
    found = [f"{path} has no limit" for path in sorted(written.keys() - real.keys())]
    used = set()
    for path, limit in real.items():
        unit = limit.split()[1]
        used.add(unit if path not in written else "")
        if written.get(path, others.get(unit)) != limit:
            found.append(f"the schema takes {limit} of {path}")
    return found + [f"there is no other field with {unit}" for unit in others.keys() - used]


def _written(page: Page) -> tuple[dict[str, str], dict[str, str]]:
    """The limits by field, and by unit for the fields that are not named."""
    named: dict[str, str] = {}
    others: dict[str, str] = {}
    for row in page.rows("Limits of the schema", "at most"):
        if row["of"] in OTHERS:
            others[OTHERS[row["of"]]] = row["at most"]
        for field in codes(row["of"]):
            named.update(dict.fromkeys(page.expanded(field), row["at most"]))
    return named, others


def limits(kind: str) -> Iterator[tuple[str, str]]:
    """The fields of a spec that may be of any length, each with its limit in words."""
    (version,) = facts.definition(kind)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    yield from _limits(spec, "spec")


def _limits(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for keyword, unit in KEYWORDS.items():
        if {"array": "maxItems", "string": "maxLength"}.get(schema["type"]) != keyword:
            continue
        if "enum" not in schema:
            yield path, f"{schema.get(keyword, 0):,} {unit}"
    for name, below in schema.get("properties", {}).items():
        yield from _limits(below, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from _limits(schema[keyword], f"{path}[]")
