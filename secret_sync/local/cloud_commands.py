"""The commands that change what a running cloud holds and how it behaves."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from secret_sync.local.cloud import CloudAdmin
from secret_sync.local.errors import LocalError
from secret_sync.local.playground import ACCESS_KEY_SECRET
from secret_sync.local.state import find_cloud

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from secret_sync.local.signals import Signals

    Show = Callable[[CloudAdmin, argparse.Namespace], Coroutine[Any, Any, str]]
    Command = Callable[[argparse.Namespace, Signals], Coroutine[Any, Any, int]]

_FAULT_OPTIONS: Final = (
    *("subject", "action", "access_key", "count", "probability"),
    *("qps", "retry_after_ms", "seconds", "status", "code"),
)


def _command(show: Show) -> Command:
    """Return the command that prints what `show` returns, unless that is empty."""

    @wraps(show)
    async def run(arguments: argparse.Namespace, _signals: Signals) -> int:
        if "file" in arguments:
            arguments.value = await asyncio.to_thread(_value, arguments)
        info = await asyncio.to_thread(find_cloud, arguments.directory)
        try:
            async with CloudAdmin(info.admin_url) as admin:
                text = await show(admin, arguments)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LocalError(f"the local cloud does not answer: {type(error).__name__}") from error
        sys.stdout.write(f"{text}\n" if text else "")
        return 0

    return run


@_command
async def put_secret(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``secret put NAME VALUE``."""
    version = await admin.put_secret(arguments.name, arguments.value)
    return f"{arguments.name}: version {version}"


@_command
async def get_secret(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``secret get NAME``."""
    for secret in await admin.secrets():
        if secret["name"] == arguments.name:
            versions = secret["versions"].items()
            rows = [(version, ",".join(stages) or "-") for version, stages in versions]
            state = f"state: {secret['state']}{', forbidden' if secret['forbidden'] else ''}"
            return f"name: {arguments.name}\n{state}\n{_table([('VERSION', 'STAGES'), *rows])}"
    raise LocalError(f"no secret {arguments.name}")


@_command
async def list_secrets(admin: CloudAdmin, _arguments: argparse.Namespace) -> str:
    """Run ``secret list``."""
    rows = [
        (secret["name"], secret["state"], str(len(secret["versions"])))
        for secret in sorted(await admin.secrets(), key=lambda secret: str(secret["name"]))
    ]
    return _table([("NAME", "STATE", "VERSIONS"), *rows]) if rows else "no secrets"


@_command
async def rotate_secret(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``secret rotate NAME``."""
    return f"{arguments.name}: version {await admin.rotate(arguments.name)}"


@_command
async def delete_secret(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``secret delete NAME``."""
    await admin.delete(arguments.name)
    return f"{arguments.name}: deleted"


@_command
async def put_parameter(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``parameter put NAME VALUE``."""
    version = await admin.put_parameter(arguments.name, arguments.value)
    return f"{arguments.name}: version {version}"


@_command
async def list_parameters(admin: CloudAdmin, _arguments: argparse.Namespace) -> str:
    """Run ``parameter list``."""
    rows = [
        (parameter["name"], str(max(parameter["versions"])))
        for parameter in sorted(await admin.parameters(), key=lambda found: str(found["name"]))
    ]
    return _table([("NAME", "VERSION"), *rows]) if rows else "no parameters"


@_command
async def delete_parameter(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``parameter delete NAME``."""
    await admin.delete_parameter(arguments.name)
    return f"{arguments.name}: deleted"


async def access_key(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``access-key``, the only command that shows a secret."""
    info = await asyncio.to_thread(find_cloud, arguments.directory)
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ACCESS_KEY_SECRET},
        "stringData": {"id": info.access_key_id, "secret": info.access_key_secret},
    }
    sys.stdout.write(f"{json.dumps(manifest, indent=2)}\n")
    return 0


@_command
async def set_fault(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``fault set KIND``."""
    given = {name: getattr(arguments, name) for name in _FAULT_OPTIONS}
    options = {name: value for name, value in given.items() if value is not None}
    return await admin.set_fault(arguments.kind, **options)


@_command
async def clear_faults(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``fault clear [ID]``."""
    await admin.clear_faults(arguments.id)
    return f"{arguments.id or 'all faults'}: cleared"


@_command
async def calls(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``calls``."""
    last = arguments.last
    text = _records(await admin.calls(last)) if last > 0 else _counters(await admin.counters())
    if arguments.reset:
        await admin.reset_counters()
    return text


@_command
async def set_events(admin: CloudAdmin, arguments: argparse.Namespace) -> str:
    """Run ``events [URL]``."""
    token = ""
    if arguments.token_file:
        lines = (await asyncio.to_thread(Path(arguments.token_file).read_text)).split()
        if not lines:
            raise LocalError(f"{arguments.token_file} is empty")
        token = lines[0]
    await admin.set_event_target(arguments.url, token=token)
    return f"events are posted to {arguments.url}" if arguments.url else "no events are posted"


def _records(records: list[dict[str, Any]]) -> str:
    rows = [
        (
            datetime.fromtimestamp(record["time"], UTC).strftime("%H:%M:%S.%f")[:-3],
            *(str(record[name] or "-") for name in ("action", "subject", "status", "code")),
        )
        for record in records
    ]
    return _table([("TIME", "ACTION", "SECRET", "STATUS", "CODE"), *rows]) if rows else "no calls"


def _counters(counters: Mapping[str, Any]) -> str:
    rows = [("calls", str(counters["total"]))]
    for kind, title in (("actions", "action"), ("codes", "code"), ("secrets", "secret")):
        rows += [(f"  {title} {name or '-'}", str(n)) for name, n in counters[kind].items()]
    rows.append(("in flight", f"{counters['in_flight']} (at most {counters['max_in_flight']})"))
    return _table(rows)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _value(arguments: argparse.Namespace) -> str | bytes:
    if arguments.file is None:
        text: str = arguments.value
        return text.encode() if arguments.binary else text
    content = (
        sys.stdin.buffer.read() if arguments.file == "-" else Path(arguments.file).read_bytes()
    )
    if arguments.binary:
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Without the decoder's words: they quote the value.
        hint = "" if arguments.binary is None else "; add --binary"
        raise LocalError(f"{arguments.file} is not UTF-8 text{hint}") from None
