"""JMESPath on documents: numbers keep their text, and a budget limits the steps."""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final

from jmespath.exceptions import JMESPathError, JMESPathTypeError, LexerError, ParseError
from jmespath.visitor import Options, TreeInterpreter

from secret_sync.errors import DefiniteError
from secret_sync.parse.budget import Budget
from secret_sync.parse.codes import INVALID_JMESPATH, TOO_COSTLY, copyable, is_shown_whole, shown
from secret_sync.parse.functions import CalculationError, CountedFunctions, price
from secret_sync.parse.hints import dotted_path, quoted_path
from secret_sync.parse.jmespath_parts import parse_expression
from secret_sync.parse.values import Number, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secret_sync.parse.expressions import Expressions
    from secret_sync.parse.values import Value

#: Characters of an expression, and of all expressions of a value; each takes 2.5 us to parse.
MAX_PATH_LENGTH: Final = 2048
MAX_PATHS_LENGTH: Final = 8192
#: Nested expressions; up to four stack frames each.
MAX_PATH_LEVELS: Final = 120
#: Steps of all expressions on one value; each about a microsecond and at most 64 bytes.
MAX_STEPS: Final = 250_000

#: Nodes that cost one step on any document.
_SIMPLE: Final = frozenset(
    ("field", "subexpression", "index", "index_expression", "identity", "current", "literal")
)

#: Nodes that read the document; an expression without one is a constant.
_READING: Final = frozenset(("field", "identity", "current"))


def is_simple(tree: Any) -> bool:
    """Return whether the cost is independent of the document and the number of its values."""
    return all(node["type"] in _SIMPLE for node, _ in _nodes(tree))


def constant_hint(path: str) -> str | None:
    """Return what to write in place of a path that does not read the document.

    Returns:
        ``None`` for a path that reads the document or is invalid; ``""`` for a constant that is
        not a name in the wrong quotes.
    """
    try:
        tree = compile_path(path)
    except DefiniteError:
        return None
    if any(node["type"] in _READING for node, _ in _nodes(tree)):
        return None
    is_text = tree["type"] == "literal" and isinstance(tree["value"], str)
    meant = dumps(tree["value"], ensure_ascii=False) if is_text else ""
    return copyable(meant) if meant and _compiles(meant) else ""


class Search:
    """Evaluates expressions on one document, within one budget.

    Args:
        root: The document.
        expressions: The compiled expressions.
        step: Charged the steps.
    """

    def __init__(self, root: Value, expressions: Expressions, step: Callable[[int], None]) -> None:
        self._root = root
        self._expressions = expressions
        self._step = step
        budget = Budget(
            MAX_STEPS,
            f"the paths of `jmesPath` need over {MAX_STEPS} steps on this document; "
            "select less at a time",
            TOO_COSTLY,
            also=step,
        )
        self._interpreter = _Interpreter(budget)

    def find(self, path: str) -> Value:
        """Return what the path matches, or ``None``.

        Raises:
            DefiniteError: With code ``TooCostly``, or ``InvalidJMESPath`` if a function is given
                an argument of the wrong type.
        """
        tree = self._expressions.path(path, self._step)
        try:
            found: Value = self._interpreter.visit(tree, self._root)
        except JMESPathTypeError as error:
            # The original error quotes the value.
            wanted = " or ".join(error.expected_types)
            problem = f"{error.function_name}() takes {wanted}, but was given something else"
        except CalculationError as error:
            problem = str(error)
        else:
            return found
        raise DefiniteError(
            f"the path {shown(path)} cannot be evaluated on this document: {problem}",
            code=INVALID_JMESPATH,
        )


def not_found_hint(path: str, root: Value) -> str:
    """Return the correction for a path of names that is one key with dots; ``""`` if it is not."""
    meant = dotted_path(path, root) if is_shown_whole(path) else ""
    if not meant:
        return ""
    return f"the document has a key that contains dots: write path: {copyable(meant)}"


