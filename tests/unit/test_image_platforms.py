"""The commands of ``make image`` for several platforms; test_image.py really builds one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.documentation import ROOT

pytestmark = pytest.mark.slow

BOTH = "linux/amd64,linux/arm64"
BUILDX = "Name: default\nPlatforms: linux/amd64*, linux/amd64/v2, linux/arm64\n"
#: An architecture that the machine has, and one that it has not.
HERE, ELSEWHERE = (
    ("linux/amd64", "linux/arm64")
    if os.uname().machine == "x86_64"
    else ("linux/arm64", "linux/amd64")
)
_QEMU = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}
NO_QEMU = not Path("/proc/sys/fs/binfmt_misc", _QEMU[ELSEWHERE]).exists()


@dataclass
class Builders:
    """A folder of programs that say what they are asked, and a way to build with them."""

    folder: Path

    def add(self, name: str, *cases: str) -> None:
        lines = [f'echo "{name} $*" >> "$ASKED"', 'case "$*" in', *cases, "esac"]
        (self.folder / name).write_text("#!/bin/bash\n" + "\n".join(lines) + "\n")
        (self.folder / name).chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def build(self, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": str(self.folder),
            "ASKED": str(self.folder / "asked"),
            "PYTHON": sys.executable,
            "VERSION": "1.2.3",
            "IMAGE": "example/app:1",
            "IMAGE_FLAGS": "",
            "PLATFORMS": "",
            "DIST": "dist",
            "SOURCE_DATE_EPOCH": "1767225600",
        }
        return subprocess.run(  # noqa: S603 (our own script)
            [ROOT / "release/image.sh"],
            env={**given, **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


@pytest.fixture
def builders(tmp_path: Path) -> Builders:
    """With none of the machine's own."""
    for name in ("bash", "git", "uname", "grep", "sed"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return Builders(tmp_path)


def test_without_a_builder_it_is_said_what_to_install(builders: Builders) -> None:
    done = builders.build(PLATFORMS=BOTH)
    assert done.returncode == 1
    assert "make image: docker, podman and buildah do not work here" in done.stderr


def test_buildx_builds_all_platforms_into_one_archive(builders: Builders) -> None:
    builders.add("docker", f"'buildx inspect'*) echo '{BUILDX}';;")
    done = builders.build(PLATFORMS=BOTH)
    assert done.returncode == 0, done.stderr
    (build,) = [line for line in builders.asked if line.startswith("docker buildx build")]
    assert f"--platform {BOTH} --provenance=false --sbom=false --tag example/app:1" in build
    assert "--output type=oci,dest=dist/secret-sync-1.2.3.oci.tar,rewrite-timestamp=true" in build
    assert "--build-arg CREATED=2026-01-01T00:00:00Z" in build
    assert re.search(r"--build-arg REVISION=[0-9a-f]{40} ", build)


def test_buildx_pushes_instead_if_that_is_asked(builders: Builders) -> None:
    builders.add("docker", f"'buildx inspect'*) echo '{BUILDX}';;")
    done = builders.build(PLATFORMS=BOTH, IMAGE_FLAGS="--push")
    assert done.returncode == 0, done.stderr
    assert not any("--output" in line for line in builders.asked)
    assert "pushed" in done.stdout


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("echo 'Platforms: linux/amd64, linux/arm64/v8';;", "does not build for linux/arm64"),
        ("exit 1;;", "docker has no buildx"),
    ],
)
def test_buildx_that_cannot_is_refused(builders: Builders, answer: str, message: str) -> None:
    builders.add("docker", f"'buildx inspect'*) {answer}")
    done = builders.build(PLATFORMS=BOTH)
    assert done.returncode == 1
    assert message in done.stderr
    assert not any("buildx build" in line for line in builders.asked)


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_manifest_replaces_the_previous_one(builders: Builders, name: str) -> None:
    builders.add(name)
    done = builders.build(PLATFORMS=HERE)
    assert done.returncode == 0, done.stderr
    _, removed, build = builders.asked
    assert removed == f"{name} manifest rm example/app:1"
    assert f"--platform {HERE} --manifest example/app:1 --build-arg" in build
    assert "--timestamp 1767225600" in build
    assert "--tag" not in build
    assert f"push it with: {name} manifest push --all example/app:1 docker://example/app:1" in (
        done.stdout
    )


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_platform_that_the_machine_does_not_run_is_refused(builders: Builders, name: str) -> None:
    builders.add(name)
    done = builders.build(PLATFORMS="linux/riscv64")
    assert done.returncode == 1
    assert "the platform linux/riscv64 is not supported" in done.stderr
    done = builders.build(PLATFORMS=BOTH)
    assert (done.returncode == 1) == NO_QEMU
    if NO_QEMU:
        assert f"this machine does not run programs of {ELSEWHERE}." in done.stderr
        assert "qemu-user-static" in done.stderr
        assert not any(" build " in line for line in builders.asked)


def test_failed_build_is_a_failure(builders: Builders) -> None:
    builders.add("buildah", "build*) exit 3;;")
    for platforms in (HERE, ""):
        done = builders.build(PLATFORMS=platforms)
        assert done.returncode == 3
        assert done.stdout == ""
