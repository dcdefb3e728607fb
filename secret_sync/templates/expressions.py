"""Pipelines, compiled to closures."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from secret_sync.templates.arguments import kind_at
from secret_sync.templates.builtin_functions import index_by_constants
from secret_sync.templates.calls import (
    argument,
    choice,
    failure,
    function_call,
    raising,
    unperformed,
)
from secret_sync.templates.fields import Path, absent, method_of, read_path
from secret_sync.templates.frames import Origin
from secret_sync.templates.functions import Kind
from secret_sync.templates.nodes import (
    Call,
    Constant,
    Dot,
    FieldChain,
    Nil,
    Pipeline,
    Variable,
)
from secret_sync.templates.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.templates.frames import Evaluate, Frame, Slots, Stage
    from secret_sync.templates.functions import Function, Implementation
    from secret_sync.templates.nodes import (
        Command,
        Operand,
    )
    from secret_sync.templates.values import Value

#: Functions that do not evaluate all their arguments.
AND: Final = "and"
OR: Final = "or"
#: Its message is shown if it is a constant only, and the keys of the other as well.
FAIL: Final = "fail"
INDEX: Final = "index"


class PipelineCompiler:
    """Compiles the pipelines of one template.

    Args:
        source: The text of the template, for places of errors.
        slots: Its variables.
    """

    def __init__(self, source: str, slots: Slots) -> None:
        self._source = source
        self._slots = slots

    def pipeline(self, pipe: Pipeline) -> tuple[Evaluate, list[int | None]]:
        """Compile a pipeline; return what evaluates it, and the slots of its variables."""
        evaluate = self._commands(pipe.commands)
        find = self._slots.find if pipe.assigns else self._slots.declare
        slots = [find(name) for name in pipe.variables]
        if not slots:
            return evaluate, slots
        if None in slots:
            return self._undeclared(pipe.position), slots
        targets = [slot for slot in slots if slot is not None]

        def assign(frame: Frame, dot: Value) -> Value:
            value = evaluate(frame, dot)
            for slot in targets:
                frame.variables[slot] = value
            return value

        return assign, slots

    def _undeclared(self, position: int) -> Stage:
        origin = Origin(self._source, position)
        message = "a variable has no value yet where it is used"
        return raising(lambda: origin.failed(message))

    def _commands(self, commands: Sequence[Command]) -> Evaluate:
        first = self._command(commands[0], None)
        # Loops in this class, as comprehensions take a frame more for each level of parentheses.
        stages: list[Stage] = []
        for before, command in pairwise(commands):
            stages.append(self._command(command, before))
        if not stages:
            return first
        if len(stages) == 1:
            stage = stages[0]
            return lambda frame, dot: stage(frame, dot, first(frame, dot))

        def evaluate(frame: Frame, dot: Value) -> Value:
            value = first(frame, dot)
            for run in stages:
                value = run(frame, dot, value)
            return value

        return evaluate

    def _command(self, command: Command, before: Command | None) -> Stage:
        first, *others = command.operands
        origin = Origin(self._source, command.position)
        if isinstance(first, Call):
            return self._call(first.function, others, before, origin)
        if not others and before is None:
            if isinstance(first, Nil):
                return raising(lambda: origin.failed("nil alone is not a value"))
            return self._operand(first)
        if isinstance(first, FieldChain):
            return self._method(first, others, piped=before is not None)
        message = "a value that is not a function has arguments; is a function's name missing?"
        return raising(lambda: origin.failed(message))

    def _call(
        self,
        function: Function,
        operands: Sequence[Operand],
        before: Command | None,
        origin: Origin,
    ) -> Stage:
        piped = before is not None
        arguments: list[Evaluate] = []
        for index, operand in enumerate(operands):
            kind = kind_at(function, index)
            arguments.append(self._argument(operand, kind, function.name))
        if function.name in {AND, OR} and (arguments or piped):
            return choice(arguments, wanted=function.name == OR, piped=piped)
        if function.name == FAIL:
            checked = function_call(unperformed(function), arguments, origin, piped=piped)
            return failure(_constant_message(operands, before), checked, origin)
        if function.name == INDEX and not piped and _are_constants(operands[1:]):
            function = function._replace(run=index_by_constants)
        return function_call(function, arguments, origin, piped=piped)

    def _argument(self, operand: Operand, kind: Kind, name: str) -> Evaluate:
        origin = Origin(self._source, operand.position)
        return argument(operand, self._operand(operand), kind, origin, name)

    def _operand(self, operand: Operand) -> Evaluate:
        """Compile what is evaluated without arguments."""
        if isinstance(operand, FieldChain):
            return self._chain(operand)
        if isinstance(operand, Dot):
            return _dot
        if isinstance(operand, Pipeline):
            return self.pipeline(operand)[0]
        origin = Origin(self._source, operand.position)
        if isinstance(operand, Call):
            return self._call(operand.function, [], None, origin)
        if isinstance(operand, Variable):
            return self._variable(operand)
        # Of nil only the check of the argument is used.
        constant = Constant(operand.position, b"") if isinstance(operand, Nil) else operand
        return argument(constant, _dot, Kind.ANY, origin, "a constant")

    def _variable(self, variable: Variable) -> Evaluate:
        slot = self._slots.find(variable.name)
        if slot is None:
            return self._undeclared(variable.position)
        return lambda frame, _dot: frame.variables[slot]

    def _path(self, chain: FieldChain) -> Path:
        base = "(...)"
        if isinstance(chain.base, Dot):
            base = ""
        elif isinstance(chain.base, Variable):
            base = chain.base.name
        keys = [name.encode() for name in chain.names]
        return Path(Origin(self._source, chain.position), base, chain.names, keys)

    def _chain(self, chain: FieldChain) -> Evaluate:
        path = self._path(chain)
        if isinstance(chain.base, Dot):
            return _fields_of_dot(path)
        base = self._operand(chain.base)

        def evaluate(frame: Frame, dot: Value) -> Value:
            frame.step()
            return read_path(path, base(frame, dot), frame.rendering)

        return evaluate

    def _method(self, chain: FieldChain, operands: Sequence[Operand], *, piped: bool) -> Stage:
        """Compile a field that has arguments: only the method of a value can be meant."""
        path = self._path(chain)
        last = len(chain.names) - 1
        holder = Path(path.origin, path.base, path.names[:last], path.keys[:last])
        base = self._operand(chain.base)
        evaluates = [self._operand(operand) for operand in operands]

        def call(frame: Frame, dot: Value, final: Value = None) -> Value:
            value = read_path(holder, base(frame, dot), frame.rendering)
            if is_missing(value):
                return value
            if isinstance(value, dict):
                name = path.spelled(last + 1)
                raise path.origin.failed(
                    f"{name} is no function and has arguments",
                    "a field is no function and has arguments",
                )
            method = method_of(path, last, value)
            arguments = [
                argument(operand, evaluate, kind_at(method, index), path.origin, method.name)
                for index, (operand, evaluate) in enumerate(zip(operands, evaluates, strict=True))
            ]
            bound = method._replace(run=_bound(method, value))
            stage = function_call(bound, arguments, path.origin, piped=piped)
            return stage(frame, dot, final)

        return call


def _dot(_frame: Frame, dot: Value) -> Value:
    return dot


def _fields_of_dot(path: Path) -> Evaluate:
    if len(path.keys) > 1:
        return lambda frame, dot: read_path(path, dot, frame.rendering)
    key = path.keys[0]

    def field(frame: Frame, dot: Value) -> Value:
        if dot.__class__ is dict:
            value = dot.get(key)
            return absent(path, 0, dot) if value is None else value
        return read_path(path, dot, frame.rendering)

    return field


def _are_constants(operands: Sequence[Operand]) -> bool:
    return all(isinstance(operand, Constant) for operand in operands)


def _constant_message(operands: Sequence[Operand], before: Command | None) -> bytes | None:
    """Return the argument of ``fail`` if it is a constant."""
    given = list(operands) or (before.operands if before is not None else [])
    if len(given) == 1 and isinstance(given[0], Constant) and isinstance(given[0].value, bytes):
        return given[0].value
    return None


def _bound(method: Function, value: Value) -> Implementation:
    return lambda rendering, *arguments: method.run(rendering, value, *arguments)
