"""The fields of the data that a template reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.nodes import (
    Call,
    Choice,
    Constant,
    Dot,
    FieldChain,
    Output,
    Pipeline,
    Range,
    TemplateCall,
    Variable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.templates.nodes import Body, Command, Operand, Statement
    from secret_sync.templates.parser import ParsedTemplate

#: Functions that take a key as a constant; the position of the map and the key.
_BY_KEY: Final = {"index": (0, 1), "get": (0, 1), "hasKey": (0, 1)}


def fields_of(parsed: ParsedTemplate) -> frozenset[str]:
    """Return the top-level fields of the data, as far as the template names them as constants."""
    reader = _FieldReader(parsed.defined)
    reader.body(parsed.main)
    return frozenset(reader.found)


class _FieldReader:
    """Goes through a template and those to which it passes all data."""

    def __init__(self, defined: dict[bytes, Body]) -> None:
        self.found: set[str] = set()
        self._defined = defined
        self._seen: set[bytes] = set()

    def body(self, body: Body) -> None:
        self._statements(body.statements, at_top=True)

    def _statements(self, statements: Sequence[Statement], *, at_top: bool) -> None:
        """Go through statements; ``at_top``: ``.`` is all data."""
        for node in statements:
            if isinstance(node, Output):
                self._pipeline(node.pipeline, at_top=at_top)
            elif isinstance(node, Choice):
                for branch in node.branches:
                    self._pipeline(branch.pipeline, at_top=at_top)
                    inside = at_top and (
                        not node.sets_dot or _is_data(branch.pipeline, at_top=at_top)
                    )
                    self._statements(branch.body, at_top=inside)
                self._statements(node.otherwise, at_top=at_top)
            elif isinstance(node, Range):
                self._pipeline(node.pipeline, at_top=at_top)
                self._statements(node.body, at_top=False)
                self._statements(node.otherwise, at_top=at_top)
            elif isinstance(node, TemplateCall) and node.pipeline is not None:
                self._call(node, node.pipeline, at_top=at_top)

    def _call(self, node: TemplateCall, pipeline: Pipeline, *, at_top: bool) -> None:
        self._pipeline(pipeline, at_top=at_top)
        body = self._defined.get(node.name)
        if body is not None and node.name not in self._seen and _is_data(pipeline, at_top=at_top):
            self._seen.add(node.name)
            self.body(body)

    def _pipeline(self, pipeline: Pipeline, *, at_top: bool) -> None:
        for command in pipeline.commands:
            self._by_key(command, at_top=at_top)
            for operand in command.operands:
                self._operand(operand, at_top=at_top)

    def _operand(self, operand: Operand, *, at_top: bool) -> None:
        if isinstance(operand, Pipeline):
            self._pipeline(operand, at_top=at_top)
        elif isinstance(operand, FieldChain):
            if _holds_data(operand.base, at_top=at_top):
                self.found.add(operand.names[0])
            self._operand(operand.base, at_top=at_top)

    def _by_key(self, command: Command, *, at_top: bool) -> None:
        first, *others = command.operands
        places = _BY_KEY.get(first.function.name) if isinstance(first, Call) else None
        if places is None or len(others) <= max(places):
            return
        holder, key = (others[place] for place in places)
        if (
            _holds_data(holder, at_top=at_top)
            and isinstance(key, Constant)
            and isinstance(key.value, bytes)
        ):
            self.found.add(key.value.decode("utf-8", "replace"))


def _is_data(pipeline: Pipeline, *, at_top: bool) -> bool:
    commands = pipeline.commands
    return len(commands) == len(commands[0].operands) == 1 and _holds_data(
        commands[0].operands[0], at_top=at_top
    )


def _holds_data(operand: Operand, *, at_top: bool) -> bool:
    if isinstance(operand, Variable):
        # A template to which something else is passed is not gone through.
        return operand.name == "$"
    return at_top and isinstance(operand, Dot)
