"""``spec.target.template``: how the Secret is rendered, as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.resources.meta import InvalidField, interned, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.resources.meta import FieldPath

CONFIG_MAP: Final = "ConfigMap"
SECRET: Final = "Secret"  # noqa: S105 (a kind, not a password)
#: What a template renders.
DATA: Final = "Data"
LABELS: Final = "Labels"
ANNOTATIONS: Final = "Annotations"
#: The key that a ``literal`` writes.
LITERAL_KEY: Final = "literal"

#: Templates and keys of ``templateFrom`` of one object.
MAX_TEMPLATES: Final = 500
#: ConfigMaps and Secrets of ``templateFrom``, which are read one after the other.
MAX_REFERENCES: Final = 16
#: Characters of one template, and of all of an object.
MAX_TEMPLATE_CHARACTERS: Final = 64 * 1024
MAX_TEMPLATES_CHARACTERS: Final = 256 * 1024

_TEMPLATE: Final[FieldPath] = ("spec", "target", "template")
_FROM: Final[FieldPath] = (*_TEMPLATE, "templateFrom")


def metadata_field(target: str, name: str) -> str:
    """Return how a label or annotation is called beside keys, none of which has a slash."""
    return f"{target.lower()}/{name}"


def template_key(kind: str, namespace: str, name: str) -> str:
    """Return how an object with templates is called in an index."""
    return f"{kind}/{namespace}/{name}"


class TemplateItem(NamedTuple):
    """A key of a ConfigMap or Secret that holds a template.

    Attributes:
        lines: Whether lines ``key=value`` are rendered (``KeysAndValues``), not one value.
    """

    key: str
    lines: bool


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """An entry of ``templateFrom``.

    Attributes:
        kind: ``ConfigMap``, ``Secret``, or ``""`` for a literal.
        literal: The template of a literal.
        target: What it renders.
    """

    kind: str
    name: str
    items: tuple[TemplateItem, ...]
    literal: str
    target: str

    @property
    def named_keys(self) -> tuple[str, ...]:
        """What it is known to write."""
        if not self.kind:
            return (LITERAL_KEY,)
        return tuple(item.key for item in self.items if not item.lines)


@dataclass(frozen=True, slots=True)
class SecretTemplate:
    """What renders a Secret; the sources of templates are in the representation, no values.

    Attributes:
        data, labels, annotations: Templates by what they render, in the order of the object.
        sources: Of ``templateFrom``.
        merge: Whether the fetched keys stay beside the rendered ones (``mergePolicy``).
    """

    data: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    sources: tuple[TemplateSource, ...] = ()
    merge: bool = False

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SecretTemplate | None:
        """Read a template; ``None`` if it renders nothing."""
        metadata = value.get("metadata") or {}
        template = cls(
            data=_strings(value.get("data")),
            labels=_strings(metadata.get("labels")),
            annotations=_strings(metadata.get("annotations")),
            sources=tuple(map(_source, value.get("templateFrom") or ())),
            merge=value.get("mergePolicy") == "Merge",
        )
        return template if template.data or template.sources or template.has_metadata else None

    @property
    def has_metadata(self) -> bool:
        """Whether ``metadata`` has templates."""
        return bool(self.labels or self.annotations)

    @property
    def replaces(self) -> bool:
        """Whether the Secret has the rendered keys only."""
        return self.renders_keys and not self.merge

    @property
    def renders_keys(self) -> bool:
        """Whether it writes keys, not only labels and annotations."""
        return bool(self.data) or any(source.target == DATA for source in self.sources)

    @property
    def references(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of the objects that hold templates, each once."""
        return tuple(dict.fromkeys((s.kind, s.name) for s in self.sources if s.kind))

    @property
    def named_fields(self) -> frozenset[str]:
        """What it is known to write: keys, and labels and annotations as `metadata_field` has them.

        What ``KeysAndValues`` will give is not among them.
        """
        named = [key for key, _ in self.data]
        named += [metadata_field(LABELS, name) for name, _ in self.labels]
        named += [metadata_field(ANNOTATIONS, name) for name, _ in self.annotations]
        for source in self.sources:
            in_data = source.target == DATA
            keys = source.named_keys
            named += keys if in_data else [metadata_field(source.target, k) for k in keys]
        return frozenset(named)

    @property
    def named_keys(self) -> tuple[str, ...]:
        """The keys of the Secret that it is known to write."""
        named = [key for key, _ in self.data]
        for source in self.sources:
            named += source.named_keys if source.target == DATA else ()
        return tuple(dict.fromkeys(named))

    @property
    def has_lines(self) -> bool:
        """Whether only rendering shows which fields it writes."""
        return any(item.lines for source in self.sources for item in source.items)

    def written(self) -> Iterator[tuple[FieldPath, str]]:
        """Yield the path and the text of the templates that the object itself has."""
        for key, source in self.data:
            yield (*_TEMPLATE, "data", key), source
        for number, from_ in enumerate(self.sources):
            if not from_.kind:
                yield (*_FROM, number, "literal"), from_.literal
        for field, templates in (("labels", self.labels), ("annotations", self.annotations)):
            for name, source in templates:
                yield (*_TEMPLATE, "metadata", field, name), source


