"""Statements, compiled to closures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.templates.errors import TOO_COSTLY, BadValueError, TemplateError
from secret_sync.templates.expressions import PipelineCompiler
from secret_sync.templates.frames import Compiled, Frame, Origin, Slots
from secret_sync.templates.iteration import pairs_of
from secret_sync.templates.limits import MAX_DEPTH
from secret_sync.templates.nodes import Choice, Jump, Output, Range, Text
from secret_sync.templates.printing import printed, truth
from secret_sync.templates.values import Missing

if TYPE_CHECKING:
    from secret_sync.templates.frames import Evaluate, Run
    from secret_sync.templates.nodes import Body, Pipeline, Statement, TemplateCall
    from secret_sync.templates.parser import ParsedTemplate
    from secret_sync.templates.values import Value


def compile_template(source: str, parsed: ParsedTemplate) -> Compiled:
    """Compile a template with those that it defines."""
    defined: dict[bytes, Compiled] = {}
    for name, body in parsed.defined.items():
        defined[name] = _BodyCompiler(source, defined).compile(body)
    return _BodyCompiler(source, defined).compile(parsed.main)


class _BodyCompiler:
    """Compiles one body.

    Args:
        source: The text of the template, for places of errors.
        defined: The compiled templates by name; all are in it before one is run.
    """

    def __init__(self, source: str, defined: dict[bytes, Compiled]) -> None:
        self._source = source
        self._defined = defined
        self._slots = Slots()
        self._expressions = PipelineCompiler(source, self._slots)

    def compile(self, body: Body) -> Compiled:
        run = _sequence(self._statements(body.statements))
        return Compiled(run, self._slots.number, body.depth)

    def _statements(self, statements: list[Statement]) -> list[Run]:
        return [self._statement(statement) for statement in statements]

    def _scoped(self, statements: list[Statement]) -> Run:
        mark = self._slots.mark()
        run = _sequence(self._statements(statements))
        self._slots.forget(mark)
        return run

    def _statement(self, node: Statement) -> Run:
        if isinstance(node, Text):
            text = node.text
            return lambda frame, _dot: frame.write(text)
        if isinstance(node, Output):
            return self._action(node.pipeline)
        if isinstance(node, Choice):
            return self._condition(node)
        if isinstance(node, Range):
            return self._range(node)
        if isinstance(node, Jump):
            leaves = node.leaves
            return lambda _frame, _dot: leaves
        return self._template(node)

    def _action(self, pipeline: Pipeline) -> Run:
        evaluate, slots = self._expressions.pipeline(pipeline)
        origin = Origin(self._source, pipeline.position)
        if slots:

            def execute(frame: Frame, dot: Value) -> None:
                frame.step()
                evaluate(frame, dot)

            return execute

        def write(frame: Frame, dot: Value) -> None:
            value = evaluate(frame, dot)
            try:
                if value.__class__ is not bytes:
                    value = printed(value, frame.rendering.budget)
                frame.write(value)
            except BadValueError as error:
                raise origin.failed(error.message, "a value is missing") from None
            except TemplateError as error:
                raise origin.locate(error) from None

        return write

    def _condition(self, node: Choice) -> Run:
        mark = self._slots.mark()
        branches: list[tuple[Evaluate, Run]] = []
        for branch in node.branches:
            evaluate, _ = self._expressions.pipeline(branch.pipeline)
            branches.append((evaluate, self._scoped(branch.body)))
        otherwise = self._scoped(node.otherwise)
        self._slots.forget(mark)
        sets_dot = node.sets_dot

        def choose(frame: Frame, dot: Value) -> bool | None:
            for evaluate, run in branches:
                frame.step()
                value = evaluate(frame, dot)
                if truth(value):
                    return run(frame, value if sets_dot else dot)
            return otherwise(frame, dot)

        return choose

    def _range(self, node: Range) -> Run:
        mark = self._slots.mark()
        evaluate, slots = self._expressions.pipeline(node.pipeline)
        body = self._scoped(node.body)
        otherwise = self._scoped(node.otherwise)
        self._slots.forget(mark)
        element = slots[-1] if slots else None
        index = slots[0] if len(slots) > 1 else None
        origin = Origin(self._source, node.pipeline.position)

        def iterate(frame: Frame, dot: Value) -> bool | None:
            value = evaluate(frame, dot)
            try:
                frame.step()
                pairs = pairs_of(value, frame.rendering.budget, wants_index=index is not None)
                if pairs is None:
                    return otherwise(frame, dot)
                variables = frame.variables
                for key, item in pairs:
                    frame.step()
                    if element is not None:
                        variables[element] = item
                    if index is not None:
                        variables[index] = key
                    if body(frame, item):
                        break
            except BadValueError as error:
                raise origin.of_function("range", error) from None
            except TemplateError as error:
                raise origin.locate(error) from None
            return None

        return iterate

    def _template(self, node: TemplateCall) -> Run:
        evaluate: Evaluate | None = None
        if node.pipeline is not None:
            evaluate, _ = self._expressions.pipeline(node.pipeline)
        name, depth, defined = node.name, node.depth + 1, self._defined
        origin = Origin(self._source, node.position)

        def call(frame: Frame, dot: Value) -> None:
            template = defined.get(name)
            if template is None:
                raise origin.failed(
                    f"there is no template {name.decode('utf-8', 'replace')[:80]}; write "
                    "{{ define }} with this name into the same template",
                    "a template that is called is not defined",
                )
            value = evaluate(frame, dot) if evaluate is not None else _no_argument(name)
            run_template(template, frame, value, depth, origin)

        return call


def _no_argument(name: bytes) -> Missing:
    text = name.decode("utf-8", "replace")[:80]
    return Missing(f"the template {text} is called without an argument; write . behind its name")


def run_template(
    template: Compiled, frame: Frame, value: Value, depth: int, origin: Origin
) -> None:
    """Run a template that another one calls."""
    below = frame.depth + depth
    if below + template.depth > MAX_DEPTH:
        message = (
            f"blocks and calls of templates are nested more than {MAX_DEPTH} levels deep; "
            "does a template call itself for ever?"
        )
        raise origin.locate(TemplateError(message, code=TOO_COSTLY))
    frame.step(1 + template.slots // 16)
    template.run(Frame(frame.rendering, frame.pieces, variables_of(template, value), below), value)


def variables_of(template: Compiled, value: Value) -> list[Value]:
    """Return the variables of a call; ``$`` is the argument."""
    variables: list[Value] = [_UNSET] * template.slots
    variables[0] = value
    return variables


_UNSET = Missing("a variable has no value yet where it is used")


def _sequence(runs: list[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]

    def run_all(frame: Frame, dot: Value) -> bool | None:
        for run in runs:
            signal = run(frame, dot)
            if signal is not None:
                return signal
        return None

    return run_all
