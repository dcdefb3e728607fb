"""What can be wrong with a template, and where."""

from __future__ import annotations

from typing import Final

from secret_sync.errors import DefiniteError

#: Codes of the errors; the controller makes reasons of them.
TEMPLATE_INVALID: Final = "TemplateInvalid"
TEMPLATE_FAILED: Final = "TemplateFailed"
TOO_COSTLY: Final = "TooCostly"


class TemplateError(DefiniteError):
    """A template that cannot be parsed or rendered.

    The message has neither a value nor a part of one. It says what and what to do; ``line`` and
    ``column`` say where.

    Attributes:
        line, column: Of the action or token, both from 1; 0 if the error has no place.
        plain: The message without words of the template, for one that comes from a Secret.
    """

    def __init__(
        self, message: str, *, code: str, line: int = 0, column: int = 0, plain: str = ""
    ) -> None:
        super().__init__(message, code=code)
        self.line = line
        self.column = column
        self.plain = plain or message


class FunctionError(Exception):
    """A function cannot use its arguments; the evaluator adds the place.

    The message begins with the function's name and has neither a value nor a part of one.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadValueError(FunctionError):
    """A value is missing or unfit; the evaluator puts the function's name before the message."""
