"""What the parser makes of a template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from secret_sync.templates.constants import NumberConstant
    from secret_sync.templates.functions import Function


@dataclass(slots=True)
class Dot:
    """``.``."""

    position: int


@dataclass(slots=True)
class Nil:
    """``nil``."""

    position: int


@dataclass(slots=True)
class Constant:
    """A string or boolean, or a number, which is untyped.

    Attributes:
        position: Where it is.
        value: `bytes`, `bool`, or the forms of the number.
    """

    position: int
    value: bytes | bool | NumberConstant


@dataclass(slots=True)
class FieldChain:
    """``.a.b``, ``$x.a`` or ``(pipeline).a``.

    Attributes:
        position: Of the first field, or of the variable or parenthesis.
        base: What the fields are read from.
        names: The fields; none for a variable alone.
    """

    position: int
    base: Operand
    names: list[str]


@dataclass(slots=True)
class Variable:
    """``$x``; the name of ``$`` is empty."""

    position: int
    name: str


@dataclass(slots=True)
class Call:
    """The name of a function; its arguments are the other operands of the command."""

    position: int
    function: Function


@dataclass(slots=True)
class Command:
    """An operand with arguments: ``printf "%s" .a``."""

    position: int
    operands: list[Operand]


@dataclass(slots=True)
class Pipeline:
    """Commands; the value of each becomes the last argument of the next one.

    Attributes:
        position: Where it begins.
        variables: The variables that get the value.
        assigns: Whether they exist already (``=`` instead of ``:=``).
        commands: At least one.
    """

    position: int
    variables: list[str] = field(default_factory=list)
    assigns: bool = False
    commands: list[Command] = field(default_factory=list)


#: What is a value.
Operand: TypeAlias = Dot | Nil | Constant | FieldChain | Variable | Call | Pipeline


@dataclass(slots=True)
class Text:
    """What is written as it is."""

    text: bytes


@dataclass(slots=True)
class Output:
    """A pipeline whose value is written, unless it declares or assigns variables."""

    pipeline: Pipeline


@dataclass(slots=True)
class Branch:
    """``if`` or ``with`` and what follows it, up to ``else`` or ``end``."""

    pipeline: Pipeline
    body: list[Statement]


@dataclass(slots=True)
class Choice:
    """``if`` or ``with``: the first branch whose value is true.

    Attributes:
        sets_dot: Whether it is a ``with``.
        branches: One, and one for each ``else if``.
        otherwise: What follows ``else``.
    """

    sets_dot: bool
    branches: list[Branch]
    otherwise: list[Statement]


@dataclass(slots=True)
class Range:
    """``range``."""

    pipeline: Pipeline
    body: list[Statement]
    otherwise: list[Statement]


@dataclass(slots=True)
class TemplateCall:
    """``template`` or ``block``.

    Attributes:
        position: Where it is.
        name: Of the template.
        pipeline: What is ``.`` in it.
        depth: How many blocks of the same body it is in.
    """

    position: int
    name: bytes
    pipeline: Pipeline | None
    depth: int


@dataclass(slots=True)
class Jump:
    """``break`` or ``continue``."""

    leaves: bool


#: What writes something.
Statement: TypeAlias = Text | Output | Choice | Range | TemplateCall | Jump


@dataclass(slots=True)
class Body:
    """The statements of a template.

    Attributes:
        statements: What it consists of.
        depth: The deepest nesting in it.
    """

    statements: list[Statement]
    depth: int


def is_blank(statements: list[Statement]) -> bool:
    """Return whether the statements are white space only."""
    return all(
        isinstance(statement, Text) and not statement.text.decode().strip(WHITE_SPACE)
        for statement in statements
    )


#: Unicode's white space, as Go strips it.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
