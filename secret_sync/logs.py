"""Log lines: one stream, one format, and no value of a Secret in any of them.

The message of an exception that is not ours may quote what it choked on (a JSON document, the
bytes that are no UTF-8, a token in a URL), so of those only the type and the place are logged.
"""

from __future__ import annotations

import atexit
import errno
import json
import logging
import os
import re
import sys
import traceback
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal

import orjson

from secret_sync.background import BackgroundWriter
from secret_sync.clock import utc_text_exact
from secret_sync.errors import SecretSyncError
from secret_sync.partial_imports import absent

# For tracebacks, which are written here. Only development environments have it.
with absent("rich"):
    import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict, Processor, WrappedLogger

_MAX_FRAMES: Final = 30
_MAX_EXCEPTIONS: Final = 12

# Importing the Alibaba Cloud SDK gives these a handler and the level DEBUG.
_SDK_LOGGERS: Final = ("darabonba-core", "alibabacloud-tea")

#: Seconds that the end of the process waits for the last lines to be written.
DRAIN_WITHIN: Final = 1.0

_writers: Final[list[BackgroundWriter]] = []


def write_in_background() -> None:
    """Never wait for the reader of standard error; for a long-running process.

    Call it before :func:`configure`. From then on all that is written to ``sys.stderr`` goes
    through a bounded queue, also what the interpreter prints when the process crashes.
    """
    if sys.stderr is None:
        # The process was started without one (``2>&-``).
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open
        return
    writer = BackgroundWriter(sys.stderr.fileno(), on_dropped=_report_dropped)
    _writers[:] = [writer]
    sys.stderr = writer.as_text()
    atexit.register(writer.drain, DRAIN_WITHIN)


def dropped_lines() -> dict[str, int]:
    """Return how many lines were lost so far, by reason."""
    return {
        "queue_full": sum(writer.overflowed for writer in _writers),
        "write_failed": sum(writer.refused for writer in _writers),
    }


def _report_dropped(count: int) -> None:
    structlog.get_logger(__name__).warning("log lines lost", lines=count)


