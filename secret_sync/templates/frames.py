"""What a template has while it is rendered, and the errors that happen meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from secret_sync.templates.errors import TEMPLATE_FAILED, TemplateError
from secret_sync.templates.lexer import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.templates.errors import FunctionError
    from secret_sync.templates.rendering import Rendering
    from secret_sync.templates.values import Value


class Frame:
    """One call of a template.

    Attributes:
        rendering: What all templates of the object share.
        pieces: The result so far; that of all calls of the same template.
        variables: By slot; slot 0 is ``$``.
        depth: Blocks and calls around the template.
        step: Charges steps.
    """

    __slots__ = ("_write", "depth", "pieces", "rendering", "step", "variables")

    def __init__(
        self, rendering: Rendering, pieces: list[bytes], variables: list[Value], depth: int
    ) -> None:
        self.rendering = rendering
        self.pieces = pieces
        self.variables = variables
        self.depth = depth
        self.step = rendering.budget.step
        self._write = rendering.budget.write

    def write(self, text: bytes) -> None:
        """Append to the result."""
        size = len(text)
        self._write(size)
        self.step(1 + (size >> 10))
        self.pieces.append(text)


#: Evaluates with the frame and ``.``.
Evaluate: TypeAlias = "Callable[[Frame, Value], Value]"
#: As `Evaluate`; takes the value that is piped into it, if one is.
Stage: TypeAlias = "Callable[..., Value]"
#: Writes, and returns ``True`` for ``break``, ``False`` for ``continue``, else ``None``.
Run: TypeAlias = "Callable[[Frame, Value], bool | None]"


class Origin(NamedTuple):
    """Where an expression comes from.

    Attributes:
        source: The template.
        position: Of the expression.
    """

    source: str
    position: int

    def failed(self, message: str, plain: str = "") -> TemplateError:
        """Return the error of a template that cannot be rendered."""
        return self.locate(TemplateError(message, code=TEMPLATE_FAILED, plain=plain))

    def of_function(self, name: str, error: FunctionError) -> TemplateError:
        """Return the error of a function that cannot use its arguments."""
        message = error.message
        if not message.startswith(name):
            message = f"{name}: {message}"
        return self.failed(message, plain=f"{name} cannot use its arguments")

    def locate(self, error: TemplateError) -> TemplateError:
        """Add the place to an error that has none."""
        if not error.line:
            error.line, error.column = place_of(self.source, self.position)
        return error


class Slots:
    """The variables of a template that are visible where the compiler is, by slot."""

    def __init__(self) -> None:
        self._visible: list[tuple[str, int]] = [("$", 0)]
        self.number = 1

    def declare(self, name: str) -> int:
        """Return a new slot for the variable."""
        slot = self.number
        self.number += 1
        self._visible.append((name, slot))
        return slot

    def find(self, name: str) -> int | None:
        """Return the slot of the variable that was declared last; ``None`` if none was."""
        for known, slot in reversed(self._visible):
            if known == name:
                return slot
        return None

    def mark(self) -> int:
        """Return what is visible, for `forget`."""
        return len(self._visible)

    def forget(self, mark: int) -> None:
        """Leave the scope of what was declared since."""
        del self._visible[mark:]


class Compiled:
    """A template that can be run; its statements are added once they are compiled.

    Attributes:
        run: Writes it.
        slots: The number of its variables.
        depth: The deepest nesting in it.
    """

    __slots__ = ("depth", "run", "slots")

    def __init__(self, run: Any, slots: int, depth: int) -> None:
        self.run = run
        self.slots = slots
        self.depth = depth
