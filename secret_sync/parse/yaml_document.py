"""YAML 1.2: composed from the C parser's events, within budgets of nodes, levels and aliases."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import (
    DUPLICATE_KEY,
    MAX_LEVELS,
    MAX_YAML_BYTES,
    NOT_A_DOCUMENT,
    TOO_COSTLY,
    TOO_LARGE,
    shown,
)
from secret_sync.parse.json_document import literal
from secret_sync.parse.values import KeyText, Number
from secret_sync.parse.yaml_scalars import is_int, plain_value
from secret_sync.parse.yaml_strict import (
    NotYAMLError,
    check_colon,
    check_folded,
    check_key,
    check_quoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.parse.values import Value

#: Values and keys as written; five microseconds each.
MAX_NODES: Final = 50_000
#: The same with aliases expanded.
MAX_EXPANDED_NODES: Final = 100_000
MAX_ALIASES: Final = 1_000

_TAG: Final = "tag:yaml.org,2002:"


def check_yaml_parser() -> None:
    """Make sure at start that YAML is parsed in C; both packages can be installed without that.

    Raises:
        RuntimeError: ``ruamel.yaml.clib`` or PyYAML's libyaml is missing or broken.
    """
    text = "a: [1]"
    try:
        found = [_Composer(text, parse(text.encode())).document() for parse in (_ruamel, _pyyaml)]
    except ImportError as error:
        raise RuntimeError(
            "cannot parse YAML: ruamel.yaml.clib or PyYAML with libyaml is not installed; "
            "install wheels of both (the pure Python parsers are thirty times slower)"
        ) from error
    if found != [{"a": [Number("1")]}] * 2:
        raise RuntimeError("cannot parse YAML: a C parser returned a wrong result")


def read_yaml(text: str) -> Value:
    """Parse the only document of the text.

    Raises:
        NotYAMLError: The text is not YAML.
        DefiniteError: It is YAML that must not be used: too large, too costly, a duplicate key.
    """
    data = text.encode()
    if len(data) > MAX_YAML_BYTES:
        raise DefiniteError(
            f"the YAML document has {len(data)} bytes, {MAX_YAML_BYTES} are allowed; "
            "JSON may have 1 MiB",
            code=TOO_LARGE,
        )
    try:
        return _Composer(text, _ruamel(data)).document()
    except _SyntaxError:
        return _Composer(text, _pyyaml(data)).document()


@dataclass(slots=True)
class _Anchored:
    """The value of an anchor.

    Attributes:
        nodes: Number of its nodes, itself included, aliases expanded; 0 until it is complete.
        levels: Nested mappings and lists, itself included.
    """

    value: Any = None
    nodes: int = 0
    levels: int = 0


@dataclass(slots=True)
class _Mapping:
    """A mapping under construction."""

    pairs: dict[str, Any] = field(default_factory=dict)
    merges: list[dict[str, Any]] = field(default_factory=list)


class _Composer:
    """Builds values from events; each limit is checked before anything is built."""

    def __init__(self, text: str, events: Iterator[Any]) -> None:
        self._text = text
        self._events = events
        #: Whether the text begins with a bracket, so that it may be invalid JSON.
        self._may_be_json = False
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._expanded = 0
        self._aliases = 0
        self._deepest = 0

    def document(self) -> Value:
        """Return the value of the only document."""
        next(self._events)
        event = next(self._events)
        if type(event).__name__ == "StreamEndEvent":
            raise NotYAMLError("there is no document, the text is empty or only comments")
        root = next(self._events)
        self._may_be_json = not event.explicit and bool(getattr(root, "flow_style", False))
        value: Value = self._node(root, 0)
        next(self._events)
        event = next(self._events)
        if type(event).__name__ != "StreamEndEvent":
            raise DefiniteError(
                f"a second YAML document begins at line {event.start_mark.line + 1}; "
                "one value can have only one",
                code=NOT_A_DOCUMENT,
            )
        return value

    def _node(self, event: Any, level: int) -> Any:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, level)
        self._count(event)
        anchor = event.anchor
        if anchor:
            return self._anchored(anchor, event, kind, level)
        return self._bare(event, kind, level)

    def _anchored(self, anchor: str, event: Any, kind: str, level: int) -> Any:
        # Registered first: an alias within the value finds it incomplete.
        self._anchors[anchor] = anchored = _Anchored()
        before, deepest = self._expanded, self._deepest
        self._deepest = level
        anchored.value = self._bare(event, kind, level)
        anchored.nodes = self._expanded - before + 1
        anchored.levels = self._deepest - level
        self._deepest = max(deepest, self._deepest)
        return anchored.value

    def _bare(self, event: Any, kind: str, level: int) -> Any:
        if kind == "ScalarEvent":
            if self._may_be_json:
                check_quoted(self._text, event)
            check_folded(event)
            return _scalar(event)
        self._reach(level + 1)
        if kind == "MappingStartEvent":
            return self._mapping(level + 1, in_flow=event.flow_style)
        return self._sequence(level + 1)

    def _reach(self, level: int) -> None:
        if level > MAX_LEVELS:
            raise DefiniteError(
                f"the document is nested more than {MAX_LEVELS} levels deep", code=TOO_COSTLY
            )
        self._deepest = max(self._deepest, level)

    def _sequence(self, level: int) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, level))
        return items

    def _mapping(self, level: int, *, in_flow: bool) -> dict[str, Any]:
        mapping = _Mapping()
        for event in self._events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._key(event, level)
            following = next(self._events)
            if in_flow:
                check_colon(self._text, event, following)
            value = self._node(following, level)
            if key is None:
                self._merge(mapping, value, event)
            elif key in mapping.pairs:
                raise DefiniteError(
                    f"a mapping of the document has the key {shown(key)} twice, again at line "
                    f"{event.start_mark.line + 1}",
                    code=DUPLICATE_KEY,
                )
            else:
                mapping.pairs[key] = value
        if not mapping.merges:
            return mapping.pairs
        merged = mapping.pairs
        for other in mapping.merges:
            for key, value in other.items():
                merged.setdefault(key, value)
        return merged

    def _key(self, event: Any, level: int) -> str | None:
        """Return the key's text; ``None`` for the merge key."""
        check_key(self._text, event)
        if type(event).__name__ == "ScalarEvent" and event.value == "<<" and event.implicit[0]:
            self._count(event)
            return None
        key = self._node(event, level)
        if isinstance(key, str):
            return key
        if isinstance(key, (dict, list)):
            raise DefiniteError(
                f"the key at line {event.start_mark.line + 1} of the document is a mapping or a "
                "list; only scalar keys are supported",
                code=NOT_A_DOCUMENT,
            )
        if type(event).__name__ == "ScalarEvent":
            return KeyText(event.value)
        return KeyText(literal(key))

    def _merge(self, mapping: _Mapping, value: Any, event: Any) -> None:
        others = value if isinstance(value, list) else [value]
        if not all(isinstance(other, dict) for other in others):
            raise DefiniteError(
                f"the merge key `<<` at line {event.start_mark.line + 1} needs a mapping or a "
                "list of mappings",
                code=NOT_A_DOCUMENT,
            )
        mapping.merges += others

    def _alias(self, event: Any, level: int) -> Any:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise NotYAMLError(f"line {event.start_mark.line + 1}: an alias without an anchor")
        if not anchored.nodes:
            raise DefiniteError(
                f"the alias at line {event.start_mark.line + 1} of the document contains itself",
                code=TOO_COSTLY,
            )
        self._aliases += 1
        self._expanded += anchored.nodes
        if self._aliases > MAX_ALIASES or self._expanded > MAX_EXPANDED_NODES:
            raise DefiniteError(
                f"the document has over {MAX_ALIASES} aliases, or over {MAX_EXPANDED_NODES} "
                "values once they are expanded",
                code=TOO_COSTLY,
            )
        self._reach(level + anchored.levels)
        return anchored.value

    def _count(self, event: Any) -> None:
        self._nodes += 1
        self._expanded += 1
        if self._nodes > MAX_NODES:
            raise DefiniteError(
                f"the YAML document has over {MAX_NODES} values (counted up to line "
                f"{event.start_mark.line + 1}); split it",
                code=TOO_COSTLY,
            )


