"""One of ``spec.conditions`` of a ClusterSecretStore: which namespaces may use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from secret_sync.resources.meta import interned, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A label with its value.
Label: TypeAlias = tuple[str, str]

# Kubernetes' own rules: what no namespace can have would be absent from all of them, and so make
# NotIn and DoesNotExist match everywhere.
_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY: Final = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE: Final = re.compile(rf"({_NAME})?")


def label_mistake(key: str, values: Iterable[str]) -> str:
    """Return what is wrong with a label, or with the key of an annotation; ``""`` if nothing."""
    if not _KEY.fullmatch(key):
        return f"{key[:64]!r} is not the key of a label"
    bad = next((value for value in values if not _VALUE.fullmatch(value)), None)
    return "" if bad is None else f"{bad[:64]!r} is not the value of a label"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of ``matchExpressions``, as written."""

    key: str
    operator: str
    values: tuple[str, ...]

    @property
    def mistake(self) -> str:
        """What is wrong with it, in words; ``""`` if nothing is."""
        return label_mistake(self.key, self.values) or self._operator_mistake()

    def _operator_mistake(self) -> str:
        match self.operator:
            case "In" | "NotIn":
                return "" if self.values else f"operator {self.operator} needs values"
            case "Exists" | "DoesNotExist":
                return f"operator {self.operator} takes no values" if self.values else ""
        return f"{self.operator!r} is not an operator (In, NotIn, Exists, DoesNotExist)"

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it, if it has no mistake."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A label selector; all of it has to match, so an empty one matches everything."""

    labels: tuple[Label, ...]
    requirements: tuple[Requirement, ...]

    @property
    def mistake(self) -> str:
        """What is wrong with it, in words; ``""`` if nothing is."""
        mistakes = [label_mistake(key, (value,)) for key, value in self.labels]
        mistakes += [requirement.mistake for requirement in self.requirements]
        return next((mistake for mistake in mistakes if mistake), "")

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it; one with a mistake accepts none."""
        return (
            not self.mistake
            and all(labels.get(key) == value for key, value in self.labels)
            and all(requirement.accepts(labels) for requirement in self.requirements)
        )


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """Ways to name namespaces; one that applies is enough.

    Attributes:
        selector: By label, or ``None`` where none is written.
        namespaces: By name.
        regexes: By regular expressions that have to match the whole name.
    """

    selector: LabelSelector | None
    namespaces: tuple[str, ...]
    regexes: tuple[str, ...]

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> NamespaceRule:
        """Read one entry of ``spec.conditions``."""
        selector = value.get("namespaceSelector")
        return cls(
            selector=_selector(selector) if selector is not None else None,
            namespaces=tuple(interned(name) for name in value.get("namespaces") or ()),
            regexes=tuple(text(regex) for regex in value.get("namespaceRegexes") or ()),
        )


def _selector(value: dict[str, Any]) -> LabelSelector:
    return LabelSelector(
        labels=tuple((interned(k), text(v)) for k, v in (value.get("matchLabels") or {}).items()),
        requirements=tuple(
            Requirement(
                key=interned(entry.get("key")),
                operator=interned(entry.get("operator")),
                values=tuple(text(v) for v in entry.get("values") or ()),
            )
            for entry in value.get("matchExpressions") or ()
        ),
    )
