"""JMESPath on documents, with numbers as written and a budget of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import INVALID_JMESPATH, shown

if TYPE_CHECKING:
    from secret_sync.parse.document import Document
    from secret_sync.parse.values import Value


def compiled(path: str) -> Any:
    """The expression, read."""
    import jmespath  # noqa: PLC0415

    try:
        return jmespath.compile(path)
    except (jmespath.exceptions.JMESPathError, ValueError, RecursionError):
        raise DefiniteError(
            f"{shown(path)} is no JMESPath expression", code=INVALID_JMESPATH
        ) from None


def is_simple(path: str) -> bool:
    """Whether its cost depends on neither the document nor the number of its values."""
    return path.replace(".", "").replace("_", "").isalnum()


class Search:
    """Evaluates expressions on one document."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def find(self, path: str) -> Value:
        """What the path finds, or ``None``."""
        value: Value = compiled(path).search(self._document.root)
        return value
