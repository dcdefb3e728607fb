"""The tokens of a template, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.templates.errors import TOO_COSTLY
from secret_sync.templates.lexer import TokenKind, invalid, tokens_of
from secret_sync.templates.limits import MAX_DEPTH

if TYPE_CHECKING:
    from secret_sync.templates.errors import TemplateError
    from secret_sync.templates.lexer import Token


class Cursor:
    """Reads tokens, and counts how deeply they are nested.

    Attributes:
        source: The template.
        depth: Blocks and parentheses around the next token.
        deepest: The most of them since a body began.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.depth = 0
        self.deepest = 0
        self._tokens = tokens_of(source)
        self._index = 0

    def peek(self) -> Token:
        """Return the next token, which may be a space."""
        return self._tokens[self._index]

    def peek_word(self) -> Token:
        """Return the next token that is not a space, and skip the space."""
        token = self._tokens[self._index]
        if token.kind is TokenKind.SPACE:
            self._index += 1
            token = self._tokens[self._index]
        return token

    def take(self) -> Token:
        """Return the next token, which may be a space, and go past it."""
        token = self._tokens[self._index]
        if token.kind is not TokenKind.END:
            self._index += 1
        return token

    def take_word(self) -> Token:
        """Return the next token that is not a space, and go past it."""
        self.peek_word()
        return self.take()

    def mark(self) -> int:
        """Return the place of the next token, for `reset`."""
        return self._index

    def reset(self, mark: int) -> None:
        """Go back."""
        self._index = mark

    def enter(self, position: int) -> None:
        """Go a level deeper.

        Raises:
            TemplateError: With code ``TooCostly``.
        """
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        if self.depth > MAX_DEPTH:
            error = self.fail(
                position, f"blocks and parentheses are nested more than {MAX_DEPTH} levels deep"
            )
            error.code = TOO_COSTLY
            raise error

    def leave(self) -> None:
        """Go back up a level."""
        self.depth -= 1

    def fail(self, position: int, message: str, plain: str = "") -> TemplateError:
        """Return the error of a template that cannot be parsed."""
        return invalid(self.source, position, message, plain)

    def unexpected(self, token: Token, where: str) -> TemplateError:
        """Return the error of a token that cannot be in this place."""
        if token.kind is TokenKind.END:
            return self.fail(token.position, f"the template ends within {where}")
        names = {
            TokenKind.RIGHT: "}}",
            TokenKind.ASSIGN: "=",
            TokenKind.DECLARE: ":=",
            TokenKind.PIPE: "|",
            TokenKind.COMMA: ",",
            TokenKind.CLOSE: ")",
            TokenKind.OPEN: "(",
            TokenKind.STRING: "a string",
            TokenKind.NUMBER: "a number",
            TokenKind.CHARACTER: "a character",
            TokenKind.DOT: ".",
        }
        if token.kind is TokenKind.KEYWORD:
            return self.fail(token.position, f"{token.text} cannot be in {where}")
        what = names.get(token.kind, "a name")
        return self.fail(token.position, f"{what} cannot be here, in {where}; is a space missing?")
