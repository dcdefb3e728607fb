"""The functions of ``text/template`` itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.comparison import basic_equal, less
from secret_sync.templates.errors import BadValueError
from secret_sync.templates.escaping import html_escaped, js_escaped, url_escaped
from secret_sync.templates.formatting import format_text
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.printing import missing, printed, truth
from secret_sync.templates.values import Missing, Uint8, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering
    from secret_sync.templates.values import Value

BUILTINS: Final = FunctionTable()


# The compiler evaluates only the arguments of these two that are needed.
@BUILTINS.function("and or", Kind.ANY, rest=Kind.ANY)
def _choice(_rendering: Rendering, *arguments: Value) -> Value:
    return arguments[-1]


@BUILTINS.function("not", Kind.ANY)
def _not(_rendering: Rendering, value: Value) -> bool:
    return not truth(value)


@BUILTINS.function("eq", Kind.ANY, rest=Kind.ANY)
def _eq(_rendering: Rendering, value: Value, *others: Value) -> bool:
    if not others:
        raise BadValueError("a second value is missing")
    return any(basic_equal(value, other) for other in others)


@BUILTINS.function("ne", Kind.ANY, Kind.ANY)
def _ne(_rendering: Rendering, first: Value, second: Value) -> bool:
    return not basic_equal(first, second)


@BUILTINS.function("lt", Kind.ANY, Kind.ANY)
def _lt(_rendering: Rendering, first: Value, second: Value) -> bool:
    return less(first, second)


@BUILTINS.function("le", Kind.ANY, Kind.ANY)
def _le(_rendering: Rendering, first: Value, second: Value) -> bool:
    return less(first, second) or basic_equal(first, second)


@BUILTINS.function("gt", Kind.ANY, Kind.ANY)
def _gt(_rendering: Rendering, first: Value, second: Value) -> bool:
    return not (less(first, second) or basic_equal(first, second))


@BUILTINS.function("ge", Kind.ANY, Kind.ANY)
def _ge(_rendering: Rendering, first: Value, second: Value) -> bool:
    return not less(first, second)


@BUILTINS.function("len", Kind.ANY)
def _len(_rendering: Rendering, value: Value) -> int:
    if is_missing(value):
        raise missing(value)
    if not isinstance(value, (bytes, list, dict)):
        raise BadValueError(f"{described(value)} has no length")
    return len(value)


@BUILTINS.function("index", Kind.ANY, rest=Kind.ANY)
def _index(_rendering: Rendering, value: Value, *indexes: Value) -> Value:
    return _look_up(value, indexes, shown=False)


def index_by_constants(_rendering: Rendering, value: Value, *indexes: Value) -> Value:
    """As `index`; its errors name keys, which are words of the template and never values."""
    return _look_up(value, indexes, shown=True)


def _look_up(value: Value, indexes: tuple[Value, ...], *, shown: bool) -> Value:
    if is_missing(value):
        raise missing(value)
    for index in indexes:
        value = _element(value, index, shown=shown)
    return value


def _element(value: Value, index: Value, *, shown: bool) -> Value:
    if is_missing(value):
        raise missing(value)
    if is_missing(index):
        raise missing(index)
    if isinstance(value, dict):
        if not isinstance(index, bytes):
            raise BadValueError(f"a key of a map is a string, not {described(index)}")
        found = value.get(index)
        if found is not None:
            return found
        if not shown:
            return Missing("there is no such key, or it is null")
        name = index.decode("utf-8", "replace")[:80]
        return Missing(f'there is no key "{name}", or it is null', index, value)
    if not isinstance(value, (bytes, list)):
        raise BadValueError(f"{described(value)} has no elements")
    if not isinstance(index, int) or isinstance(index, bool):
        raise BadValueError(f"{described(value)} is indexed by an int, not {described(index)}")
    if not 0 <= index < len(value):
        raise BadValueError("the index is out of range; check it with len")
    element = value[index]
    return Uint8(element) if isinstance(value, bytes) else element


@BUILTINS.function("call", Kind.ANY, rest=Kind.ANY)
def _call(_rendering: Rendering, *_arguments: Value) -> Value:
    raise BadValueError("there are no functions among the values of templates")


def joined(rendering: Rendering, values: tuple[Value, ...]) -> bytes:
    """Return the values as text, with a space between two of which neither is a string."""
    if len(values) == 1:
        return printed(values[0], rendering.budget)
    pieces: list[bytes] = []
    after_string = True
    for value in values:
        is_string = isinstance(value, bytes)
        if pieces and not is_string and not after_string:
            pieces.append(b" ")
        pieces.append(printed(value, rendering.budget))
        after_string = is_string
    rendering.budget.create(sum(map(len, pieces)))
    return b"".join(pieces)


@BUILTINS.function("print", rest=Kind.ANY)
def _print(rendering: Rendering, *values: Value) -> bytes:
    return joined(rendering, values)


@BUILTINS.function("println", rest=Kind.ANY)
def _println(rendering: Rendering, *values: Value) -> bytes:
    pieces = [printed(value, rendering.budget) for value in values]
    rendering.budget.create(sum(map(len, pieces)) + len(pieces) + 1)
    return b" ".join(pieces) + b"\n"


@BUILTINS.function("printf", Kind.STRING, rest=Kind.ANY)
def _printf(rendering: Rendering, layout: bytes, *values: Value) -> bytes:
    return format_text(layout, values, rendering.budget)


@BUILTINS.function("html", rest=Kind.ANY)
def _html(rendering: Rendering, *values: Value) -> bytes:
    return html_escaped(joined(rendering, values), rendering.budget)


@BUILTINS.function("js", rest=Kind.ANY)
def _js(rendering: Rendering, *values: Value) -> bytes:
    return js_escaped(joined(rendering, values), rendering.budget)


@BUILTINS.function("urlquery", rest=Kind.ANY)
def _urlquery(rendering: Rendering, *values: Value) -> bytes:
    return url_escaped(joined(rendering, values), rendering.budget)
