"""What reading a value costs, and how long the loop stands still meanwhile.

`python -m benchmarks.parse` prints the table.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row, render
from secret_sync.parse import ExtractionSpec, Selection, extract
from secret_sync.parse.yaml_document import check_yaml_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIB: Final = 1024
#: A small value, KMS's largest, and our limits.
SIZES: Final = {"JSON": (KIB, 30 * KIB, 1024 * KIB), "YAML": (KIB, 30 * KIB, 128 * KIB)}
STALL_MS: Final = 20.0
CPU_MS: Final = 1000.0
PEAK_MIB: Final = 64.0

EXTRACT: Final = ExtractionSpec(extract=True)
ONE_PATH: Final = ExtractionSpec(selections=(Selection("service1.ports[0].name", "name"),))

_TRIES: Final = 5
_MIB: Final = KIB * KIB
_TICK: Final = 0.001


def measure() -> list[Row]:
    """The rows: CPU and memory of each document, then the longest stalls of a loop."""
    check_yaml_parser()
    rows = []
    for kind, sizes in SIZES.items():
        for size in sizes:
            data = document(kind, size)
            for what, spec in (("extract", EXTRACT), ("one path", ONE_PATH)):
                rows.append(_cost(f"{kind} {len(data) / KIB:.0f} KiB, {what}", spec, data))
    rows += [_stall(what, data) for what, data in largest()]
    return rows


def document(kind: str, size: int) -> bytes:
    """A configuration as people write it, just below a size in bytes."""
    as_text: Callable[[int, bool], str] = _json_item if kind == "JSON" else _yaml_item
    pieces: list[str] = []
    left = size - 2
    while True:
        piece = as_text(len(pieces), not pieces)
        left -= len(piece)
        if left < 0:
            break
        pieces.append(piece)
    text = "".join(pieces)
    return ("{" + text + "}" if kind == "JSON" else text).encode()


def largest() -> Iterator[tuple[str, bytes]]:
    """Documents that keep the interpreter busy longest, each in its own way."""
    yield "YAML of people", document("YAML", SIZES["YAML"][-1])
    yield "YAML of short items", b"k: [" + b"a," * 49_000 + b"]"
    yield "YAML of one text", b"k: '" + b"a b\n\n " * 21_000 + b"'"
    yield "JSON of people", document("JSON", SIZES["JSON"][-1])
    yield "JSON of short texts", json.dumps({"k": [f"{n:x}" for n in range(49_000)]}).encode()
    yield "JSON of numbers", json.dumps({"k": list(range(49_000))}).encode()
    yield "JSON of empty lists", b'{"k":[' + b"[]," * 24_000 + b"[]]}"
    yield "JSON of one text", json.dumps({"k": "\\é" * 120_000}).encode()


def _json_item(number: int, first: bool) -> str:  # noqa: FBT001 (called by position)
    return ("" if first else ",") + json.dumps({f"service{number}": _service(number)})[1:-1]


def _yaml_item(number: int, _first: bool) -> str:  # noqa: FBT001 (called by position)
    service = _service(number)
    return (
        f"service{number}:\n"
        f"  host: {service['host']}\n"
        f"  password: {json.dumps(service['password'])}\n"
        f"  enabled: true\n"
        f"  ports:\n    - name: http\n      number: {8000 + number}\n"
    )


def _service(number: int) -> dict[str, object]:
    return {
        "host": f"db-{number}.internal.example.com",
        "password": f"pa'ss<{number:032x}>\\word",
        "enabled": True,
        "ports": [{"name": "http", "number": 8000 + number}],
    }


def _cost(what: str, spec: ExtractionSpec, data: bytes) -> Row:
    best = float("inf")
    for _ in range(_TRIES):
        began = time.process_time()
        extract(spec, data)
        best = min(best, time.process_time() - began)
    tracemalloc.start()
    extract(spec, data)
    peak = tracemalloc.get_traced_memory()[1] / _MIB
    tracemalloc.stop()
    ms = best * 1000
    return Row(
        what=what,
        goal=f"< {CPU_MS:.0f} ms, {PEAK_MIB:.0f} MiB",
        figure=f"{ms:.2f} ms, {peak:.1f} MiB",
        reached=ms < CPU_MS and peak < PEAK_MIB,
        values={"cpu_ms": ms, "peak_mib": peak, "bytes": len(data)},
    )


def _stall(what: str, data: bytes) -> Row:
    gaps = sorted(asyncio.run(_longest_gap(data)) for _ in range(_TRIES))
    ms = gaps[len(gaps) // 2] * 1000
    return Row(
        what=f"loop while a thread reads {what}",
        goal=f"stalls < {STALL_MS:.0f} ms",
        figure=f"{ms:.1f} ms (of {_TRIES}: {gaps[0] * 1000:.1f} to {gaps[-1] * 1000:.1f})",
        reached=ms < STALL_MS,
        values={"stall_ms": ms, "worst_ms": gaps[-1] * 1000},
    )


async def _longest_gap(data: bytes) -> float:
    """Seconds by which the loop comes late at most, beyond a tick."""
    work = asyncio.create_task(asyncio.to_thread(extract, EXTRACT, data))
    longest = 0.0
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(_TICK)
        longest = max(longest, time.perf_counter() - before - _TICK)
    await work
    return longest


if __name__ == "__main__":
    print(render(measure()))
