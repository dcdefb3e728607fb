"""Tokens -> statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from secret_sync.templates.cursor import Cursor
from secret_sync.templates.expression_parser import ExpressionParser
from secret_sync.templates.lexer import TokenKind
from secret_sync.templates.nodes import (
    Body,
    Branch,
    Choice,
    Jump,
    Output,
    Range,
    TemplateCall,
    Text,
    is_blank,
)
from secret_sync.templates.quoting import NotQuotedError, unquoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.templates.functions import Function
    from secret_sync.templates.lexer import Token
    from secret_sync.templates.nodes import Pipeline, Statement


class ParsedTemplate(NamedTuple):
    """A template and the templates that it defines.

    Attributes:
        main: What is rendered.
        defined: By name.
        functions: Names of the functions that are called.
    """

    main: Body
    defined: dict[bytes, Body]
    functions: frozenset[str]


def parse_template(source: str, functions: Mapping[str, Function]) -> ParsedTemplate:
    """Parse a template.

    Raises:
        TemplateError: With code ``TemplateInvalid``, or ``TooCostly`` if it is too deep.
    """
    return _TemplateParser(source, functions).parse()


class _TemplateParser:
    def __init__(self, source: str, functions: Mapping[str, Function]) -> None:
        self._cursor = Cursor(source)
        self._expressions = ExpressionParser(self._cursor, functions)
        self._defined: dict[bytes, Body] = {}
        #: Ranges around the next token, and the depth where its body begins.
        self._ranges = 0
        self._base = 0
        self._controls = {
            "if": self._if,
            "with": self._with,
            "range": self._range,
            "template": self._template,
            "block": self._block,
            "break": self._jump,
            "continue": self._jump,
        }

    def parse(self) -> ParsedTemplate:
        cursor = self._cursor
        statements: list[Statement] = []
        while cursor.peek().kind is not TokenKind.END:
            mark = cursor.mark()
            cursor.take()
            if cursor.peek_word().text == "define":
                self._define(cursor.take())
                continue
            cursor.reset(mark)
            statement = self._statement()
            if isinstance(statement, str):
                raise cursor.fail(
                    cursor.peek().position,
                    f"{statement} belongs to no if, with, range, define or block",
                )
            statements.append(statement)
        main = Body(statements, cursor.deepest)
        return ParsedTemplate(main, self._defined, frozenset(self._expressions.used))

    def _statements(self, opening: Token) -> tuple[list[Statement], str]:
        """Parse up to ``else`` or ``end``; return which of the two."""
        statements: list[Statement] = []
        self._cursor.enter(opening.position)
        while self._cursor.peek().kind is not TokenKind.END:
            statement = self._statement()
            if isinstance(statement, str):
                self._cursor.leave()
                return statements, statement
            statements.append(statement)
        raise self._cursor.fail(opening.position, f"{opening.text} has no {{{{ end }}}}")

    def _statement(self) -> Statement | str:
        """Parse text or an action; of ``else`` and ``end`` return the word."""
        cursor = self._cursor
        token = cursor.take()
        if token.kind is TokenKind.TEXT:
            return Text(token.text.encode())
        word = cursor.peek_word()
        if word.kind is TokenKind.KEYWORD:
            if word.text == "end":
                cursor.take()
                self._close(cursor.take_word(), "end")
                return "end"
            if word.text == "else":
                cursor.take()
                return "else"
            control = self._controls.get(word.text)
            if control is not None:
                return control(cursor.take())
            if word.text == "define":
                raise cursor.fail(word.position, "define has to be outside other blocks")
        return Output(self._expressions.pipeline("an action"))

    def _close(self, token: Token, after: str) -> None:
        if token.kind is not TokenKind.RIGHT:
            raise self._cursor.unexpected(token, after)

    def _if(self, token: Token) -> Statement:
        return self._condition(token)

    def _with(self, token: Token) -> Statement:
        return self._condition(token)

    def _condition(self, opening: Token) -> Choice:
        cursor = self._cursor
        variables = self._expressions.variables
        declared = len(variables)
        node = Choice(opening.text == "with", [], [])
        while True:
            pipeline = self._expressions.pipeline(opening.text)
            body, stop = self._statements(opening)
            node.branches.append(Branch(pipeline, body))
            if stop == "end":
                break
            word = cursor.take_word()
            if word.kind is TokenKind.KEYWORD and word.text == opening.text:
                continue
            node.otherwise = self._otherwise(word, opening)
            break
        del variables[declared:]
        return node

    def _otherwise(self, word: Token, opening: Token) -> list[Statement]:
        """Parse what follows ``else``."""
        self._close(word, f"else of {opening.text}")
        body, stop = self._statements(opening)
        if stop != "end":
            raise self._cursor.fail(
                self._cursor.peek().position, f"{opening.text} has a second else"
            )
        return body

    def _range(self, opening: Token) -> Statement:
        variables = self._expressions.variables
        declared = len(variables)
        pipeline = self._expressions.pipeline("range")
        self._ranges += 1
        body, stop = self._statements(opening)
        self._ranges -= 1
        otherwise: list[Statement] = []
        if stop == "else":
            otherwise = self._otherwise(self._cursor.take_word(), opening)
        del variables[declared:]
        return Range(pipeline, body, otherwise)

    def _jump(self, token: Token) -> Statement:
        self._close(self._cursor.take_word(), token.text)
        if not self._ranges:
            raise self._cursor.fail(token.position, f"{token.text} has to be in a range")
        return Jump(token.text == "break")

    def _template(self, token: Token) -> Statement:
        name = self._name(token)
        pipeline: Pipeline | None = None
        if self._cursor.peek_word().kind is TokenKind.RIGHT:
            self._cursor.take()
        else:
            pipeline = self._expressions.pipeline("template")
        return TemplateCall(token.position, name, pipeline, self._cursor.depth - self._base)

    def _block(self, token: Token) -> Statement:
        name = self._name(token)
        pipeline = self._expressions.pipeline("block")
        self._body(token, name)
        return TemplateCall(token.position, name, pipeline, self._cursor.depth - self._base)

    def _define(self, token: Token) -> None:
        name = self._name(token)
        self._close(self._cursor.take_word(), "define")
        self._body(token, name)

    def _name(self, token: Token) -> bytes:
        name = self._cursor.take_word()
        if name.kind is not TokenKind.STRING:
            raise self._cursor.fail(name.position, f"{token.text} needs a name in quotes")
        try:
            return unquoted(name.text)
        except NotQuotedError as error:
            raise self._cursor.fail(name.position, str(error)) from None

    def _body(self, opening: Token, name: bytes) -> None:
        """Parse the body of a template of its own, without the variables around it."""
        cursor, expressions = self._cursor, self._expressions
        outside = expressions.variables, self._ranges, self._base, cursor.deepest
        expressions.variables, self._ranges = ["$"], 0
        # Its own level is that of the call.
        self._base = cursor.deepest = cursor.depth + 1
        statements, stop = self._statements(opening)
        if stop != "end":
            raise cursor.fail(cursor.peek().position, f"{opening.text} cannot have an else")
        body = Body(statements, cursor.deepest - self._base)
        expressions.variables, self._ranges, self._base, cursor.deepest = outside
        known = self._defined.get(name)
        if known is None or is_blank(known.statements):
            self._defined[name] = body
        elif not is_blank(statements):
            raise cursor.fail(
                opening.position,
                "a template of this name is defined already; rename one of the two",
            )
