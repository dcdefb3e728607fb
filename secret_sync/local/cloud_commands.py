"""The commands that change what a running cloud holds and how it behaves."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from secret_sync.local.cloud import CloudAdmin
from secret_sync.local.errors import LocalError
from secret_sync.local.playground import ACCESS_KEY_SECRET
from secret_sync.local.state import find_cloud

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from secret_sync.local.signals import Signals

_FAULT_OPTIONS: Final = (
    *("subject", "action", "access_key", "count", "probability"),
    *("qps", "retry_after_ms", "seconds", "status", "code"),
)


async def put_secret(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``secret put NAME VALUE``."""
    value: str | bytes = await asyncio.to_thread(_value, arguments)
    return await _print(arguments, lambda admin: _put(admin, arguments.name, value))


async def get_secret(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``secret get NAME``."""
    return await _print(arguments, lambda admin: _describe(admin, arguments.name))


async def list_secrets(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``secret list``."""
    return await _print(arguments, _list)


async def rotate_secret(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``secret rotate NAME``."""
    return await _print(arguments, lambda admin: _rotate(admin, arguments.name))


async def delete_secret(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``secret delete NAME``."""
    return await _print(arguments, lambda admin: _delete(admin, arguments.name))


async def put_parameter(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``parameter put NAME VALUE``."""
    value = str(await asyncio.to_thread(_value, arguments))
    return await _print(arguments, lambda admin: _put_parameter(admin, arguments.name, value))


async def list_parameters(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``parameter list``."""
    return await _print(arguments, _list_parameters)


async def delete_parameter(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``parameter delete NAME``."""
    return await _print(arguments, lambda admin: _delete_parameter(admin, arguments.name))


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


async def set_fault(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``fault set KIND``."""
    given = {name: getattr(arguments, name) for name in _FAULT_OPTIONS}
    options = {name: value for name, value in given.items() if value is not None}
    return await _print(arguments, lambda admin: admin.set_fault(arguments.kind, **options))


async def clear_faults(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``fault clear [ID]``."""
    return await _print(arguments, lambda admin: _clear(admin, arguments.id))


async def calls(arguments: argparse.Namespace, _signals: Signals) -> int:
    """Run ``calls``."""
    return await _print(
        arguments, lambda admin: _calls(admin, last=arguments.last, reset=arguments.reset)
    )


async def _print(arguments: argparse.Namespace, ask: Callable[[CloudAdmin], Awaitable[str]]) -> int:
    info = await asyncio.to_thread(find_cloud, arguments.directory)
    try:
        async with CloudAdmin(info.admin_url) as admin:
            text = await ask(admin)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LocalError(f"the local cloud does not answer: {type(error).__name__}") from error
    sys.stdout.write(f"{text}\n" if text else "")
    return 0


async def _put(admin: CloudAdmin, name: str, value: str | bytes) -> str:
    return f"{name}: version {await admin.put_secret(name, value)}"


async def _rotate(admin: CloudAdmin, name: str) -> str:
    return f"{name}: version {await admin.rotate(name)}"


async def _delete(admin: CloudAdmin, name: str) -> str:
    await admin.delete(name)
    return f"{name}: deleted"


async def _put_parameter(admin: CloudAdmin, name: str, value: str) -> str:
    return f"{name}: version {await admin.put_parameter(name, value)}"


async def _delete_parameter(admin: CloudAdmin, name: str) -> str:
    await admin.delete_parameter(name)
    return f"{name}: deleted"


async def _list_parameters(admin: CloudAdmin) -> str:
    rows = [
        (parameter["name"], str(max(parameter["versions"])))
        for parameter in sorted(await admin.parameters(), key=lambda found: str(found["name"]))
    ]
    return _table([("NAME", "VERSION"), *rows]) if rows else "no parameters"


async def _clear(admin: CloudAdmin, fault_id: str) -> str:
    await admin.clear_faults(fault_id)
    return f"{fault_id or 'all faults'}: cleared"


async def _list(admin: CloudAdmin) -> str:
    rows = [
        (secret["name"], secret["state"], str(len(secret["versions"])))
        for secret in sorted(await admin.secrets(), key=lambda secret: str(secret["name"]))
    ]
    return _table([("NAME", "STATE", "VERSIONS"), *rows]) if rows else "no secrets"


async def _describe(admin: CloudAdmin, name: str) -> str:
    for secret in await admin.secrets():
        if secret["name"] == name:
            versions = secret["versions"].items()
            rows = [(version, ",".join(stages) or "-") for version, stages in versions]
            state = f"state: {secret['state']}{', forbidden' if secret['forbidden'] else ''}"
            return f"name: {name}\n{state}\n{_table([('VERSION', 'STAGES'), *rows])}"
    raise LocalError(f"no secret {name}")


async def _calls(admin: CloudAdmin, *, last: int, reset: bool) -> str:
    text = _records(await admin.calls(last)) if last > 0 else _counters(await admin.counters())
    if reset:
        await admin.reset_counters()
    return text


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
