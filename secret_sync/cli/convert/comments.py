"""Comments of a converted manifest, by the field above which they are written."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.resources.meta import FieldPath


class Effect(StrEnum):
    """How much a comment matters."""

    NOTE = "NOTE"
    """For the reader; nothing differs."""
    DIFFERS = "DIFFERS"
    """It was converted, and behaves differently in some case."""
    LOST = "LOST"
    """It has no counterpart; the Secret is the same without it."""
    INCOMPLETE = "INCOMPLETE"
    """It has no counterpart, and the Secret needs it."""


class Comments:
    """The comments of one manifest."""

    def __init__(self) -> None:
        self._lines: dict[FieldPath, list[str]] = defaultdict(list)
        self._counts: Counter[Effect] = Counter()

    def add(self, level: Effect, path: FieldPath, message: str) -> None:
        """Add a comment.

        Args:
            level: How much it matters.
            path: The field of our manifest that it is about; ``()`` for the whole.
            message: One line.
        """
        line = message if level is Effect.NOTE else f"{level}: {message}"
        # A message may quote a key of the file.
        line = " ".join(line.split())
        if line not in self._lines[path]:
            self._lines[path].append(line)
            self._counts[level] += 1

    def count(self, level: Effect) -> int:
        """Return how many comments have this level."""
        return self._counts[level]

    def placed(self, manifest: Mapping[str, Any]) -> dict[FieldPath, list[str]]:
        """Return the comments by existing fields: those of a missing one are its parent's."""
        found: dict[FieldPath, list[str]] = defaultdict(list)
        for path, lines in self._lines.items():
            found[_existing(manifest, path)] += lines
        return found


def _existing(manifest: Any, path: FieldPath) -> FieldPath:
    value = manifest
    for depth, step in enumerate(path):
        if isinstance(value, list):
            value = dict(enumerate(value))
        if not isinstance(value, dict) or step not in value:
            return path[:depth]
        value = value[step]
    return path


@dataclass(frozen=True, slots=True)
class Converted:
    """An object of the External Secrets Operator and what became of it.

    Attributes:
        title: Its kind, namespace and name.
        manifest: Ours; empty if there is none.
        comments: What is said about it.
    """

    title: str
    manifest: dict[str, Any]
    comments: Comments

    @property
    def complete(self) -> bool:
        """Return whether the manifest gives the same Secret, so that it may be applied."""
        return bool(self.manifest) and not self.comments.count(Effect.INCOMPLETE)
