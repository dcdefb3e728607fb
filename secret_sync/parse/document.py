"""Parsing of a document as JSON, falling back to YAML, and the text of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.documents import NotJSONError
from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import MAX_BYTES, MAX_YAML_BYTES, NOT_A_DOCUMENT, TOO_LARGE, encoded
from secret_sync.parse.json_document import literal, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.values import Value

#: Some editors write it before UTF-8; it is not part of the document.
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document.

    Attributes:
        is_json: Whether its mappings and lists are written as JSON; otherwise as YAML.
    """

    root: Value
    is_json: bool

    def text_of(self, value: Value, take: Callable[[int], None]) -> bytes:
        """Return a value of this document as a Secret holds it; empty for null.

        Args:
            value: Part of this document, or built from its parts.
            take: Charged the size of each piece before it is kept; raises beyond its limit.

        Raises:
            DefiniteError: The value cannot be written.
        """
        if isinstance(value, (dict, list)):
            return encoded(write_json(value, take) if self.is_json else _as_yaml(value, take))
        text = value if isinstance(value, str) else "" if value is None else literal(value)
        take(len(text))
        return encoded(text)


def read_document(data: bytes) -> Document:
    """Parse a document as JSON, falling back to YAML.

    Raises:
        DefiniteError: With code ``NotADocument``, ``DuplicateKey``, ``TooLarge`` or
            ``TooCostly``; the message gives the position, and nothing of the document.
    """
    if len(data) > MAX_BYTES:
        raise DefiniteError(
            f"the document has {len(data)} bytes, {MAX_BYTES} are allowed", code=TOO_LARGE
        )
    text = _decoded(data).lstrip(_BYTE_ORDER_MARK)
    try:
        return Document(read_json(text), is_json=True)
    except NotJSONError as error:
        not_json, in_string = str(error), error.in_string
    looks_like_json = text.lstrip()[:1] in ("{", "[")
    if looks_like_json and (in_string or len(data) > MAX_YAML_BYTES):
        raise DefiniteError(f"the document is invalid JSON: {not_json}", code=NOT_A_DOCUMENT)
    # Half of this package, which few documents need; they are read in a thread.
    from secret_sync.parse.yaml_document import read_yaml  # noqa: PLC0415
    from secret_sync.parse.yaml_strict import NotYAMLError  # noqa: PLC0415

    try:
        return Document(read_yaml(text), is_json=False)
    except NotYAMLError as error:
        not_yaml = str(error)
    if looks_like_json:
        problem = f"it is invalid JSON ({not_json}), and not YAML either ({not_yaml})"
    else:
        problem = f"it is neither JSON nor YAML ({not_yaml})"
    raise DefiniteError(f"the value cannot be parsed: {problem}", code=NOT_A_DOCUMENT)


def _as_yaml(value: Value, take: Callable[[int], None]) -> str:
    from secret_sync.parse.yaml_text import write_yaml  # noqa: PLC0415 (see above)

    return write_yaml(value, take)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DefiniteError(
            f"the value cannot be parsed as JSON or YAML: byte {error.start + 1} is not UTF-8; "
            "omit `jmesPath` and `extract` to keep the bytes as they are",
            code=NOT_A_DOCUMENT,
        ) from None
