"""``ExpressionCompiler``: each generation of an object is compiled once, beside the loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret import expressions as module
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.parse.rules import compile_regex
from secret_sync.queue import TimeSlicedWorker
from secret_sync.resources import Reason
from tests.unit.controller.extracting import an_es, extract, pick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.queue import Priority
    from secret_sync.resources import ExternalSecret

KEY = "ns/some"
HEAVY = an_es(dataProcess=[extract("db", (r"[\pL\pN]{10}7", "x"), ("(", "y"))])


class CompilerHarness:
    """A compiler, its worker, and the objects that were enqueued."""

    def __init__(self) -> None:
        self.worker = TimeSlicedWorker()
        self.compiler = ExpressionCompiler(self.worker, self._enqueue)
        self.enqueued: list[str] = []
        self._changed = asyncio.Event()

    def _enqueue(self, keys: Iterable[str], _priority: Priority) -> None:
        self.enqueued += keys
        self._changed.set()

    async def work(self) -> None:
        """Until an object is enqueued."""
        task = asyncio.create_task(self.worker.run())
        async with asyncio.timeout(10):
            await self._changed.wait()
        self._changed.clear()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The regular expressions that were compiled."""
    log: list[str] = []

    def compiling(source: str) -> object:
        log.append(source)
        return compile_regex(source)

    monkeypatch.setattr("secret_sync.parse.expressions.compile_regex", compiling)
    return log


async def test_large_expressions_are_compiled_off_the_loop(compiled: list[str]) -> None:
    harness = CompilerHarness()
    assert harness.compiler.check(HEAVY) is None
    assert harness.compiler.check(HEAVY) is None
    assert not compiled
    await harness.work()
    assert harness.enqueued == [KEY]
    problems = harness.compiler.check(HEAVY)
    assert problems is not None
    assert problems[0].reason is Reason.INVALID_REGEX
    assert problems[0].message.startswith("entry 'db': ")


async def test_a_generation_is_compiled_once(compiled: list[str]) -> None:
    harness = CompilerHarness()
    fine = an_es(dataProcess=[extract("db", ("[a-z]{3}", "x"))])
    harness.compiler.check(fine)
    await harness.work()
    for _ in range(3):
        assert harness.compiler.check(fine) == {}
        harness.compiler.of(KEY).regex("[a-z]{3}")
    assert compiled == ["[a-z]{3}"]
    assert harness.compiler.check(replace(fine, generation=2)) is None
    await harness.work()
    assert len(compiled) == 2


@pytest.mark.parametrize(
    "es",
    [
        an_es(data=[{"key": "a"}]),
        an_es(data=[pick(a="b.c[0]")]),
        an_es(dataProcess=[extract("db", ("^db_", ""))]),
    ],
    ids=["plain", "a short path", "a plain rule"],
)
def test_small_expressions_are_checked_at_once(es: ExternalSecret) -> None:
    harness = CompilerHarness()
    assert harness.compiler.check(es) == {}
    assert not len(harness.worker)


async def test_an_object_that_is_gone_leaves_nothing_behind() -> None:
    harness = CompilerHarness()
    harness.compiler.check(HEAVY)
    harness.compiler.forget(KEY)
    assert not len(harness.worker)
    es = an_es(dataProcess=[extract("db", ("[a-z]{3}", "x"))])
    harness.compiler.check(es)
    await harness.work()
    assert harness.compiler.of(KEY).size > 0
    harness.compiler.forget(KEY)
    assert harness.compiler.of(KEY).size == 0
    assert harness.compiler.check(es) is None, "it is checked again"


async def test_compiled_expressions_of_all_objects_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CAPACITY", 2 * 256 * 1024)
    harness = CompilerHarness()

    async def compile_(number: int) -> None:
        es = replace(an_es(dataProcess=[extract("db", ("[a-z]{3}", "x"))]), name=f"some{number}")
        harness.compiler.check(es)
        await harness.work()
        assert harness.compiler.check(es) == {}

    def kept() -> list[int]:
        return [number for number in range(5) if harness.compiler.of(f"ns/some{number}").size]

    for number in range(4):
        await compile_(number)
    assert kept() == [2, 3]
    # What is forgotten leaves its room to others.
    harness.compiler.forget("ns/some3")
    await compile_(4)
    assert kept() == [2, 4]
    # It is compiled again where it is needed.
    assert harness.compiler.of("ns/some0").regex("[a-z]{3}").findall("abc") == ["abc"]


async def test_compilers_that_share_a_worker_do_not_take_each_others_place() -> None:
    """A ClusterExternalSecret and a namespace may have one name."""
    harness = CompilerHarness()
    others: list[str] = []
    other = ExpressionCompiler(harness.worker, lambda keys, _: others.extend(keys))
    assert harness.compiler.check(HEAVY) is None
    assert other.check(HEAVY) is None
    other.forget(KEY)
    await harness.work()
    assert harness.enqueued == [KEY]
    assert others == []
