"""Calls of functions, compiled to closures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.arguments import constant_for, fit, kind_at, wrong_number
from secret_sync.templates.errors import BadValueError, FunctionError, TemplateError
from secret_sync.templates.nodes import Constant, Nil
from secret_sync.templates.printing import truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secret_sync.templates.frames import Evaluate, Frame, Origin, Stage
    from secret_sync.templates.functions import Function, Kind
    from secret_sync.templates.nodes import Operand
    from secret_sync.templates.values import Value

_FAILED: Final = (
    "fail: the template refuses to be rendered; its message is not a constant, so it is not shown"
)

#: Steps of a call: some functions take ten microseconds at least.
_CALL: Final = 3
#: Bytes of a string that take as long as an element of a list or map.
_ELEMENT: Final = 64


def raising(error: Callable[[], TemplateError]) -> Stage:
    """Return what raises the error when it is reached, and not before, as in Go."""

    def fail(_frame: Frame, _dot: Value, _final: Value = None) -> Value:
        raise error()

    return fail


def argument(node: Operand, evaluate: Evaluate, kind: Kind, origin: Origin, name: str) -> Evaluate:
    """Return what evaluates an argument and checks that it fits."""
    if isinstance(node, (Constant, Nil)):
        try:
            value = constant_for(kind, None if isinstance(node, Nil) else node.value)
        except BadValueError as error:
            problem = error
            return raising(lambda: origin.of_function(name, problem))
        if value.__class__ in {list, dict}:
            return lambda _frame, _dot: constant_for(kind, None)
        return lambda _frame, _dot: value
    check = fit(kind)
    if check is None:
        return evaluate
    checked = check

    def checking(frame: Frame, dot: Value) -> Value:
        value = evaluate(frame, dot)
        try:
            return checked(value)
        except BadValueError as error:
            raise origin.of_function(name, error) from None

    return checking


def function_call(
    function: Function, arguments: Sequence[Evaluate], origin: Origin, *, piped: bool
) -> Stage:
    """Return what calls the function; ``piped``: with the value of the command before."""
    number = len(arguments) + piped
    problem = wrong_number(function, number)
    if problem:
        return raising(lambda: origin.failed(problem))
    if piped:
        return _piped(function, arguments, origin)
    return _general(function, arguments, origin)


def _general(function: Function, arguments: Sequence[Evaluate], origin: Origin) -> Stage:
    run, name = function.run, function.name
    cost = _CALL + len(arguments)

    def call(frame: Frame, dot: Value, _final: Value = None) -> Value:
        try:
            values = [evaluate(frame, dot) for evaluate in arguments]
            frame.step(cost + _weight(values))
            return run(frame.rendering, *values)
        except FunctionError as error:
            raise origin.of_function(name, error) from None
        except TemplateError as error:
            raise origin.locate(error) from None

    return call


def _piped(function: Function, arguments: Sequence[Evaluate], origin: Origin) -> Stage:
    run, name = function.run, function.name
    cost = _CALL + 1 + len(arguments)
    check = fit(kind_at(function, len(arguments)))

    def call(frame: Frame, dot: Value, final: Value) -> Value:
        try:
            values = [evaluate(frame, dot) for evaluate in arguments]
            values.append(final if check is None else check(final))
            frame.step(cost + _weight(values))
            return run(frame.rendering, *values)
        except FunctionError as error:
            raise origin.of_function(name, error) from None
        except TemplateError as error:
            raise origin.locate(error) from None

    return call


def _weight(values: list[Value]) -> int:
    """Return the steps that reading the arguments takes; nested values are the function's."""
    size = 0
    for value in values:
        kind = value.__class__
        if kind is bytes:
            size += len(value)
        elif kind is list or kind is dict:
            size += len(value) * _ELEMENT
    return size >> 10


def choice(arguments: Sequence[Evaluate], *, wanted: bool, piped: bool) -> Stage:
    """Return ``or`` (wanted: true) or ``and``: the first such argument, or the last one."""
    cost = 1 + len(arguments)

    def choose(frame: Frame, dot: Value, final: Value = None) -> Value:
        frame.step(cost)
        value = None
        for evaluate in arguments:
            value = evaluate(frame, dot)
            if truth(value) is wanted:
                return value
        return final if piped else value

    return choose


def unperformed(function: Function) -> Function:
    """Return a function that only checks its arguments."""
    return function._replace(run=lambda *_: None)


def failure(shown: bytes | None, checked: Stage, origin: Origin) -> Stage:
    """Return the call of ``fail``; its message is shown if it is a constant.

    Args:
        shown: The constant.
        checked: Evaluates the argument, and checks that it is a string.
        origin: Where it is.
    """

    def fail(frame: Frame, dot: Value, final: Value = None) -> Value:
        checked(frame, dot, final)
        if shown is None:
            raise origin.failed(_FAILED)
        text = shown.decode("utf-8", "replace")
        raise origin.failed(f"fail: {text}", plain="the template refuses to be rendered")

    return fail
