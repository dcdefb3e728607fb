"""The compiled expressions of one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.parse.paths import compile_path
from secret_sync.parse.rules import REGEX_MEMORY, compile_regex

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a compiled path for each of its characters.
_PATH_MEMORY: Final = 120
#: What one object may keep: all rules of the largest entry. Expressions beyond that are compiled
#: at each use, which costs steps.
MAX_KEPT_BYTES: Final = 64 * REGEX_MEMORY
#: Steps of compiling: for each character of a path, for each instruction of a regular expression.
_STEPS_PER_CHARACTER: Final = 3
_STEPS_PER_INSTRUCTION: Final = 3


class Expressions:
    """Compiles each expression once and keeps it, within a limit.

    Attributes:
        size: Upper bound of the bytes kept; a regular expression counts with the largest size
            of its automata.
    """

    def __init__(self) -> None:
        self._paths: dict[str, Any] = {}
        self._regexes: dict[str, Any] = {}
        self.size = 0

    def __repr__(self) -> str:
        """Show numbers, never expressions."""
        return f"<{type(self).__name__} {len(self._paths)} paths, {len(self._regexes)} regexes>"

    def path(self, text: str, step: Callable[[int], None] | None = None) -> Any:
        """Return the compiled JMESPath expression.

        Args:
            text: The expression.
            step: Charged the steps of compiling, if it is not cached.

        Raises:
            DefiniteError: With code ``InvalidJMESPath`` or ``TooCostly``.
        """
        tree = self._paths.get(text)
        if tree is None:
            if step is not None:
                step(len(text) * _STEPS_PER_CHARACTER)
            tree = compile_path(text)
            self._keep(self._paths, text, tree, len(text) * _PATH_MEMORY)
        return tree

    def regex(self, text: str, step: Callable[[int], None] | None = None) -> Any:
        """Return the compiled regular expression.

        Args:
            text: The expression.
            step: Charged the steps of compiling, if it was not cached.

        Raises:
            DefiniteError: With code ``InvalidRegex``.
        """
        regex = self._regexes.get(text)
        if regex is None:
            regex = compile_regex(text)
            if step is not None:
                step(regex.programsize * _STEPS_PER_INSTRUCTION)
            self._keep(self._regexes, text, regex, REGEX_MEMORY)
        return regex

    def _keep(self, kept: dict[str, Any], text: str, compiled: Any, size: int) -> None:
        if self.size + size <= MAX_KEPT_BYTES:
            kept[text] = compiled
            self.size += size
