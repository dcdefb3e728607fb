"""Any function with any arguments returns a value or one of our errors, which shows nothing."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.templates.builtin_functions import BUILTINS
from secret_sync.templates.calendars import zone_named
from secret_sync.templates.dates import Duration, Location, Month, Time, Weekday
from secret_sync.templates.errors import FunctionError, TemplateError
from secret_sync.templates.functions import Kind
from secret_sync.templates.json_text import write_json
from secret_sync.templates.kinds import described
from secret_sync.templates.library import FUNCTIONS
from secret_sync.templates.printing import printed
from secret_sync.templates.rendering import Rendering
from secret_sync.templates.values import DocumentNumber, Int64, Missing, Uint8
from secret_sync.templates.versions import SemanticVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.templates.functions import Function

PLANTED = b"PLANTED"
STRINGS = [
    b"",
    b"a",
    PLANTED,
    b"\xff\x00PLANTED",
    b"a.b.#",
    b"-1",
    b"1e400",
    b"0x1p-9999",
    b"9" * 5000,
    b"2006-01-02",
    b"PLANTED 2006 MST Z07:00 .000",
    b"12h",
    b"(PLANTED",
    b"[a-z]*",
    b'{"PLANTED":[1,{"a":null}]}',
    b'{"PLANTED":1,"PLANTED":2}',
    b"a=b\nPLANTED",
    b"http://u:PLANTED@h:x",
    b"1.2.3-PLANTED",
    b">=1.2, <PLANTED",
    b"Asia/Shanghai",
    b"PLANTED/../x",
    "é 漢".encode() + b"\xe2\x82",
    b"YWJj",
    b"$1${n}$",
    b"\n" * 50,
    b"\\",
    b"%zz",
    b"GMT-5",
]
ZONE = zone_named("Asia/Kolkata")
SEEDS = range(40)
CALLS = 150


class Arguments:
    """Random arguments, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of(self, kind: Kind) -> Any:
        makers: dict[Kind, Callable[[], Any]] = {
            Kind.ANY: self.a_value,
            Kind.STRING: self.a_string,
            Kind.INT: self.an_int,
            Kind.INT64: lambda: Int64(self.an_int()),
            Kind.UINT8: lambda: Uint8(3),
            Kind.FLOAT: self.a_float,
            Kind.BOOL: lambda: self.random.random() < 0.5,
            Kind.LIST: lambda: self.a_list(2),
            Kind.MAP: lambda: self.a_map(2),
            Kind.TIME: self.a_time,
        }
        return makers[kind]()

    def a_string(self) -> bytes:
        text = self.random.choice(STRINGS)
        return text + self.random.choice(STRINGS) if self.random.random() < 0.2 else text

    def an_int(self) -> int:
        return self.random.choice([0, 1, 2, -1, 10, 10**6, 2**63 - 1, -(2**63)])

    def a_float(self) -> float:
        infinite = float("inf")
        return self.random.choice(
            [0.0, -0.0, 1.5, -infinite, float("nan"), 1e308, DocumentNumber(b"1.50")]
        )

    def a_time(self) -> Time:
        seconds = self.random.choice([0, 10**9, -(10**11), 10**15, 2**62])
        assert ZONE is not None
        return Time(seconds, self.random.choice([0, 5 * 10**8]), ZONE)

    def a_list(self, levels: int) -> list[Any]:
        return [self.a_value(levels - 1) for _ in range(self.random.randint(0, 4))]

    def a_map(self, levels: int) -> dict[bytes, Any]:
        return {self.a_string(): self.a_value(levels - 1) for _ in range(self.random.randint(0, 3))}

    def a_value(self, levels: int = 2) -> Any:
        makers: list[Callable[[], Any]] = [
            self.a_string,
            self.an_int,
            self.a_float,
            self.a_time,
            lambda: Int64(self.an_int()),
            lambda: True,
            lambda: None,
            lambda: Missing("it is missing"),
            lambda: Duration(self.an_int()),
            lambda: self.random.choice([Month(3), Weekday(0), Uint8(7), 1 + 2j]),
            lambda: SemanticVersion(1, 2, 3, "rc.1"),
        ]
        if levels > 0:
            makers += [lambda: self.a_list(levels), lambda: self.a_map(levels)] * 2
        return self.random.choice(makers)()


def everything() -> list[tuple[Function, list[Any]]]:
    """Return functions, and methods with a value that has them."""
    assert ZONE is not None
    owners: list[Any] = [
        Duration(90),
        Month(2),
        Weekday(1),
        Location(ZONE),
        SemanticVersion(1, 0, 7, "rc.1"),
        Time(10**9, 5, ZONE),
    ]
    methods = [(method, [owner]) for owner in owners for method in owner.methods.values()]
    functions = {**BUILTINS.functions, **FUNCTIONS}
    return [(function, []) for function in functions.values()] + methods


EVERYTHING = everything()


def outcome(call: Callable[[], Any]) -> tuple[Any, str]:
    """Return what the call returns, and the message of one of our errors."""
    try:
        return call(), ""
    except FunctionError as error:
        return None, error.message
    except TemplateError as error:
        return None, str(error)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_call_returns_a_value_or_one_of_our_errors(seed: int) -> None:
    arguments = Arguments(seed)
    messages = []
    for _ in range(CALLS):
        function, given = arguments.random.choice(EVERYTHING)
        given = given + [arguments.of(kind) for kind in function.parameters]
        if function.rest is not None:
            given += [arguments.of(function.rest) for _ in range(arguments.random.randint(0, 3))]
        rendering = Rendering("uid", 1_700_000_000, {})
        value, message = outcome(partial(function.run, rendering, *given))
        messages.append(message)
        assert described(value)
        for write in (printed, write_json):
            _, message = outcome(partial(write, value, rendering.budget))
            # A missing value may name the closest key of a map.
            messages.append("" if value.__class__ is Missing else message)
    assert any(messages)
    assert [message for message in messages if "PLANTED" in message] == []
