"""The parts of jmespath that it does not document; no other module uses any.

It has no public way to give the parser a lexer, or the functions a type of number. A test fails
when another version is installed than the one that this was written against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jmespath.exceptions import JMESPathTypeError, LexerError
from jmespath.functions import Functions
from jmespath.lexer import Lexer
from jmespath.parser import Parser

from secret_sync.parse.values import KeyText, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WRITTEN_AGAINST: Final = ("jmespath", "1.1.0")


def parse_expression(expression: str, literal: Callable[[str], Any]) -> Any:
    """Return the tree of an expression, which jmespath would keep in a cache of its own.

    Raises:
        JMESPathError: It is invalid.
    """
    return _ExpressionParser(literal).tree(expression)


class _ExpressionLexer(Lexer):  # type: ignore[misc]
    """Reads literals as our values, without a warning for the old form of a string."""

    def __init__(self, literal: Callable[[str], Any]) -> None:
        self._literal = literal

    def _consume_literal(self) -> dict[str, Any]:
        start = self._position
        lexeme = self._consume_until("`").replace("\\`", "`")
        try:
            value = self._literal(lexeme)
        except ValueError:
            try:
                value = self._literal(f'"{lexeme.lstrip()}"')
            except ValueError:
                raise LexerError(start, "`", "Bad literal") from None
        return {"type": "literal", "value": value, "start": start, "end": self._position - start}


class _ExpressionParser(Parser):  # type: ignore[misc]
    def __init__(self, literal: Callable[[str], Any]) -> None:
        super().__init__()
        self._literal = literal

    def tree(self, expression: str) -> Any:
        """Parse with our lexer, which the base class cannot be given, and without its cache."""
        self._tokens = list(_ExpressionLexer(self._literal).tokenize(expression))
        self._index = 0
        tree = self._expression(binding_power=0)
        if self._current_token() != "eof":
            self._error_nud_token(self._lookahead_token(0))
        return tree


class TypedFunctions(Functions):  # type: ignore[misc]
    """Functions whose arguments are our values, with all of their types checked."""

    def type_of(self, value: Any) -> str:
        """Return the type of a value, as JMESPath names it."""
        return self._convert_to_jmespath_type(type(value).__name__)

    def _create_key_func(
        self, expref: Any, allowed_types: list[str], function_name: str
    ) -> Callable[[Any], Any]:
        types: set[str] = set()

        def key(item: Any) -> Any:
            found = expref.visit(expref.expression, item)
            kind = self.type_of(found)
            types.add(kind)
            if kind not in allowed_types or len(types) > 1:
                raise JMESPathTypeError(function_name, None, kind, allowed_types)
            return sort_key(found)

        return key

    def _type_check(
        self, actual: list[Any], signature: tuple[dict[str, Any], ...], function_name: str
    ) -> None:
        # The base class does not check the variadic arguments of `merge(a, ...)`.
        for place, argument in enumerate(actual):
            types = signature[min(place, len(signature) - 1)]["types"]
            if types:
                self._type_check_single(argument, types, function_name)

    def _get_allowed_pytypes(self, types: Iterable[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        allowed, subtypes = super()._get_allowed_pytypes(types)
        return _with_ours(allowed), [tuple(_with_ours(names)) for names in subtypes]

    def _convert_to_jmespath_type(self, pyobject: str) -> str:
        if pyobject == Number.__name__:
            return "number"
        kind: str = super()._convert_to_jmespath_type(pyobject)
        return kind


def sort_key(value: Any) -> Any:
    """Return what numbers and strings are sorted by."""
    return value.value if isinstance(value, Number) else value


def _with_ours(names: Iterable[str]) -> list[str]:
    allowed = list(names)
    if "int" in allowed:
        allowed.append(Number.__name__)
    if "str" in allowed:
        allowed.append(KeyText.__name__)
    return allowed
