from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from secret_sync import logs
from secret_sync.errors import SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Lines: TypeAlias = Callable[[], list[dict[str, Any]]]

SECRET = "s3cret-value"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is global: leave it as it was found."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The JSON lines written since the last call."""
    # Not capsys: pytest closes its streams between a fixture and its test.
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        logs.configure("info", "json")

    def lines() -> list[dict[str, Any]]:
        # The wrapper goes with the last reference to it, and takes its buffer along.
        assert not stream.closed
        written = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return [json.loads(line) for line in written.splitlines()]

    return lines


def leak() -> None:
    password = SECRET
    json.loads(f'{{"password": {password}')


def failure() -> TransientError:
    """Return an error of ours that was raised from one that quotes a secret."""

    def convert() -> None:
        try:
            leak()
        except ValueError as error:
            raise TransientError("the answer is not JSON", code="BadAnswer") from error

    with pytest.raises(TransientError) as caught:
        convert()
    return caught.value


# -- JSON lines ---------------------------------------------------------------------------


def test_a_line_has_time_level_event_logger_and_context(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(reconcile_id="c0ffee", key="ns/app")
    structlog.get_logger("secret_sync.kube").info("synced", keys=2)
    (line,) = lines()
    when = datetime.fromisoformat(line.pop("timestamp"))
    assert when.utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "event": "synced",
        "logger": "secret_sync.kube",
        "reconcile_id": "c0ffee",
        "key": "ns/app",
        "keys": 2,
    }


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    log = structlog.get_logger("x")
    log.debug("not this")
    log.warning("this")
    assert [line["event"] for line in lines()] == ["this"]


@pytest.mark.parametrize(
    "value",
    ["\ud800", {1: "a"}, {("a", b"s3cret-value"): 1}, 2**70, object, {"nested": {"x": 2**70}}],
    ids=repr,
)
def test_a_value_json_does_not_know_loses_no_line(value: object, lines: Lines) -> None:
    structlog.get_logger("x").info("odd", value=value)
    (line,) = lines()
    assert line["event"] == "odd"
    assert SECRET not in str(line)


# -- No value leaks -----------------------------------------------------------------------


@dataclass
class Credentials:
    key_id: str
    secret: str = field(repr=False)


