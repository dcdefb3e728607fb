"""The benchmarks still run; what they measure is for ``make bench`` to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("row", ["shared", "identities"])
def test_a_quick_benchmark_reaches_the_goal_that_no_load_can_spoil(row: str) -> None:
    done = run("benchmarks.run", "--quick", "--rows", row)
    assert done.returncode == 0, done.stdout + done.stderr
    assert table(done.stdout)[-1].endswith("yes")


@pytest.mark.usefixtures("programs")
def test_quick_benchmark_of_a_fan_out_measures_its_two_rows() -> None:
    done = run("benchmarks.run", "--quick", "--rows", "fanout")
    # How long an object waits depends on the machine.
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert table(done.stdout)[-1].startswith("resident: 2 ClusterExternalSecrets for 40 namespaces")
    assert table(done.stdout)[-1].endswith("yes")


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("programs")
def test_benchmark_of_push_refresh_sees_every_rotation() -> None:
    done = run("benchmarks.run", "--quick", "--rows", "push")
    # How fast that is depends on the machine.
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert "20 samples" in table(done.stdout)[-1]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("programs")
def test_a_hostile_object_harms_nobody() -> None:
    """The quickest ones, with limits for a machine that does other things beside."""
    names = "key-collisions-10000,unknown-fields"
    few = ["--only", names, "--generated", "1", "--seconds", "3"]
    done = run("benchmarks.hostile", *few, "--factor", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(done.stdout)[-3:]
    assert {row.split()[0] for row in rows} == {*names.split(","), "generated-0"}
    assert all(row.endswith("yes") for row in rows)


@pytest.mark.usefixtures("programs")
def test_a_hostile_object_that_exceeds_a_limit_fails_the_benchmark() -> None:
    few = ["--only", "unknown-fields", "--seconds", "1"]
    done = run("benchmarks.hostile", *few, "--factor", "0.0001")
    assert done.returncode == 1, done.stdout + done.stderr
    assert table(done.stdout)[-1].endswith("NO")


@pytest.mark.usefixtures("programs")
def test_benchmark_of_growth_measures_each_size_and_draws_them(tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    few = ["--sizes", "100,200", "--interval", "10", "--samples", "4"]
    done = run("benchmarks.scale", *few, "--chart", str(chart))
    # How fast that is depends on the machine.
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    rows = table(done.stdout)
    assert [row.split("  ")[0] for row in rows if "KMS secrets" in row][-2:] == [
        "100 objects, 40 KMS secrets",
        "200 objects, 80 KMS secrets",
    ]
    assert rows[-8].startswith("200 objects: resident")
    assert rows[-8].endswith("yes")
    assert chart.read_text("utf-8").count("<circle") == 16


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("programs")
def test_benchmark_of_templates_starts_with_and_without_and_beside_the_worst() -> None:
    done = run("benchmarks.run", "--quick", "--rows", "templated")
    # How fast that is depends on the machine.
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    against, beside = table(done.stdout)[-2:]
    assert against.startswith("templates: 200 objects with one, cold, against 200 without")
    assert "/s and " in against
    assert "samples; alone p50" in beside


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def table(output: str) -> list[str]:
    """Its lines; a blank one and the file of the results come after it."""
    return output.strip().splitlines()[:-2]
