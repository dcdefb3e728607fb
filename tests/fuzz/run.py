"""Runs all harnesses for a time: `python -m tests.fuzz.run --seconds 60`.

Needs atheris (`requirements/fuzz.txt`). What a run finds is kept in `tests/fuzz/found/`, which is
not part of the repository: make a unit test of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
HARNESSES: Final = ("documents", "paths")
#: Bytes of an input; what is larger is a matter of the budgets, which unit tests are for.
_LONGEST: Final = 16 * 1024
#: Seconds after which libFuzzer calls an input a hang, should Python not come back at all.
_HANG: Final = 5


def main() -> int:
    """Exit code 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long, all together")
    parser.add_argument("--only", choices=HARNESSES, help="one harness")
    options = parser.parse_args()
    chosen = [options.only] if options.only else HARNESSES
    found = [name for name in chosen if not _run(name, options.seconds // len(chosen))]
    for name in found:
        print(f"{name}: see {HERE / 'found'}, and the output above")  # noqa: T201
    return 1 if found else 0


def _run(name: str, seconds: int) -> bool:
    found = HERE / "found"
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as grown:
        # New inputs go to the first directory: the seeds in the repository stay few.
        command = [
            *(sys.executable, "-m", f"tests.fuzz.{name}", grown, str(HERE / "corpus" / name)),
            f"-max_total_time={max(1, seconds)}",
            f"-max_len={_LONGEST}",
            f"-timeout={_HANG}",
            f"-dict={HERE / 'corpus' / name}.dict",
            f"-artifact_prefix={found}/{name}-",
            "-print_final_stats=1",
        ]
        return subprocess.run(command, check=False, cwd=HERE.parents[1]).returncode == 0  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
