"""Rules for the keys of a document: ``rewrite`` and ``conversionStrategy`` as ``replaceRule``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect

if TYPE_CHECKING:
    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.fields import ReadFields
    from secret_sync.resources.meta import FieldPath

#: What the operator does with each key of a document that has no ``rewrite``.
_DEFAULT_STRATEGY: Final = {"source": "[^-._a-zA-Z0-9]", "target": "_"}
#: The one kind of ``transform`` that is certain: something before and after the key.
_AFFIXES: Final = re.compile(r"([^{}]*)\{\{-?\s*\.value\s*-?\}\}([^{}]*)")


def replace_rules(
    items: list[ReadFields], strategy: str, path: FieldPath, comments: Comments
) -> list[dict[str, Any]]:
    """Return the rules.

    Args:
        items: The operations in ``rewrite``.
        strategy: The ``conversionStrategy``, which counts only without ``rewrite``.
        path: The entry in our manifest.
        comments: Where to say what has no counterpart.
    """
    if items:
        return [rule for item in items if (rule := _rule(item, path, comments))]
    if strategy == "Unicode":
        comments.add(
            Effect.LOST,
            path,
            "conversionStrategy Unicode (a character as _U0000_): a key with other characters than "
            "letters, digits, '-', '_' and '.' is an error here; rename it with replaceRule",
        )
        return []
    return [dict(_DEFAULT_STRATEGY)]


def _rule(item: ReadFields, path: FieldPath, comments: Comments) -> dict[str, Any] | None:
    if item.has("regexp"):
        regexp = item.section("regexp")
        return {"source": regexp.text("source"), "target": regexp.text("target")}
    if item.has("transform"):
        template = item.section("transform").text("template")
        found = _AFFIXES.fullmatch(template)
        if found:
            before, after = (part.replace("$", "$$") for part in found.groups())
            return {"source": "(?s)^(.*)$", "target": f"{before}${{1}}{after}"}
        what = f"rewrite.transform {template!r}: write it as rules of replaceRule"
    else:
        item.plain("merge")
        what = "rewrite.merge: list the documents one by one, or merge them in KMS"
    comments.add(Effect.INCOMPLETE, path, what)
    return None
