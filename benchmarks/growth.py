"""What was measured at one size, as lines of the table and of the chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.chart import Panel
from benchmarks.latency import P50_MS, P99_MS, percentiles
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from benchmarks.pauses import Collected

#: What must hold at the largest size.
RESIDENT_MIB: Final = 350.0
PEAK_RATIO: Final = 1.3
BLOCKED_MS: Final = 100.0
POLL_MS: Final = 0.6
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sync:
    """The first sync of the objects that were added.

    Attributes:
        added: How many.
        seconds: From the start of the process to the last Secret.
        cpu_seconds: Of the process until all were Ready.
        api_cpu_seconds: Of the API server meanwhile.
        resident: MiB of the process in the end.
    """

    added: int
    seconds: float
    cpu_seconds: float
    api_cpu_seconds: float
    resident: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The start of a process that finds everything in sync.

    Attributes:
        seconds: Until its lists were complete.
        fetched: Seconds until it had every value.
        peak: MiB resident at most.
        blocked: Seconds for which the event loop answered nobody.
        writes: Requests that may have changed something, by verb and resource.
        collected: What the garbage collector did since the event loop runs.
    """

    seconds: float
    fetched: float
    peak: float
    blocked: float
    writes: Counter[str]
    collected: Collected


@dataclass(frozen=True, slots=True)
class Polling:
    """Time in which nothing happened but polls that found nothing new.

    Attributes:
        rest: CPU seconds of a second without a poll; 0 where there was none.
        seconds: Of the round of polls.
        cpu_seconds: Of the process meanwhile.
        polls: Calls to KMS meanwhile.
        resident: MiB in the end.
        collected: What the garbage collector did.
    """

    rest: float
    seconds: float
    cpu_seconds: float
    polls: int
    resident: float
    collected: Collected

    @property
    def per_minute(self) -> float:
        """CPU seconds of a minute."""
        return _MINUTE * self.cpu_seconds / self.seconds

    @property
    def per_poll(self) -> float:
        """CPU milliseconds that a poll adds."""
        extra = self.cpu_seconds - self.rest * self.seconds
        return 1000 * extra / self.polls if self.polls else 0.0


@dataclass(frozen=True, slots=True)
class Joining:
    """New objects while the others are polled.

    Attributes:
        waits: Seconds from the request to the Secret, of each.
        blocked: Seconds for which the event loop answered nobody.
        collected: What the garbage collector did.
    """

    waits: Sequence[float]
    blocked: float
    collected: Collected


@dataclass(frozen=True, slots=True)
class Growth:
    """All of one size."""

    objects: int
    secrets: int
    sync: Sync
    restart: Restart
    polling: Polling
    joining: Joining


def summary(step: Growth) -> Row:
    """One line with the most important figures."""
    p50, p99, worst = percentiles(step.joining.waits)
    sync, restart, polling, joining = step.sync, step.restart, step.polling, step.joining
    values = {
        "resident_mib": polling.resident,
        "resident_after_sync_mib": sync.resident,
        "start_peak_mib": restart.peak,
        "start_seconds": restart.seconds,
        "start_fetched_seconds": restart.fetched,
        "start_blocked_ms": 1000 * restart.blocked,
        "start_writes": restart.writes.total(),
        "cpu_seconds_per_minute": polling.per_minute,
        "cpu_seconds_per_minute_at_rest": _MINUTE * polling.rest,
        "cpu_ms_per_poll": polling.per_poll,
        "polls": polling.polls,
        "p50_ms": p50,
        "p99_ms": p99,
        "worst_ms": worst,
        "blocked_ms": 1000 * joining.blocked,
        "synced": sync.added,
        "sync_seconds": sync.seconds,
        "sync_cpu_seconds": sync.cpu_seconds,
        "sync_api_server_cpu_seconds": sync.api_cpu_seconds,
    }
    for name, found in _collections(step).items():
        values[f"gc_{name}_collections"] = found.count
        values[f"gc_{name}_seconds"] = found.seconds
        values[f"gc_{name}_longest_ms"] = 1000 * found.longest.seconds
    figure = (
        f"{polling.resident:.0f} MiB (start {restart.peak:.0f}); "
        f"{polling.per_minute:.2f} CPU s/min, {polling.per_poll:.2f} ms a poll; "
        f"new object {p50:.0f} / {p99:.0f} ms; blocked {1000 * joining.blocked:.0f} ms"
    )
    return Row(f"{step.objects} objects, {step.secrets} KMS secrets", "", figure, None, values)


