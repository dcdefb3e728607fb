"""What is pinned, and what follows from it."""

from __future__ import annotations

import inspect
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.controlplane import build_spec, flags

if TYPE_CHECKING:
    from pathlib import Path


def test_kubernetes_and_its_staging_modules_are_of_one_release() -> None:
    pinned = build_spec.load()
    _, minor, patch = pinned.versions["kube-apiserver"]
    replaced = [
        line.split()
        for line in (pinned.modules / "go.mod").read_text().splitlines()
        if "=>" in line
    ]
    assert len(replaced) == 33
    assert {line[-1] for line in replaced} == {f"v0.{minor}.{patch}"}


def test_programs_are_linked_with_their_version() -> None:
    pinned = build_spec.load()
    major, minor, patch = pinned.versions["kube-apiserver"]
    assert f"version.gitVersion=v{major}.{minor}.{patch} " in pinned.ldflags
    assert pinned.ldflags.endswith(f"version.gitMinor={minor}")


@pytest.mark.parametrize("version", build_spec.others())
def test_another_api_server_is_all_that_its_module_has(version: str) -> None:
    other = build_spec.load(build_spec.others()[version])
    assert other.versions == {"kube-apiserver": build_spec.version(version)}
    assert other.key != build_spec.load().key
    _, minor, patch = build_spec.version(version)
    text = (other.modules / "go.mod").read_text()
    staging = [line.split()[-1] for line in text.splitlines() if "=>" in line]
    assert set(staging) == {f"v0.{minor}.{patch}"}


def test_another_program_of_ours_is_another_file_of_the_same_build(tmp_path: Path) -> None:
    pinned = build_spec.load()
    shutil.copytree(pinned.modules, tmp_path, dirs_exist_ok=True)
    copy, name = build_spec.load(tmp_path), "kube-controller-manager"
    assert copy.file(name) == pinned.file(name)
    with (tmp_path / "controllers" / "main.go").open("a") as source:
        source.write("\n")
    assert copy.file(name) != pinned.file(name)
    assert build_spec.load(tmp_path).key == pinned.key


def test_controllers_of_ours_take_the_flags_that_the_real_program_gets() -> None:
    source = (build_spec.load().modules / "controllers" / "main.go").read_text()
    taken = set(re.findall(r'flag\.\w+\("([a-z-]+)"', source))
    passed = inspect.getsource(flags.controller_manager)
    assert taken == set(re.findall(r"--([a-z-]+)=", passed))


@pytest.mark.parametrize(
    ("programs", "processors", "minutes"),
    [
        ([*build_spec.PACKAGES], 2, 8),
        (["kube-controller-manager"], 2, 3),
        (["kubectl"], 16, 1),
    ],
)
def test_time_of_a_first_build(programs: list[str], processors: int, minutes: int) -> None:
    assert build_spec.minutes(programs, processors) == minutes


def test_another_pin_is_another_key(tmp_path: Path) -> None:
    pinned = build_spec.load()
    shutil.copytree(pinned.modules, tmp_path, dirs_exist_ok=True)
    assert build_spec.load(tmp_path).key == pinned.key
    with (tmp_path / "go.sum").open("a") as sums:
        sums.write("\n")
    assert build_spec.load(tmp_path).key != pinned.key


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Kubernetes v1.36.3", (1, 36, 3)),
        ("etcd Version: 3.6.8\nGo Version: go1.26.1", (3, 6, 8)),
        ("Client Version: v1.32.4-dispatcher", (1, 32, 4)),
        ("go1.26", (1, 26, 0)),
    ],
)
def test_versions_are_read_as_programs_print_them(text: str, version: tuple[int, ...]) -> None:
    assert build_spec.version(text) == version


def test_text_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no version"):
        build_spec.version("unknown flag: --version")
