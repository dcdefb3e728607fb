"""Building the programs into the user's cache, one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local.controlplane import build_spec, golang
from secret_sync.local.controlplane.errors import CancelledStartError, ControlPlaneError
from secret_sync.local.controlplane.process import Process

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from secret_sync.local.controlplane.build_spec import BuildSpec

REPORT_SECONDS = 10.0
_POLL = 0.2


class Builder:
    """Makes sure that programs of one build specification are in the cache.

    Args:
        spec: What to build.
        root: The cache of all builds; this one's programs go to ``root/<key>/``.
        progress: Gets a line for a person now and then.
        cancelled: Set from another thread, it ends waiting and building.
    """

    def __init__(
        self,
        spec: BuildSpec,
        root: Path,
        progress: Callable[[str], None],
        cancelled: threading.Event,
    ) -> None:
        self._spec = spec
        self._root = root
        self._folder = root / spec.key
        self._durations = root / "durations.json"
        self._progress = progress
        self._cancelled = cancelled

    def announce(self, programs: Sequence[str]) -> None:
        """Report what is about to be built and how long that takes, if anything is."""
        missing = [p for p in programs if not (self._folder / self._spec.file(p)).exists()]
        if missing:
            processors = os.cpu_count() or 1
            about = build_spec.minutes(missing, processors)
            self._progress(
                f"building from source, once on this machine: {', '.join(missing)}; about {about} "
                f"minute{'' if about == 1 else 's'} on {processors} "
                f"processor{'' if processors == 1 else 's'}"
            )
            self._progress(
                "programs in the folder that KUBEBUILDER_ASSETS names, or on PATH, are not built"
            )

    def ensure(self, program: str) -> Path:
        """Return the path of a program; build it if it is not in the cache.

        Raises:
            ControlPlaneError: There is no Go, or the build failed.
            CancelledStartError: It was cancelled.
        """
        path = self._folder / self._spec.file(program)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                # Whoever had the lock before us may have built it.
                if not path.exists():
                    self._build(program, path)
        return path

    def _build(self, program: str, path: Path) -> None:
        go = golang.find(self._spec.go, self._root, self._progress, self._cancelled)
        last = self._remembered().get(program)
        clock = _Clock(program, last, self._progress)
        log = self._folder / f"{program}.build.log"
        log.unlink(missing_ok=True)
        # A killed go leaves its working files behind, and what it built may be half a program.
        with tempfile.TemporaryDirectory(
            dir=self._folder, prefix=".unfinished-", ignore_cleanup_errors=True
        ) as unfinished:
            built = Path(unfinished, program)
            argv: list[str | Path] = [go, "build", "-trimpath", "-ldflags", self._spec.ldflags]
            process = Process(
                [*argv, "-o", built, self._spec.package(program)],
                log=log,
                cwd=self._spec.modules,
                env={**golang.environment(os.environ), "GOTMPDIR": unfinished},
            )
            if process.finish(self._cancelled, clock.tick) != 0:
                raise ControlPlaneError(
                    f"go could not build {program} (a first build needs the Go module proxy "
                    f"and some GB of disk space); the end of {log}:\n{process.tail()}"
                )
            # Only a whole program ever has the final name.
            built.rename(path)
        log.unlink()
        self._remember(program, clock.stop())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the cache; the lock goes with its holder, however that ends."""
        with (self._root / "lock").open("a") as file:
            reported = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not reported:
                        self._progress("waiting for another run that is building")
                        reported = True
                if self._cancelled.wait(_POLL):
                    raise CancelledStartError("the wait for another build was cancelled")
            yield

    def _remembered(self) -> dict[str, float]:
        try:
            durations: dict[str, float] = json.loads(self._durations.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return durations

    def _remember(self, program: str, seconds: float) -> None:
        durations = {**self._remembered(), program: round(seconds, 1)}
        self._durations.write_text(json.dumps(durations))


class _Clock:
    """Tells a person how long a build has taken so far, and took last time."""

    def __init__(self, program: str, last: float | None, progress: Callable[[str], None]) -> None:
        self._program = program
        self._usual = "" if last is None else f" (last time {last:.0f} s)"
        self._progress = progress
        self._begun = self._reported = time.monotonic()
        progress(f"building {program}{self._usual}")

    def tick(self) -> None:
        """Report, if the last report is a while ago."""
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._progress(f"building {self._program}: {now - self._begun:.0f} s{self._usual}")

    def stop(self) -> float:
        """Report the end; the seconds it took."""
        seconds = time.monotonic() - self._begun
        self._progress(f"built {self._program} in {seconds:.0f} s")
        return seconds