class _Interpreter(TreeInterpreter):  # type: ignore[misc]
    def __init__(self, budget: Budget) -> None:
        functions = CountedFunctions(budget)
        super().__init__(Options(custom_functions=functions))
        self._methods: dict[str, Callable[[dict[str, Any], Any], Any]] = {}
        self._take = budget.take
        self._same = functions.same

    def visit(self, node: dict[str, Any], value: Any) -> Any:
        # The hot path: no call of the base class.
        self._take(1)
        kind = node["type"]
        method = self._methods.get(kind)
        if method is None:
            method = self._methods[kind] = getattr(self, f"visit_{kind}")
        return method(node, value)

    def visit_field(self, node: dict[str, Any], value: Any) -> Any:
        return value.get(node["value"]) if isinstance(value, dict) else None

    def visit_comparator(self, node: dict[str, Any], value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        operator = node["value"]
        if operator in self._EQUALITY_OPS:
            return self._same(left, right) == (operator == "eq")
        # Only numbers are ordered, as in the specification and in Go.
        if not (isinstance(left, Number) and isinstance(right, Number)):
            return None
        return self.COMPARATOR_FUNC[operator](left.value, right.value)

    def visit_not_expression(self, node: dict[str, Any], value: Any) -> bool:
        negated: bool = self._is_false(self.visit(node["children"][0], value))
        return negated

    def visit_flatten(self, node: dict[str, Any], value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        flat: list[Any] = []
        for item in base:
            items = item if isinstance(item, list) else [item]
            self._take(1 + price(items))
            flat += items
        return flat

    def visit_slice(self, node: dict[str, Any], value: Any) -> Any:
        if isinstance(value, list):
            self._take(price(value))
        return super().visit_slice(node, value)


def compile_path(path: str) -> Any:
    """Compile an expression and check it: syntax, names of functions, number of arguments.

    Raises:
        DefiniteError: With code ``InvalidJMESPath`` or ``TooCostly``.
    """
    if len(path) > MAX_PATH_LENGTH:
        raise DefiniteError(
            f"the path {shown(path)} has {len(path)} characters, {MAX_PATH_LENGTH} are allowed",
            code=TOO_COSTLY,
        )
    try:
        tree = parse_expression(path, _literal)
    except RecursionError:
        raise _too_deep(path) from None
    except (JMESPathError, ValueError) as error:
        raise DefiniteError(
            f"invalid JMESPath expression {shown(path)}{_place(error)}; {_advice(path)}",
            code=INVALID_JMESPATH,
        ) from None
    for node, level in _nodes(tree):
        if level > MAX_PATH_LEVELS:
            raise _too_deep(path)
        _check_node(node, path)
    return tree


def _literal(text: str) -> Value:
    try:
        value: Value = loads(
            text, parse_int=Number, parse_float=_float_literal, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError from None
    return value


def _float_literal(text: str) -> Number:
    # As Go writes it: the text of a number is kept for documents only, not for expressions.
    number = number_of(float(text))
    return Number(text) if number is None else number


def _refuse(_name: str) -> None:
    raise ValueError


def _nodes(tree: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield all nodes with their levels, without recursion: the tree may be deep."""
    pending = [(tree, 1)]
    while pending:
        node, level = pending.pop()
        yield node, level
        if node["type"] != "slice":
            pending += [(child, level + 1) for child in node["children"]]


def _check_node(node: dict[str, Any], path: str) -> None:
    problem = ""
    if node["type"] == "slice" and node["children"][2] == 0:
        problem = "the step of a slice is 0"
    elif node["type"] == "function_expression":
        problem = _function_problem(node["value"], len(node["children"]))
    if problem:
        raise DefiniteError(
            f"invalid JMESPath expression {shown(path)}: {problem}", code=INVALID_JMESPATH
        )


def _function_problem(name: str, given: int) -> str:
    function = CountedFunctions.FUNCTION_TABLE.get(name)
    if function is None:
        return f"there is no function {shown(name)}"
    signature = function["signature"]
    variadic = bool(signature[-1].get("variadic"))
    if given < len(signature) or (given > len(signature) and not variadic):
        least = "at least " if variadic else ""
        return f"{name}() takes {least}{len(signature)} arguments, not {given}"
    return ""


def _advice(path: str) -> str:
    meant = quoted_path(path) if is_shown_whole(path) else ""
    if not meant or not _compiles(meant):
        return "see https://jmespath.org"
    return f"the name needs double quotes: write path: {copyable(meant)}"


def _compiles(path: str) -> bool:
    try:
        parse_expression(path, _literal)
    except (JMESPathError, ValueError, RecursionError):
        return False
    return True


def _too_deep(path: str) -> DefiniteError:
    return DefiniteError(
        f"the path {shown(path)} is nested more than {MAX_PATH_LEVELS} levels deep",
        code=TOO_COSTLY,
    )


def _place(error: Exception) -> str:
    position = None
    if isinstance(error, LexerError):
        position = error.lexer_position
    elif isinstance(error, ParseError):
        position = error.lex_position
    return "" if position is None else f" (character {position + 1})"