class _SyntaxError(NotYAMLError):
    """A parser rejects the text; the other parser may accept it."""


def _ruamel(data: bytes) -> Iterator[Any]:
    """Yield the events of ruamel.yaml's C parser.

    Its libyaml 0.1.7 rejects a colon in an unquoted string in flow style: ``{url: http://h:80/x}``.
    """
    # 2 MiB, only if there is a YAML document.
    from _ruamel_yaml import CParser  # type: ignore[import-not-found]  # noqa: PLC0415
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    return _events_of(CParser(data), MarkedYAMLError, YAMLError)


def _pyyaml(data: bytes) -> Iterator[Any]:
    """Yield the events of PyYAML's C parser, libyaml 0.2.5; kubernetes-asyncio depends on it."""
    from yaml.cyaml import CBaseLoader  # noqa: PLC0415
    from yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    return _events_of(CBaseLoader(data), MarkedYAMLError, YAMLError)


def _events_of(parser: Any, marked: type[Any], other: type[Exception]) -> Iterator[Any]:
    try:
        while True:
            event = parser.get_event()
            if event is None:
                return
            yield event
    except marked as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _SyntaxError(f"{where}{error.problem or error.context or 'syntax error'}") from None
    except other:
        raise _SyntaxError("it has characters that YAML does not allow") from None


def _scalar(event: Any) -> Any:
    text: str = event.value
    tag = event.tag
    if tag is None:
        return plain_value(text) if event.implicit[0] else text
    return _tagged(tag, text, event)


def _tagged(tag: str, text: str, event: Any) -> Any:
    """Return the value of a scalar with an explicit tag: its text for tags beyond the core."""
    kind = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
    if kind == "binary":
        return _from_base64(text, event)
    if kind not in {"null", "bool", "int", "float"}:
        return text
    value = plain_value(text)
    fits = {
        "null": value is None,
        "bool": isinstance(value, bool),
        "int": is_int(text),
        "float": isinstance(value, Number),
    }
    return value if fits[kind] else _refuse_tag(kind, event)


def _from_base64(text: str, event: Any) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        _refuse_tag("binary", event)


def _refuse_tag(kind: str, event: Any) -> NoReturn:
    what = "base64 of UTF-8 text" if kind == "binary" else f"a value of type {kind}"
    raise DefiniteError(
        f"the value at line {event.start_mark.line + 1} has the tag `!!{kind}` but is not {what}",
        code=NOT_A_DOCUMENT,
    ) from None