def goals(step: Growth) -> list[Row]:
    """What is to hold at a size, a line each."""
    p50, p99, worst = percentiles(step.joining.waits)
    restart, polling, joining = step.restart, step.polling, step.joining
    ratio = restart.peak / polling.resident
    blocked = 1000 * joining.blocked
    sync = step.sync
    what = f"{step.objects} objects:"
    return [
        Row(
            f"{what} resident",
            f"<= {RESIDENT_MIB:.0f} MiB",
            f"{polling.resident:.1f} MiB ({sync.resident:.1f} after a sync of {sync.added})",
            polling.resident <= RESIDENT_MIB,
        ),
        Row(
            f"{what} peak of a start, of the resident size",
            f"<= {PEAK_RATIO}",
            f"{ratio:.2f} ({restart.peak:.1f} MiB)",
            ratio <= PEAK_RATIO,
        ),
        Row(
            f"{what} restart with all in sync",
            "0 API writes",
            f"{_told(restart.writes)}; lists complete after {restart.seconds:.1f} s, all fetched "
            f"after {restart.fetched:.1f} s, blocked {1000 * restart.blocked:.0f} ms",
            not restart.writes,
        ),
        Row(
            f"{what} CPU per unchanged poll",
            f"<= {POLL_MS} ms",
            f"{polling.per_poll:.2f} ms ({polling.polls} polls in {polling.seconds:.0f} s)",
            polling.per_poll <= POLL_MS,
        ),
        Row(
            f"{what} one new object, create to Secret",
            f"p50 <= {P50_MS:.0f} ms, p99 <= {P99_MS:.0f} ms",
            f"p50 {p50:.0f} ms, p99 {p99:.0f} ms (worst {worst:.0f}, {len(joining.waits)} samples)",
            p50 <= P50_MS and p99 <= P99_MS,
        ),
        Row(
            f"{what} event loop blocked at most",
            f"<= {BLOCKED_MS:.0f} ms",
            f"{blocked:.0f} ms",
            blocked <= BLOCKED_MS,
        ),
        Row(
            f"{what} garbage collector",
            "",
            "; ".join(f"{name}: {found}" for name, found in _collections(step).items()),
        ),
        Row(
            f"{what} sync of the last {sync.added}",
            "",
            f"{sync.added / sync.seconds:.0f}/s; CPU per object {_per_object(sync)}",
        ),
    ]


def panels(steps: Sequence[Growth]) -> list[Panel]:
    """What the chart shows."""

    def line(value: Callable[[Growth], float]) -> list[tuple[float, float]]:
        return [(step.objects, value(step)) for step in steps]

    return [
        Panel(
            "Memory",
            "MiB",
            {
                "resident": line(lambda s: s.polling.resident),
                "peak of a start": line(lambda s: s.restart.peak),
            },
            RESIDENT_MIB,
        ),
        Panel(
            "CPU",
            "seconds per minute",
            {
                "polling": line(lambda s: s.polling.per_minute),
                "at rest": line(lambda s: _MINUTE * s.polling.rest),
            },
        ),
        Panel(
            "One new object, create to Secret",
            "ms",
            {
                "p50": line(lambda s: percentiles(s.joining.waits)[0]),
                "p99": line(lambda s: percentiles(s.joining.waits)[1]),
            },
            P99_MS,
        ),
        Panel(
            "Longest block of the event loop",
            "ms",
            {
                "all": line(lambda s: 1000 * s.joining.blocked),
                "garbage collector": line(lambda s: 1000 * s.joining.collected.longest.seconds),
            },
            BLOCKED_MS,
        ),
    ]


def _collections(step: Growth) -> dict[str, Collected]:
    return {
        "start": step.restart.collected,
        "polling": step.polling.collected,
        "joining": step.joining.collected,
    }


def _told(writes: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in writes.most_common()) or "no writes"


def _per_object(sync: Sync) -> str:
    own, other = sync.cpu_seconds / sync.added, sync.api_cpu_seconds / sync.added
    return f"{1000 * own:.1f} ms here, {1000 * other:.1f} ms in the API server"
