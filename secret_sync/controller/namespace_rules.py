"""What ``spec.conditions`` of our cluster-scoped kinds say: mistakes in them, and their regexes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.meta import InvalidField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.resources import NamespaceRule

_KEPT: Final = 1024
#: The longest regular expression that is looked at, in characters.
_LONGEST: Final = 1024


def rules_mistake(rules: Sequence[NamespaceRule], where: Sequence[str] = ()) -> InvalidField | None:
    """Return the first rule that cannot be read; ``None`` if all can.

    Args:
        rules: As written.
        where: The field of ``spec`` of each; by default those of ``spec.conditions``.
    """
    for index, rule in enumerate(rules):
        place = where[index] if where else f"conditions[{index}]"
        if rule.selector is not None and rule.selector.mistake:
            name = ".namespaceSelector" if place.startswith("conditions") else ""
            return _field(place, name, f"cannot be read: {rule.selector.mistake}")
        for regex in rule.regexes:
            if len(regex) > _LONGEST:
                what = f"has one of more than {_LONGEST} characters"
                return _field(place, ".namespaceRegexes", what)
            if _compiled(regex) is None:
                what = f"has {regex[:64]!r}, which is not RE2 syntax"
                return _field(place, ".namespaceRegexes", what)
    return None


def _field(place: str, name: str, what: str) -> InvalidField:
    kind, _, number = place.rstrip("]").partition("[")
    path = ("spec", kind, int(number), *([name[1:]] if name else ()))
    return InvalidField(path, f"spec.{place}{name} {what}")


def matches_regex(regex: str, namespace: str) -> bool:
    """Return whether a regular expression matches the whole name of a namespace."""
    compiled = _compiled(regex)
    return compiled is not None and compiled.fullmatch(namespace) is not None


def matches_part(regex: str, namespace: str) -> bool:
    """Return whether it matches a part of the name, as newer ack-secret-managers read it."""
    compiled = _compiled(regex)
    return compiled is not None and compiled.search(namespace) is not None


@lru_cache(maxsize=_KEPT)
def _compiled(regex: str) -> Any:
    # 1.6 MiB that only a rule with a regular expression needs.
    import re2  # noqa: PLC0415 (see above)

    options = re2.Options()
    # It would write to stderr by itself.
    options.log_errors = False
    if len(regex) > _LONGEST:
        return None
    try:
        return re2.compile(regex, options)
    except re2.error:
        return None
