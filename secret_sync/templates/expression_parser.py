"""Tokens -> pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.constants import (
    IllegalNumberError,
    character_constant,
    number_constant,
)
from secret_sync.templates.functions import REFUSED
from secret_sync.templates.lexer import TokenKind
from secret_sync.templates.nodes import (
    Call,
    Command,
    Constant,
    Dot,
    FieldChain,
    Nil,
    Pipeline,
    Variable,
)
from secret_sync.templates.quoting import NotQuotedError, unquoted, unquoted_rune
from secret_sync.templates.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.templates.cursor import Cursor
    from secret_sync.templates.functions import Function
    from secret_sync.templates.lexer import Token
    from secret_sync.templates.nodes import Operand

_MAX_VARIABLES: Final = 2
_NO_FUNCTION_IN_PIPE: Final = (Constant, Dot, Nil)
#: Functions that other programs add to Go's templates, and what is there instead.
_ELSEWHERE: Final = {
    "tpl": "text that comes from a value is never run as a template",
    "include": 'use {{ template "name" . }}',
    "lookup": "templates read no objects; name what you need in data or templateFrom",
    "required": "a missing value is an error anyway; for another message use fail",
    "toYaml": "use toJson: JSON is YAML, too",
    "fromYaml": "extract the values with data[].jmesPath, which reads YAML",
    "getValueByKey": "use index . with the key",
}


class ExpressionParser:
    """Parses pipelines.

    Args:
        cursor: Where the tokens come from.
        functions: The functions that exist.

    Attributes:
        variables: Names that are declared so far.
        used: Names of the functions that are called.
    """

    def __init__(self, cursor: Cursor, functions: Mapping[str, Function]) -> None:
        self.variables = ["$"]
        self.used: set[str] = set()
        self._cursor = cursor
        self._functions = functions
        self._terms = {
            TokenKind.WORD: self._call,
            TokenKind.STRING: self._string,
            TokenKind.CHARACTER: self._character,
            TokenKind.NUMBER: self._number,
            TokenKind.VARIABLE: self._variable,
            TokenKind.OPEN: self._parenthesis,
        }

    def pipeline(self, where: str, end: TokenKind = TokenKind.RIGHT) -> Pipeline:
        """Parse declarations and commands up to ``}}`` or ``)``."""
        cursor = self._cursor
        pipe = Pipeline(cursor.peek_word().position)
        self._declarations(pipe, where)
        while True:
            token = cursor.peek_word()
            if token.kind is end:
                cursor.take()
                break
            pipe.commands.append(self._command(where))
        if not pipe.commands:
            raise cursor.fail(token.position, f"{where} needs a value")
        for command in pipe.commands[1:]:
            if isinstance(command.operands[0], _NO_FUNCTION_IN_PIPE):
                raise cursor.fail(
                    command.position, "a value is piped into something that is not a function"
                )
        return pipe

    def _declarations(self, pipe: Pipeline, where: str) -> None:
        cursor = self._cursor
        while True:
            mark = cursor.mark()
            token = cursor.peek_word()
            if token.kind is not TokenKind.VARIABLE:
                return
            cursor.take()
            following = cursor.peek_word()
            if following.kind in {TokenKind.ASSIGN, TokenKind.DECLARE}:
                cursor.take()
                self._declare(pipe, token.text)
                pipe.assigns = following.kind is TokenKind.ASSIGN
                return
            if following.kind is not TokenKind.COMMA:
                cursor.reset(mark)
                return
            cursor.take()
            self._declare(pipe, token.text)
            if where != "range" or len(pipe.variables) >= _MAX_VARIABLES:
                raise cursor.fail(token.position, f"{where} has too many variables")
            if cursor.peek_word().kind not in {
                TokenKind.VARIABLE,
                TokenKind.RIGHT,
                TokenKind.CLOSE,
            }:
                raise cursor.fail(token.position, "range needs a second variable after the comma")

    def _declare(self, pipe: Pipeline, name: str) -> None:
        pipe.variables.append(name)
        self.variables.append(name)

    def _command(self, where: str) -> Command:
        cursor = self._cursor
        command = Command(cursor.peek_word().position, [])
        while True:
            cursor.peek_word()
            operand = self._operand()
            if operand is not None:
                command.operands.append(operand)
            kind = cursor.peek().kind
            if kind is TokenKind.SPACE:
                continue
            if kind is TokenKind.PIPE:
                cursor.take()
            elif kind not in {TokenKind.RIGHT, TokenKind.CLOSE}:
                raise cursor.unexpected(cursor.peek(), where)
            break
        if not command.operands:
            raise cursor.fail(command.position, "there is no command before or after |")
        return command

    def _operand(self) -> Operand | None:
        cursor = self._cursor
        term = self._term()
        if term is None or cursor.peek().kind is not TokenKind.FIELD:
            return term
        position = cursor.peek().position
        if isinstance(term, (Constant, Dot, Nil)):
            raise cursor.fail(position, "a constant and . have no fields after them")
        if not isinstance(term, FieldChain):
            term = FieldChain(term.position, term, [])
        while cursor.peek().kind is TokenKind.FIELD:
            term.names.append(cursor.take().text[1:])
        return term

    def _term(self) -> Operand | None:
        token = self._cursor.peek_word()
        simple = self._simple(token)
        if simple is not None:
            self._cursor.take()
            return simple
        parse = self._terms.get(token.kind)
        if parse is None:
            return None
        self._cursor.take()
        return parse(token)

    def _simple(self, token: Token) -> Operand | None:
        if token.kind is TokenKind.FIELD:
            return FieldChain(token.position, Dot(token.position), [token.text[1:]])
        if token.kind is TokenKind.DOT:
            return Dot(token.position)
        if token.kind is TokenKind.WORD and token.text in {"true", "false"}:
            return Constant(token.position, token.text == "true")
        if token.kind is TokenKind.KEYWORD and token.text == "nil":
            return Nil(token.position)
        return None

    def _call(self, token: Token) -> Operand:
        name = token.text
        function = self._functions.get(name)
        if function is None:
            raise self._unknown(token)
        self.used.add(name)
        return Call(token.position, function)

    def _unknown(self, token: Token) -> Exception:
        name = token.text
        fail = self._cursor.fail
        if name in REFUSED:
            return fail(token.position, f"the function {name} is not offered: {REFUSED[name]}")
        if name in _ELSEWHERE:
            return fail(token.position, f"there is no function {name}: {_ELSEWHERE[name]}")
        near = closest(name, self._functions)
        advice = f"did you mean {near}?" if near else f"if it is a key of data, write .{name}"
        return fail(
            token.position,
            f"there is no function {name[:80]}; {advice}",
            plain="there is no such function",
        )

    def _string(self, token: Token) -> Operand:
        try:
            return Constant(token.position, unquoted(token.text))
        except NotQuotedError as error:
            raise self._cursor.fail(token.position, str(error)) from None

    def _character(self, token: Token) -> Operand:
        try:
            return Constant(token.position, character_constant(unquoted_rune(token.text)))
        except NotQuotedError as error:
            raise self._cursor.fail(token.position, str(error)) from None

    def _number(self, token: Token) -> Operand:
        try:
            return Constant(token.position, number_constant(token.text))
        except IllegalNumberError as error:
            raise self._cursor.fail(token.position, str(error)) from None

    def _variable(self, token: Token) -> Operand:
        if token.text not in self.variables:
            near = closest(token.text, self.variables)
            advice = f"; did you mean {near}?" if near else f"; declare it with {token.text} := ..."
            raise self._cursor.fail(
                token.position,
                f"the variable {token.text[:80]} is not declared here{advice}",
                plain="a variable is not declared",
            )
        return Variable(token.position, token.text)

    def _parenthesis(self, token: Token) -> Operand:
        self._cursor.enter(token.position)
        pipe = self.pipeline("a parenthesis", TokenKind.CLOSE)
        self._cursor.leave()
        return pipe