def template_excess(value: dict[str, Any]) -> InvalidField | None:
    """Return which limit a template exceeds, with the number found; ``None`` if it exceeds none."""
    metadata = value.get("metadata") or {}
    sources = value.get("templateFrom") or ()
    maps = [found for found in (value.get("data"), *metadata.values()) if isinstance(found, dict)]
    items = [(s.get(kind) or {}).get("items") or () for s in sources for kind in _KINDS]
    number = sum(map(len, maps)) + len(sources) + sum(map(len, items))
    if number > MAX_TEMPLATES:
        return InvalidField(
            _TEMPLATE,
            f"spec.target.template has {number} templates, {MAX_TEMPLATES} are allowed; "
            "split the ExternalSecret",
        )
    named = {
        (kind, text((source.get(kind) or {}).get("name")))
        for source in sources
        for kind in _KINDS
        if source.get(kind)
    }
    if len(named) > MAX_REFERENCES:
        return InvalidField(
            _FROM,
            f"spec.target.template.templateFrom refers to {len(named)} ConfigMaps and Secrets, "
            f"{MAX_REFERENCES} are allowed; put templates together",
        )
    literals = [text(source.get("literal")) for source in sources]
    lengths = [len(text(found)) for each in maps for found in each.values()]
    lengths += map(len, literals)
    if lengths and max(lengths) > MAX_TEMPLATE_CHARACTERS:
        return InvalidField(
            _TEMPLATE,
            f"a template of spec.target.template has {max(lengths)} characters, "
            f"{MAX_TEMPLATE_CHARACTERS} are allowed",
        )
    if sum(lengths) > MAX_TEMPLATES_CHARACTERS:
        return InvalidField(
            _TEMPLATE,
            f"the templates of spec.target.template have {sum(lengths)} characters together, "
            f"{MAX_TEMPLATES_CHARACTERS} are allowed; split the ExternalSecret",
        )
    return None


def invalid_template(value: dict[str, Any]) -> InvalidField | None:
    """Return what is wrong with the structure of a template, or ``None``."""
    policy = value.get("mergePolicy")
    if policy and policy not in ("Replace", "Merge"):
        return _invalid((*_TEMPLATE, "mergePolicy"), policy, "Replace or Merge")
    return next(_source_mistakes(value.get("templateFrom") or []), None)


def _source_mistakes(sources: list[dict[str, Any]]) -> Iterator[InvalidField]:
    for number, source in enumerate(sources):
        path: FieldPath = (*_FROM, number)
        given = [kind for kind in (*_KINDS, "literal") if source.get(kind) is not None]
        if len(given) != 1:
            found = f"has {' and '.join(given)}" if given else "is empty"
            yield InvalidField(
                path,
                f"spec.target.template.templateFrom[{number}] {found}; write exactly one of "
                "configMap, secret and literal",
            )
            continue
        target = source.get("target")
        if target and target not in (DATA, ANNOTATIONS, LABELS):
            yield _invalid((*path, "target"), target, "Data, Annotations or Labels")
        if given[0] != "literal":
            yield from _reference_mistakes((*path, given[0]), source[given[0]])


def _reference_mistakes(path: FieldPath, reference: dict[str, Any]) -> Iterator[InvalidField]:
    if not reference.get("name") or not reference.get("items"):
        message = f"{_shown(path)} needs a name, and items with the keys to use"
        yield InvalidField(path, message)
    for position, item in enumerate(reference.get("items") or ()):
        below = (*path, "items", position)
        if not item.get("key"):
            yield InvalidField(below, f"{_shown(below)} has no key")
        kind = item.get("templateAs")
        if kind and kind not in ("Values", "KeysAndValues"):
            yield _invalid((*below, "templateAs"), kind, "Values or KeysAndValues")


_KINDS: Final = {"configMap": CONFIG_MAP, "secret": SECRET}


_NOTHING: Final[dict[str, Any]] = {}


def _invalid(path: FieldPath, value: object, known: str) -> InvalidField:
    return InvalidField(path, f"{_shown(path)} is {str(value)[:80]!r}; it can be {known}")


def _shown(path: FieldPath) -> str:
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")


def _strings(found: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((interned(key), interned(text(value))) for key, value in (found or {}).items())


def _source(value: dict[str, Any]) -> TemplateSource:
    found = [(kind, value[field]) for field, kind in _KINDS.items() if value.get(field)]
    kind, reference = found[0] if found else ("", _NOTHING)
    return TemplateSource(
        kind=kind,
        name=interned(reference.get("name")),
        items=tuple(
            TemplateItem(interned(item.get("key")), item.get("templateAs") == "KeysAndValues")
            for item in reference.get("items") or ()
        ),
        literal="" if kind else interned(text(value.get("literal"))),
        target=interned(value.get("target")) or DATA,
    )