def configure(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["auto", "json", "console"],
) -> None:
    """Send our log lines and those of the libraries to standard error.

    Libraries log from WARNING on, whatever `level` is: below that they log requests and
    responses, bodies included.

    Args:
        level: The lowest level of our own lines.
        form: JSON lines, lines for people, or ``auto``: for people if it is a terminal.
    """
    stream = sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _stamp,
            _make_safe,
            *(_console(colors=stream.isatty()) if console else [_render_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(stream.buffer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.WARNING)


def adopt_sdk_loggers() -> None:
    """Undo what importing the Alibaba Cloud SDK does to logging; call it after the import."""
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def summarize_exception(error: BaseException) -> str:
    """Return one line: the type, and the message if it is ours.

    An `OSError` keeps its symbol (``ECONNREFUSED``), which quotes nothing.
    """
    kind = type(error)
    if isinstance(error, SecretSyncError):
        code = f" [{error.code}]" if error.code else ""
        return f"{kind.__qualname__}: {error.message}{code}"
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    symbol = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    return f"{name} ({symbol})" if symbol else name


def describe_exception(error: BaseException) -> str:
    """Return the exception, its causes and the members of groups, with the places they passed.

    Shape: a summary line, below it a line ``  file:line function`` per frame (innermost last),
    then the same for the next, which begins with ``caused by`` or ``member``. No variables, no
    source lines.
    """
    lines = []
    for role, one in _related(error):
        lines.append(f"{role}{summarize_exception(one)}")
        # Only the numbers: a summary would look up the source lines as well.
        frames = list(traceback.walk_tb(one.__traceback__))
        if len(frames) > _MAX_FRAMES:
            lines.append(f"  ... {len(frames) - _MAX_FRAMES} more")
        for frame, number in frames[-_MAX_FRAMES:]:
            code = frame.f_code
            lines.append(f"  {_short_path(code.co_filename)}:{number} {code.co_qualname}")
    return "\n".join(lines)


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield the exception, its causes and its group members, each once, with its role."""
    seen: set[int] = set()
    todo: list[tuple[str, BaseException]] = [("", error)]
    while todo and len(seen) < _MAX_EXCEPTIONS:
        role, one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield role, one
        if isinstance(one, BaseExceptionGroup):
            todo += [("member ", member) for member in reversed(one.exceptions)]
        cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if cause is not None:
            todo.append(("caused by ", cause))


def _short_path(path: str) -> str:
    """Return the path from the package on."""
    parts = PurePath(path).parts
    for root in ("site-packages", "secret_sync"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at + (root == "site-packages") :])
    return "/".join(parts[-2:])


# -- Processors -------------------------------------------------------------------------------


def _stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = utc_text_exact()
    return event


def _make_safe(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace exceptions and bytes by what may be logged of them."""
    if (error := _exception(event.pop("exc_info", None))) is not None:
        event["exception"] = describe_exception(error)
    for name, value in event.items():
        if isinstance(value, (BaseException, bytes, bytearray, memoryview)):
            event[name] = _presentable(value)
    return event


def _exception(exc_info: object) -> BaseException | None:
    match exc_info:
        case None:
            return None
        case BaseException():
            return exc_info
        case (_, BaseException() as error, TracebackType() | None):
            return error
        case _ if exc_info:
            return sys.exc_info()[1]
    return None


def _presentable(value: object) -> object:
    """Return a stand-in for a value that JSON does not know; also orjson's `default`.

    Dataclasses come here on purpose: orjson would write out the fields that their own
    representation omits.
    """
    match value:
        case BaseException():
            return summarize_exception(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case set() | frozenset():
            return list(value)
        case _:
            return repr(value)


def _dump(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=_presentable, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        # Lone surrogates, keys that are not strings, integers beyond 64 bits: rare, and never a
        # reason to lose the line.
        return json.dumps(_plain(value), default=_presentable).encode()


def _plain(value: object) -> object:
    """Return the value with strings for keys, for the standard library's encoder."""
    match value:
        case dict():
            return {_key(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _key(key: object) -> str:
    match key:
        case str() | int():
            return str(key)
        case tuple():
            return "/".join(map(_key, key))
        case _:
            return str(_presentable(key))


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    first = {name: event.pop(name, None) for name in ("timestamp", "level", "event")}
    return _dump({**first, **event})


def _console(*, colors: bool) -> list[Processor]:
    render = structlog.dev.ConsoleRenderer(colors=colors and "NO_COLOR" not in os.environ)

    def render_bytes(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return render(logger, method, event).encode(errors="backslashreplace")

    return [_make_readable, render_bytes]


def _make_readable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep each value on its line: no line breaks, no terminal sequences."""
    for name, value in event.items():
        if isinstance(value, str):
            if name != "exception" and not value.isprintable():
                event[name] = repr(value)
        elif not isinstance(value, (int, float, bool, type(None))):
            event[name] = _dump(value).decode(errors="replace")
    return event


# -- The libraries' lines ---------------------------------------------------------------------


class _Bridge(logging.Handler):
    """Hands the records of the standard library's logging to structlog."""

    def __init__(self) -> None:
        # Also for loggers with a level of their own below the root's.
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(_message(record), exc_info=record.exc_info)


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record without the messages of exceptions and without bytes."""
    if not isinstance(record.msg, str):
        return str(_presentable(record.msg))
    text = record.msg
    try:
        match record.args:
            case dict() as named:
                text %= {name: _argument(value) for name, value in named.items()}
            case tuple() as args if args:
                text %= tuple(_argument(value) for value in args)
    except Exception:  # noqa: BLE001 - whatever a __str__ raises; a log call must not fail
        return record.msg
    if record.name == "asyncio":
        # The rest of the text has representations of tasks, handles and their arguments.
        text = re.split(r"[\n(<]", text, maxsplit=1)[0].strip()
    return text


def _argument(value: object) -> object:
    if isinstance(value, (BaseException, bytes, bytearray, memoryview)):
        return _presentable(value)
    return value
