"""``DocumentProcessor``: what is quick is done at once, the rest beside the control loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.controller.external_secret import document_processor as module
from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.extraction import (
    ExtractionError,
    extract_all,
    extract_all_steps,
)
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.resources import Reason
from secret_sync.templates import engine
from tests.unit.controller.extracting import (
    UNREAD,
    an_es,
    batch_of,
    extract,
    pick,
    plan_of,
    reading,
)
from tests.unit.controller.processing import KEY, HeldExtraction, ProcessorHarness, data_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.controller.external_secret.extraction import ExtractedData, ExtractionInput
    from secret_sync.parse import Expressions, Steps
    from secret_sync.resources import ExternalSecret

EXTRACTING = an_es(dataProcess=[extract()])
PLAIN = an_es(data=[{"key": "db", "name": "password"}])
QUICK = b'{"user": "app"}'
# Nobody knows how long YAML takes before it is read.
SLOW = b"user: app\n"


@pytest.fixture
async def harness() -> AsyncIterator[ProcessorHarness]:
    async with ProcessorHarness().running() as running:
        yield running


@pytest.fixture
def extraction(monkeypatch: pytest.MonkeyPatch) -> HeldExtraction:
    made = HeldExtraction()
    monkeypatch.setattr(module, "extract_all_steps", made)
    return made


TEMPLATED = an_es(
    data=[{"key": "db", "name": "user"}],
    target={"template": {"data": {"a": "x{{ .user }}"}, "metadata": {"labels": {"l": "v"}}}},
)


async def test_nothing_is_rendered_while_no_input_changed(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    render = engine.Template.render

    def noted(self: engine.Template, *given: Any) -> bytes:
        rendered.append("")
        return render(self, *given)

    monkeypatch.setattr(engine.Template, "render", noted)
    first = harness.build_desired(TEMPLATED, b"1")
    assert data_of(first) == {"a": b"x1"}
    again = harness.build_desired(TEMPLATED, b"1")
    assert isinstance(first, Desired)
    assert isinstance(again, Desired)
    assert again.data is None
    assert again.fields == {"a", "labels/l"}
    assert again.fingerprint == first.fingerprint
    assert len(rendered) == 2
    changed = harness.build_desired(TEMPLATED, b"2")
    assert data_of(changed) == {"a": b"x2"}


# -- At once ------------------------------------------------------------------------------


def test_nothing_is_known_before_all_was_read_once() -> None:
    harness, readings = ProcessorHarness(), [UNREAD]
    ctx = harness.context(KEY, EXTRACTING)
    assert harness.processor.build_desired(ctx, plan_of(EXTRACTING), readings) == (None, None)


@pytest.mark.parametrize(
    ("es", "value", "data"),
    [
        (PLAIN, b"hunter2", {"password": b"hunter2"}),
        # Plain bytes are never looked at, however many they are.
        (PLAIN, b"- " * 100_000, {"password": b"- " * 100_000}),
        (EXTRACTING, QUICK, {"user": b"app"}),
        (an_es(data=[pick(name="user")]), QUICK, {"name": b"app"}),
    ],
    ids=["plain", "plain and large", "extracted", "picked"],
)
async def test_small_document_is_parsed_at_once(
    harness: ProcessorHarness, es: ExternalSecret, value: bytes, data: dict[str, bytes]
) -> None:
    assert data_of(harness.build_desired(es, value)) == data
    await asyncio.sleep(0)
    assert not harness.enqueued
    assert len(harness.processor) == 0


async def test_error_of_a_small_document_is_returned_at_once(harness: ProcessorHarness) -> None:
    made = harness.build_desired(EXTRACTING, b'["a"]')
    assert isinstance(made, ExtractionError)
    assert made.problem.reason is Reason.NOT_A_DOCUMENT
    assert harness.build_desired(EXTRACTING, b'["a"]') is made


async def test_values_that_no_secret_holds_together_are_refused_as_they_are(
    harness: ProcessorHarness,
) -> None:
    es = an_es(data=[{"key": "one"}, {"key": "two"}])
    values = b"x" * 600_000, b"y" * 600_001
    made = harness.build_desired(es, *values)
    assert isinstance(made, ExtractionError)
    assert (made.index, made.problem.reason) == (None, Reason.TOO_LARGE)
    assert "the largest is 'two' with 600001" in made.problem.message
    assert harness.values(batch_of(es, *values)) == made
    # It cannot be known before they are there.
    assert isinstance(
        harness.build_desired(es, values[0], reading(values[1], in_hand=False)), Desired
    )


async def test_known_input_is_not_extracted_again(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = harness.build_desired(EXTRACTING, QUICK)
    assert isinstance(first, Desired)
    monkeypatch.setattr(module, "extract_all_steps", None)
    again = harness.build_desired(EXTRACTING, QUICK)
    assert isinstance(again, Desired)
    # Most often the values are not needed, and so they are not kept.
    assert again.data is None
    assert (again.fingerprint, again.keys) == (first.fingerprint, first.keys)


async def test_the_values_of_a_known_batch_are_made_when_they_are_needed(
    harness: ProcessorHarness,
) -> None:
    harness.build_desired(EXTRACTING, QUICK)
    inputs = batch_of(EXTRACTING, QUICK)
    assert data_of(harness.values(inputs)) == {"user": b"app"}
    assert data_of(harness.values(batch_of(PLAIN, b"x"))) == {"password": b"x"}


@pytest.mark.parametrize("value", [QUICK, SLOW])
async def test_known_extraction_does_not_need_the_value(
    harness: ProcessorHarness, value: bytes
) -> None:
    absent = reading(value, in_hand=False)
    # Neither known nor cached: it has to be fetched.
    assert harness.build_desired(EXTRACTING, absent) is None
    assert len(harness.processor) == 0
    harness.build_desired(EXTRACTING, value)
    if value is SLOW:
        await harness.wait()
    harness.build_desired(EXTRACTING, value)
    made = harness.build_desired(EXTRACTING, absent)
    assert isinstance(made, Desired)
    assert made.keys == {"user"}
    assert made.data is None
    assert [source.name for source in made.absent] == ["db"]


@pytest.mark.parametrize(
    ("es", "value"),
    [(EXTRACTING, b'{"user": "other"}'), (an_es(data=[pick(x="user")]), QUICK)],
    ids=["another value", "another spec"],
)
async def test_another_batch_is_another_secret(
    harness: ProcessorHarness, es: ExternalSecret, value: bytes
) -> None:
    first = harness.build_desired(EXTRACTING, QUICK)
    second = harness.build_desired(es, value)
    assert isinstance(first, Desired)
    assert isinstance(second, Desired)
    assert second.data is not None
    assert second.fingerprint != first.fingerprint


# -- In the thread ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("es", "value"),
    [
        (EXTRACTING, SLOW),
        (EXTRACTING, b'{"user": "app", "x": "' + b"y" * 5000 + b'"}'),
        (an_es(data=[pick(user="sort(users)[0]")]), b'{"users": ["b", "app"]}'),
    ],
    ids=["YAML", "a large document", "a path that may take long"],
)
async def test_large_document_is_parsed_off_the_loop_and_the_object_enqueued(
    harness: ProcessorHarness, es: ExternalSecret, value: bytes
) -> None:
    assert harness.build_desired(es, value) is None
    assert len(harness.processor) == 1
    await harness.wait()
    assert harness.enqueued == [KEY]
    assert len(harness.processor) == 0
    made = data_of(harness.build_desired(es, value))
    assert made is not None
    assert made["user"] == b"app"
    # Returned once: the caller needs no second copy.
    assert data_of(harness.build_desired(es, value)) is None
    assert harness.enqueued == [KEY]


async def test_extraction_error_is_reported_and_remembered(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    extraction.let.release()
    assert harness.build_desired(EXTRACTING, b"- a\n- b\n") is None
    await harness.wait()
    for _ in range(2):
        made = harness.build_desired(EXTRACTING, b"- a\n- b\n")
        assert isinstance(made, ExtractionError)
        assert made.problem.reason is Reason.NOT_A_DOCUMENT
    assert len(extraction.batches) == 1


async def test_concurrent_requests_share_one_extraction(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    for _ in range(3):
        assert harness.build_desired(EXTRACTING, SLOW) is None
        await asyncio.sleep(0.01)
    extraction.let.release()
    await harness.wait()
    assert data_of(harness.build_desired(EXTRACTING, SLOW)) == {"user": b"app"}
    assert len(extraction.batches) == 1
    assert harness.enqueued == [KEY]


async def test_a_newer_batch_takes_the_place_of_one_that_waits(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    harness.build_desired(EXTRACTING, SLOW, key="ns/first")
    await asyncio.sleep(0.01)
    harness.build_desired(EXTRACTING, b"user: old\n")
    harness.build_desired(EXTRACTING, b"user: new\n")
    assert len(harness.processor) == 2
    extraction.let.release(2)
    await harness.wait()
    await harness.wait()
    assert data_of(harness.build_desired(EXTRACTING, b"user: new\n")) == {"user": b"new"}
    assert len(extraction.batches) == 2


async def test_a_newer_batch_takes_the_place_of_one_that_is_being_made(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    harness.build_desired(EXTRACTING, b"user: old\n")
    await asyncio.sleep(0.01)
    harness.build_desired(EXTRACTING, b"user: new\n")
    extraction.let.release(2)
    await harness.wait()
    # Nobody hears of the old one.
    assert harness.enqueued == [KEY]
    assert data_of(harness.build_desired(EXTRACTING, b"user: new\n")) == {"user": b"new"}


async def test_a_quick_batch_takes_the_place_of_a_slow_one(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    harness.build_desired(EXTRACTING, SLOW)
    await asyncio.sleep(0.01)
    extraction.let.release(2)  # one for each
    assert data_of(harness.build_desired(EXTRACTING, b'{"user": "new"}')) == {"user": b"new"}
    harness.build_desired(EXTRACTING, SLOW, key="ns/next")
    extraction.let.release()
    await harness.wait()
    assert harness.enqueued == ["ns/next"]
    assert data_of(harness.build_desired(EXTRACTING, b'{"user": "new"}')) is None


async def test_result_of_another_input_is_not_returned(harness: ProcessorHarness) -> None:
    harness.build_desired(EXTRACTING, SLOW)
    await harness.wait()
    assert data_of(harness.build_desired(EXTRACTING, QUICK)) == {"user": b"app"}
    # And it is not kept for later.
    assert "0 bytes" in repr(harness.processor)


async def test_extractions_run_in_order_of_arrival(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    for number in range(3):
        harness.build_desired(EXTRACTING, f"n: {number}\n".encode(), key=f"ns/{number}")
    await asyncio.sleep(0.05)
    assert len(extraction.batches) == 1
    extraction.let.release(3)
    while len(harness.enqueued) < 3:
        await harness.wait()
    assert harness.enqueued == ["ns/0", "ns/1", "ns/2"]


@pytest.mark.parametrize("when", ["waiting", "being made", "finished"])
async def test_forgotten_object_leaves_nothing_behind(
    harness: ProcessorHarness, extraction: HeldExtraction, when: str
) -> None:
    harness.build_desired(EXTRACTING, SLOW)
    if when == "being made":
        await asyncio.sleep(0.01)
        assert extraction.batches
    if when == "finished":
        extraction.let.release()
        await harness.wait()
    before = len(harness.enqueued)
    harness.forget(KEY)
    # The next job shows that the processor is done with it.
    harness.build_desired(EXTRACTING, SLOW, key="ns/next")
    extraction.let.release(3)
    await harness.wait()
    assert harness.enqueued[before:] == ["ns/next"]
    assert len(harness.processor) == 0
    assert harness.states.of(KEY) == SyncState()
    assert harness.build_desired(EXTRACTING, SLOW) is None


async def test_the_loop_goes_on_meanwhile(
    harness: ProcessorHarness, extraction: HeldExtraction
) -> None:
    harness.build_desired(EXTRACTING, SLOW)
    await asyncio.sleep(0.01)
    assert data_of(harness.build_desired(PLAIN, b"x", key="ns/plain")) == {"password": b"x"}
    extraction.let.release()
    await harness.wait()
    assert harness.enqueued == [KEY]


async def test_nothing_that_it_says_of_itself_is_a_value(harness: ProcessorHarness) -> None:
    harness.build_desired(EXTRACTING, b"user: hunter2\n")
    assert repr(harness.processor) == "<DocumentProcessor 1 waiting, 1048590 bytes>"
    await harness.wait()
    assert " 0 bytes" not in repr(harness.processor)
    assert "hunter2" not in repr(harness.states.of(KEY))


DOCUMENTS = st.sampled_from([b'{"v": 1}', b'{"v": 2}', b"v: 3\n", b"v: 4\n", b"- broken\n"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(DOCUMENTS, st.booleans()), min_size=1, max_size=8))
def test_last_input_is_the_one_that_is_extracted(
    arrivals: list[tuple[bytes, bool]],
) -> None:
    async def scenario() -> None:
        async with ProcessorHarness().running() as harness:
            made: Desired | ExtractionError | None = None
            for document, pause in arrivals:
                made = harness.build_desired(EXTRACTING, document)
                if pause:
                    await asyncio.sleep(0.002)
            last = arrivals[-1][0]
            while made is None:
                await harness.wait()
                made = harness.build_desired(EXTRACTING, last)
            expected = extract_all(batch_of(EXTRACTING, last))
            if isinstance(expected, ExtractionError):
                assert made == expected
                return
            while isinstance(made, Desired) and made.data is None:
                # As the control loop does where the values are needed.
                made = harness.values(batch_of(EXTRACTING, last))
                while made is None:
                    await harness.wait()
                    made = harness.build_desired(EXTRACTING, last)
            assert data_of(made) == expected.data

    asyncio.run(scenario())


def test_processor_works_the_same_on_uvloop() -> None:
    async def scenario() -> dict[str, bytes] | None:
        async with ProcessorHarness().running() as harness:
            assert harness.build_desired(EXTRACTING, SLOW) is None
            await harness.wait()
            return data_of(harness.build_desired(EXTRACTING, SLOW))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scenario()) == {"user": b"app"}


# -- Whatever comes -----------------------------------------------------------------------


async def test_extraction_error_names_the_entry_by_its_current_key(
    harness: ProcessorHarness,
) -> None:
    harness.build_desired(an_es(dataProcess=[extract("before")]), b"[]")
    made = harness.build_desired(an_es(dataProcess=[extract("after")]), b"[]")
    assert isinstance(made, ExtractionError)
    assert "'after'" in made.problem.message


async def test_a_document_that_nobody_reckoned_with_stops_nothing_else(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(
        inputs: ExtractionInput, expressions: Expressions
    ) -> Steps[ExtractedData | ExtractionError]:
        yield
        if any(b"poison" in (i.data or b"") for i in inputs.entries):
            raise RecursionError
        return (yield from extract_all_steps(inputs, expressions))

    monkeypatch.setattr(module, "extract_all_steps", poisoned)
    harness.build_desired(EXTRACTING, b"poison: 1\n", key="ns/poisoned")
    harness.build_desired(EXTRACTING, SLOW)
    await harness.wait()
    await harness.wait()
    assert harness.enqueued == ["ns/poisoned", KEY]
    assert data_of(harness.build_desired(EXTRACTING, SLOW)) == {"user": b"app"}
    assert isinstance(
        harness.build_desired(EXTRACTING, b"poison: 1\n", key="ns/poisoned"), ExtractionError
    )


def test_many_small_documents_are_one_large_one() -> None:
    # Each would be quick; how many there are is for whoever writes the object.
    document = b'{"a": "' + b"x" * 1000 + b'"}'
    for number, quick in ((3, True), (5, False)):
        es = an_es(dataProcess=[extract()] * number)
        values = [document.replace(b"x", str(n).encode()) for n in range(number)]
        made = ProcessorHarness().build_desired(es, *values)
        assert (made is not None) is quick
