"""What the API server tells about itself: the writes that it got, and its CPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from benchmarks.world import World

_REQUESTS: Final = "apiserver_request_total"
_CPU: Final = "process_cpu_seconds_total"
_READS: Final = frozenset({"GET", "LIST", "WATCH", "CONNECT"})
#: The API server writes to its own groups by itself, such as its Lease.
_GROUPS: Final = frozenset({"", "alibabacloud.com"})


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Its state at a moment, or the difference between two.

    Attributes:
        writes: Requests of all clients that are no reads, in the core group and in ours, by verb
            and resource.
        cpu_seconds: User and system time.
    """

    writes: Counter[str]
    cpu_seconds: float

    def __sub__(self, earlier: ApiServer) -> ApiServer:
        """Return what has been added since."""
        return ApiServer(self.writes - earlier.writes, self.cpu_seconds - earlier.cpu_seconds)


async def look(world: World) -> ApiServer:
    """Ask the world's API server."""
    async with world.api.get("/metrics") as answer:
        return read(await answer.text())


def read(text: str) -> ApiServer:
    """Read its metrics, in the text format of Prometheus."""
    # There are megabytes of others.
    lines = [line for line in text.splitlines() if line.startswith((f"{_REQUESTS}{{", _CPU))]
    writes: Counter[str] = Counter()
    cpu = 0.0
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name == _CPU:
                cpu = sample.value
            elif sample.labels["verb"] not in _READS and sample.labels["group"] in _GROUPS:
                what = f"{sample.labels['resource']}/{sample.labels['subresource']}".rstrip("/")
                writes[f"{sample.labels['verb']} {what}"] += int(sample.value)
    return ApiServer(writes, cpu)
