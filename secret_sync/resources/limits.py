"""How much one ExternalSecret may ask for, counted before anything of it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.meta import InvalidField

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Entries of ``spec.data`` and ``spec.dataProcess`` together.
MAX_ENTRIES: Final = 500
#: Items of all ``jmesPath`` and ``replaceRule`` together.
MAX_EXPRESSIONS: Final = 2_000
#: Characters of their ``path``, ``source`` and ``target`` together.
MAX_EXPRESSION_CHARACTERS: Final = 64 * 1024
#: Characters of a field that names something of Alibaba Cloud: four times its longest ARN.
MAX_NAME_CHARACTERS: Final = 1024


def excess_of(spec: dict[str, Any]) -> InvalidField | None:
    """Return which limit a spec exceeds, with the number found; ``None`` if it exceeds none.

    Only numbers and lengths are looked at, and nothing of what is too much.
    """
    data, processed = spec.get("data") or (), spec.get("dataProcess") or ()
    entries = len(data) + len(processed)
    if entries > MAX_ENTRIES:
        return InvalidField(
            ("spec", "data"),
            f"spec.data and spec.dataProcess have {entries} entries together, {MAX_ENTRIES} are "
            "allowed; split the ExternalSecret",
        )
    items = [*data, *(process.get("extract") or {} for process in processed)]
    for name in _NAMES:
        longest = 0
        for item in items:
            longest = max(longest, len(str(item.get(name) or "")))
        if longest > MAX_NAME_CHARACTERS:
            return InvalidField(
                ("spec",),
                f"the `{name}` of an entry has {longest} characters, "
                f"{MAX_NAME_CHARACTERS} are allowed",
            )
    paths = [found for item in items if (found := item.get("jmesPath"))]
    rules = [found for process in processed if (found := process.get("replaceRule"))]
    if not paths and not rules:
        return None
    number = sum(map(len, paths)) + sum(map(len, rules))
    if number > MAX_EXPRESSIONS:
        return InvalidField(
            ("spec",),
            f"`jmesPath` and `replaceRule` have {number} items together, {MAX_EXPRESSIONS} are "
            "allowed; split the ExternalSecret",
        )
    characters = sum(_lengths(paths, "path")) + sum(_lengths(rules, "source", "target"))
    if characters > MAX_EXPRESSION_CHARACTERS:
        return InvalidField(
            ("spec",),
            f"the expressions of `jmesPath` and `replaceRule` have {characters} characters "
            f"together, {MAX_EXPRESSION_CHARACTERS} are allowed; split the ExternalSecret",
        )
    return None


_NAMES: Final = ("key", "versionStage", "versionId", "kmsEndpoint")


def _lengths(lists: list[Any], *fields: str) -> Iterator[int]:
    return (len(str(i.get(field) or "")) for items in lists for i in items for field in fields)
