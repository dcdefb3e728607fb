"""Which namespaces a ClusterExternalSecret selects; pure functions of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from secret_sync.controller.namespace_rules import matches_part, matches_regex, rules_mistake

if TYPE_CHECKING:
    from collections.abc import Collection

    from secret_sync.resources import Namespace, NamespaceRule
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret
    from secret_sync.resources.meta import InvalidField


@dataclass(frozen=True, slots=True)
class ServedNamespaces:
    """Which namespaces this controller works in.

    Attributes:
        only: Their names; empty for all.
        excluded: Those that are omitted.
    """

    only: Collection[str] = ()
    excluded: Collection[str] = ()

    def __contains__(self, name: str) -> bool:
        """Return whether a namespace is one of them."""
        return (not self.only or name in self.only) and name not in self.excluded


def selection_mistake(ces: ClusterExternalSecret) -> InvalidField | None:
    """Return the first selector or regular expression that cannot be parsed, if there is one."""
    return rules_mistake(ces.rules or (), ces.rule_fields)


def selects(ces: ClusterExternalSecret, namespace: Namespace) -> bool:
    """Return whether a namespace should have an ExternalSecret; no rule may have a mistake.

    Without rules each of them should, and a rule without members selects none.
    """
    if ces.rules is None:
        return True
    labels = dict(namespace.labels)
    return any(_applies(rule, namespace.name, labels) for rule in ces.rules)


def _applies(rule: NamespaceRule, name: str, labels: dict[str, str]) -> bool:
    return (
        name in rule.namespaces
        or any(matches_regex(regex, name) for regex in rule.regexes)
        or (rule.selector is not None and rule.selector.accepts(labels))
    )


def partial_match(ces: ClusterExternalSecret, namespace: Namespace) -> str:
    """Return a regular expression that matches a part of a name only, or ``""``.

    The newest version of ack-secret-manager selects such a namespace.
    """
    regexes = (regex for rule in ces.rules or () for regex in rule.regexes)
    return next((regex for regex in regexes if matches_part(regex, namespace.name)), "")