@pytest.mark.parametrize(
    "value",
    [
        SECRET.encode(),
        bytearray(SECRET.encode()),
        memoryview(SECRET.encode()),
        ValueError(SECRET),
        [ValueError(SECRET), SECRET.encode()],
        {"cause": ValueError(SECRET)},
        {SECRET.encode()},
        Credentials("id", SECRET),
        [Credentials("id", SECRET)],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_value_leaks_from_bytes_exceptions_and_dataclasses(
    value: object, form: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    structlog.get_logger("x").info("event", value=value)
    err = capsys.readouterr().err
    assert "event" in err
    assert SECRET not in err


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_value_leaks_from_a_traceback(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form)
    log = structlog.get_logger("x")
    log.error("given", exc_info=failure())
    try:
        leak()
    except ValueError:
        log.exception("current")
        log.info("tuple", exc_info=sys.exc_info())
        logging.getLogger("lib").exception("library: %s", sys.exc_info()[1])
    err = capsys.readouterr().err
    assert SECRET not in err
    assert "password" not in err, "no source lines"
    assert err.count("json.decoder.JSONDecodeError") >= 4
    assert "the answer is not JSON" in err


def test_no_value_leaks_from_what_asyncio_logs(lines: Lines) -> None:
    async def fail() -> None:
        raise ValueError(SECRET)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(int, SECRET)
        task: asyncio.Task[None] | None = asyncio.create_task(fail())
        await asyncio.sleep(0.01)
        assert task is not None
        del task

    asyncio.run(main())
    written = lines()
    assert SECRET not in str(written)
    assert [line["event"] for line in written] == [
        "Exception in callback int",
        "Task exception was never retrieved",
    ]
    assert all("ValueError" in line["exception"] for line in written)


# -- Exceptions ---------------------------------------------------------------------------


def test_an_exception_is_types_places_and_our_messages() -> None:
    text = logs.describe_exception(failure()).splitlines()
    assert text[0] == "TransientError: the answer is not JSON [BadAnswer]"
    places = "\n".join(text)
    assert "\ncaused by json.decoder.JSONDecodeError\n" in places
    assert re.search(r"^  unit/test_logs\.py:\d+ leak$", places, re.MULTILINE)


def test_a_group_shows_its_members() -> None:
    group = ExceptionGroup(SECRET, [failure(), ConnectionRefusedError(111, SECRET)])
    text = logs.describe_exception(group)
    assert text.startswith("ExceptionGroup\nmember TransientError: the answer is not JSON")
    assert "\nmember ConnectionRefusedError (ECONNREFUSED)" in text
    assert SECRET not in text


def test_a_suppressed_context_stays_away_and_an_implicit_one_is_shown() -> None:
    def convert(*, suppress: bool) -> None:
        try:
            leak()
        except ValueError:
            if suppress:
                raise SecretSyncError("ours") from None
            raise SecretSyncError("ours")  # noqa: B904 - the implicit chain is the point

    with pytest.raises(SecretSyncError) as suppressed:
        convert(suppress=True)
    with pytest.raises(SecretSyncError) as implicit:
        convert(suppress=False)
    assert "JSONDecodeError" not in logs.describe_exception(suppressed.value)
    assert "caused by json.decoder.JSONDecodeError" in logs.describe_exception(implicit.value)


def test_deep_recursion_and_endless_chains_are_cut() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as deep:
        recurse()
    assert len(logs.describe_exception(deep.value).splitlines()) < 40

    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first
    assert logs.describe_exception(first) == "ValueError\ncaused by ValueError"
    many = ExceptionGroup("x", [ValueError() for _ in range(1000)])
    assert len(logs.describe_exception(many).splitlines()) < 40


# -- Libraries ----------------------------------------------------------------------------


def test_libraries_write_to_the_same_stream_once_and_from_warning_on(lines: Lines) -> None:
    chatty = logging.getLogger("kubernetes_asyncio.client.rest")
    chatty.setLevel(logging.DEBUG)
    try:
        chatty.debug("response body: %s", SECRET)
        chatty.info("request")
        chatty.warning("%(what)s is odd", {"what": "it"})
    finally:
        chatty.setLevel(logging.NOTSET)
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == (
        "it is odd",
        "warning",
        "kubernetes_asyncio.client.rest",
    )


def test_records_that_do_not_format_or_are_no_text(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    # pytest's own handlers, which come with the test, trip over such a record.
    ours = [handler for handler in root.handlers if type(handler).__module__ == logs.__name__]
    assert len(ours) == 1
    monkeypatch.setattr(root, "handlers", ours)
    log = logging.getLogger("lib")
    log.warning("%d items", SECRET.encode())
    log.error(ValueError(SECRET))
    log.critical("100%")
    assert [(line["event"], line["level"]) for line in lines()] == [
        ("%d items", "warning"),
        ("ValueError", "error"),
        ("100%", "error"),
    ]


def test_configuring_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logs.configure("debug", "json")
    logging.getLogger("lib").warning("once")
    logging.getLogger("lib").info("never, whatever our own level is")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_sdk_loggers_lose_their_handlers(lines: Lines) -> None:
    for name in ("darabonba-core", "alibabacloud-tea"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    logs.adopt_sdk_loggers()
    for name in ("darabonba-core", "alibabacloud-tea"):
        logging.getLogger(name).debug("GET /?Signature=%s", SECRET)
        logging.getLogger(name).warning("retrying")
    assert [line["event"] for line in lines()] == ["retrying", "retrying"]


# -- Console ------------------------------------------------------------------------------


def test_console_keeps_a_line_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "console")
    structlog.get_logger("x").info("synced", name="a\nlevel=error \x1b[2J", keys=["a", "b"], n=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "synced" in line
    assert "\x1b" not in line
    assert '["a","b"]' in line
    assert "n=1" in line


def test_auto_is_json_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "auto")
    structlog.get_logger("x").info("synced")
    assert json.loads(capsys.readouterr().err)["event"] == "synced"


def test_auto_is_for_people_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs.configure("info", "auto")
    structlog.get_logger("x").info("synced")
    coloured = capsys.readouterr().err
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    structlog.reset_defaults()
    logs.configure("info", "auto")
    structlog.get_logger("x").info("synced")
    assert "\x1b[" not in capsys.readouterr().err
