"""Templates of hostile tenants: what they make is bounded, and they end and hold up nobody."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret import document_processor as module
from secret_sync.controller.external_secret.rendering import TemplateInput
from tests.unit.controller.extracting import an_es, batch_of
from tests.unit.controller.processing import KEY, ProcessorHarness, data_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def harness() -> AsyncIterator[ProcessorHarness]:
    async with ProcessorHarness().running() as running:
        yield running


ENDLESS = an_es(target={"template": {"data": {"k": '{{ repeat 1040000 "a" }}'}}})


async def test_results_that_nobody_takes_are_bounded(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPACITY", 3 * module.RESERVED)
    keys = [f"ns/{number}" for number in range(12)]
    for key in keys:
        assert harness.build_desired(ENDLESS, key=key) is None
    for _ in range(3):
        await harness.wait()
    assert len(harness.worker) == 0
    # Those that are reconciled meanwhile start nothing, in whatever namespace.
    for key in keys[3:]:
        assert harness.build_desired(ENDLESS, key=key) is None
    assert len(harness.worker) == 0
    assert len(harness.processor) == 9
    monkeypatch.setattr(module, "PARKED_FOR", 60)
    # Nothing is in the thread: one of them tries again, not all of them.
    await asyncio.sleep(1.1)
    assert len(harness.processor) == 8
    assert data_of(harness.build_desired(ENDLESS, key=keys[0])) == {"k": b"a" * 1040000}
    assert keys[4] in harness.enqueued
    assert harness.build_desired(ENDLESS, key=keys[4]) is None
    assert len(harness.worker) == 1
    for key in keys:
        harness.forget(key)
    assert "0 waiting, 0 bytes" in repr(harness.processor)


async def test_results_of_many_namespaces_are_bounded(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPACITY", module.RESERVED)
    for namespace in "ab":
        assert harness.build_desired(ENDLESS, key=f"{namespace}/x") is None
        await harness.wait()
    assert harness.build_desired(ENDLESS, key="c/x") is None
    assert len(harness.worker) == 0
    harness.forget("a/x")
    assert harness.build_desired(ENDLESS, key="c/x") is None
    assert len(harness.worker) == 1


def test_texts_of_references_count() -> None:
    assert ENDLESS.template is not None
    template = TemplateInput(ENDLESS.template, "u", texts={("Secret", "a", "b"): b"12345"})
    inputs = replace(
        batch_of(an_es(data=[{"key": "db", "name": "password"}]), b"123"), template=template
    )
    assert inputs.size == 8


async def test_hashes_of_the_time_are_asked_for_once(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1_000_000, 2_000_000))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    es = an_es(target={"template": {"data": {"k": "{{ bcrypt (now | unixEpoch | toString) 4 }}"}}})
    made = harness.build_desired(es)
    # Once for the hash, once for what is rendered with it.
    for _ in range(2):
        assert made is None
        await harness.wait()
        made = harness.build_desired(es)
    data = data_of(made)
    assert data is not None
    assert data["k"].startswith(b"$2")
    assert harness.states.of(KEY).asked_at is None


GROWING = "{{$x := print .a .a .a .a .a .a .a .a}}{{$x = print $x $x $x $x}}{{if html $x}}b{{end}}"


@pytest.mark.parametrize(
    "text",
    [GROWING, "{{ .a" + " | quote" * 5 + " | len }}", "{{ .a }}" * 20],
    ids=["variables", "nested functions", "a long result"],
)
async def test_rendering_that_turns_out_to_be_slow_leaves_the_loop(
    harness: ProcessorHarness, text: str
) -> None:
    es = an_es(
        data=[{"key": "db", "name": "a"}],
        target={"template": {"data": {"k": text}}},
    )
    # Small values are rendered at once.
    assert data_of(harness.build_desired(es, b"x")) is not None
    value = b'"' * 4000
    assert harness.build_desired(es, value) is None
    assert len(harness.worker) == 1
    await harness.wait()
    assert data_of(harness.build_desired(es, value)) is not None
