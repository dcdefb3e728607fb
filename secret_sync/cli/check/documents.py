"""Parse a file into its documents, with the position of every value.

Messages show nothing of a file's content: the manifests may include a Secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from secret_sync.cli.check.findings import Place
from secret_sync.cli.check.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.resources.meta import FieldPath

#: Nested mappings and lists; a manifest of ours has about ten.
MAX_LEVELS: Final = 100
#: Values of one document, aliases expanded.
MAX_NODES: Final = 200_000
#: Bytes of the largest file that the pure Python parser is tried on; it parses 30 KB a second.
MAX_SLOW_BYTES: Final = 128 * 1024
#: The C parser's error for a colon within a plain scalar.
_COLON: Final = "found unexpected ':'"


@dataclass(frozen=True, slots=True)
class YamlProblem:
    """An error in a file, and its position."""

    place: Place
    message: str


class _BrokenError(Exception):
    """The rest of the file cannot be parsed."""

    def __init__(self, problem: YamlProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True, eq=False)
class Node:
    """A value and its position.

    Attributes:
        value: A scalar, a list of nodes, or a dict of nodes by key.
        keys: The positions of the keys of a mapping.
        size: Number of nodes, itself included; 0 until it is complete.
        levels: Nested mappings and lists, itself included.
    """

    place: Place
    value: Any = None
    keys: dict[str, Place] = field(default_factory=dict)
    size: int = 0
    levels: int = 0

    def plain(self) -> Any:
        """Return the value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, path: FieldPath) -> Place:
        """Return the position of a field, or of its closest parent that exists."""
        place, node = self.place, self
        for step in path:
            if isinstance(step, str) and isinstance(node.value, dict) and step in node.value:
                place, node = node.keys[step], node.value[step]
            elif isinstance(step, int) and isinstance(node.value, list) and step < len(node.value):
                node = node.value[step]
                place = node.place
            else:
                break
        return place


def read_documents(file: str, data: bytes) -> tuple[list[Node], list[YamlProblem]]:
    """Parse the documents of a file that are not empty, up to the first error.

    Args:
        file: The name of the file, for positions.
        data: The content.
    """
    quick = _composed(file, data, pure=False)
    if not quick.broken or len(data) > MAX_SLOW_BYTES:
        return quick.found, quick.problems
    # The C parser accepts less than kubectl: no colon within `{key: acs:kms:...}`.
    slow = _composed(file, data, pure=True)
    better = slow if not slow.broken or quick.problems[-1].message.endswith(_COLON) else quick
    return better.found, better.problems


def _composed(file: str, data: bytes, *, pure: bool) -> _NodeComposer:
    composer = _NodeComposer(file, pure=pure)
    try:
        for node in composer.documents(data):
            composer.found.append(node)
    except _BrokenError as error:
        composer.broken = True
        composer.problems.append(error.problem)
    return composer


class _NodeComposer:
    """Builds nodes from events; a duplicate key is reported, and the first one counts.

    Attributes:
        found: The documents so far.
        broken: Whether the rest cannot be parsed.
    """

    def __init__(self, file: str, *, pure: bool) -> None:
        self._file = file
        self._pure = pure
        self.found: list[Node] = []
        self.broken = False
        self.problems: list[YamlProblem] = []
        self._events: Iterator[Any] = iter(())
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def documents(self, data: bytes) -> Iterator[Node]:
        """Yield one node for each document."""
        self._events = self._parse(data)
        for event in self._events:
            if _kind(event) != "DocumentStart":
                continue
            self._anchors, self._count = {}, 0
            node = self._node(next(self._events), 0)
            if node.value is not None:
                yield node

    def _parse(self, data: bytes) -> Iterator[Any]:
        try:
            text = data.decode("utf-8-sig")
            yield from YAML(typ="safe", pure=self._pure).parse(text)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self._broken(Place(self._file, line), "it is not UTF-8") from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = self._place(mark) if mark else Place(self._file)
            what = [part for part in (error.context, error.problem) if part]
            raise self._broken(place, ": ".join(what) or "invalid YAML") from None
        except YAMLError:
            raise self._broken(
                Place(self._file), "it has characters that YAML does not allow"
            ) from None

    def _node(self, event: Any, level: int) -> Node:
        kind = _kind(event)
        if kind == "Alias":
            return self._alias(event, level)
        before = self._count
        self._take(1, event)
        node = Node(self._place(event.start_mark))
        if event.anchor:
            self._anchors[event.anchor] = node
        if kind == "Scalar":
            node.value = scalar(_whole(event.value), event.tag, plain=event.implicit[0])
        elif level == MAX_LEVELS:
            raise self._broken(node.place, f"it is nested more than {MAX_LEVELS} levels deep")
        elif kind == "SequenceStart":
            self._sequence(node, level + 1)
        else:
            self._mapping(node, level + 1)
        node.size = self._count - before
        return node

    def _sequence(self, node: Node, level: int) -> None:
        node.value = []
        for event in self._events:
            if _kind(event) == "SequenceEnd":
                break
            node.value.append(self._node(event, level))
        node.levels = 1 + max((item.levels for item in node.value), default=0)

    def _mapping(self, node: Node, level: int) -> None:
        node.value = {}
        merges: list[Node] = []
        for event in self._events:
            if _kind(event) == "MappingEnd":
                break
            key = self._key(event, level)
            value = self._node(next(self._events), level)
            if key == "<<" and event.implicit[0]:
                merges += self._merged(value, event)
            elif key in node.value:
                line = node.keys[key].line
                self._report(event, f"duplicate key {key!r}, already defined in line {line}")
            else:
                node.value[key] = value
                node.keys[key] = self._place(event.start_mark)
        for other in merges:
            for key, value in other.value.items():
                if key not in node.value:
                    node.value[key], node.keys[key] = value, other.keys[key]
        node.levels = 1 + max((item.levels for item in node.value.values()), default=0)

    def _key(self, event: Any, level: int) -> str:
        if _kind(event) != "Scalar":
            self._node(event, level)
            raise self._broken(self._place(event.start_mark), "a key must be a string")
        self._take(1, event)
        return _whole(event.value)

    def _merged(self, value: Node, event: Any) -> list[Node]:
        others = value.value if isinstance(value.value, list) else [value]
        if all(isinstance(other.value, dict) for other in others):
            return list(others)
        self._report(event, "the merge key << needs a mapping, or a list of mappings")
        return []

    def _alias(self, event: Any, level: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._broken(
                self._place(event.start_mark), "this alias has no anchor before it in its document"
            )
        if not node.size:
            raise self._broken(self._place(event.start_mark), "this alias contains itself")
        self._take(node.size, event)
        if level + node.levels > MAX_LEVELS:
            raise self._broken(
                self._place(event.start_mark), f"it is nested more than {MAX_LEVELS} levels deep"
            )
        return node

    def _take(self, nodes: int, event: Any) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise self._broken(
                self._place(event.start_mark),
                f"the document has over {MAX_NODES} values once its aliases are expanded",
            )

    def _report(self, event: Any, message: str) -> None:
        self.problems.append(YamlProblem(self._place(event.start_mark), message))

    def _place(self, mark: Any) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _broken(self, place: Place, message: str) -> _BrokenError:
        return _BrokenError(YamlProblem(place, message))


def _whole(text: str) -> str:
    """Return the text with surrogate pairs, as JSON escapes them, joined to characters."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _kind(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")
