"""Which namespaces may use a ClusterSecretStore."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.problem import Problem
from secret_sync.resources import Reason
from secret_sync.resources.meta import InvalidField

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import Namespace, NamespaceRule, SecretStore

_KEPT: Final = 1024
#: The longest regular expression that is looked at, in characters.
_LONGEST: Final = 1024


class Admission:
    """Applies ``spec.conditions``.

    Args:
        namespaces: All namespaces, for their labels.
        unknown: Why there are none; ``""`` if they are watched.
    """

    def __init__(self, namespaces: ReadOnlyStore[Namespace], *, unknown: str = "") -> None:
        self._namespaces = namespaces
        self._unknown = unknown

    def refusal(self, store: SecretStore, namespace: str) -> Problem | None:
        """Return why a namespace may not use a store; ``None`` if it may."""
        if not store.rules or any(self._applies(rule, namespace) for rule in store.rules):
            return None
        message = f"the conditions of {store.title} do not match namespace {namespace}"
        broken = mistake(store)
        if broken is not None:
            message += f" (where {broken.message})"
        elif self._unknown and selects(store):
            message += f" (labels of namespaces are not known: {self._unknown})"
        return Problem(Reason.STORE_REFUSED, f"{message}; its author has to add it")

    def _applies(self, rule: NamespaceRule, namespace: str) -> bool:
        if namespace in rule.namespaces:
            return True
        if any(_matches(regex, namespace) for regex in rule.regexes):
            return True
        if rule.selector is None:
            return False
        known = self._namespaces.get(namespace)
        return known is not None and rule.selector.accepts(dict(known.labels))


def selects(store: SecretStore) -> bool:
    """Return whether the labels of namespaces make a difference to a store."""
    return any(rule.selector is not None for rule in store.rules)


def mistake(store: SecretStore) -> InvalidField | None:
    """Return the first of a store's conditions that cannot be read; ``None`` if all can."""
    for index, rule in enumerate(store.rules):
        if rule.selector is not None and rule.selector.mistake:
            what = f"cannot be read: {rule.selector.mistake}"
            return _condition_field(index, "namespaceSelector", what)
        for regex in rule.regexes:
            if len(regex) > _LONGEST:
                what = f"has one of more than {_LONGEST} characters"
                return _condition_field(index, "namespaceRegexes", what)
            if _compiled(regex) is None:
                what = f"has {regex[:64]!r}, which is not RE2 syntax"
                return _condition_field(index, "namespaceRegexes", what)
    return None


def _condition_field(index: int, name: str, what: str) -> InvalidField:
    path = ("spec", "conditions", index, name)
    return InvalidField(path, f"spec.conditions[{index}].{name} {what}")


def _matches(regex: str, namespace: str) -> bool:
    compiled = _compiled(regex)
    return compiled is not None and compiled.fullmatch(namespace) is not None


@lru_cache(maxsize=_KEPT)
def _compiled(regex: str) -> Any:
    # 1.6 MiB that only a ClusterSecretStore with a regular expression needs.
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
