"""What ``make release`` writes: complete, the same each time, and accepted by the API server."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jmespath
import pytest
import yaml

from secret_sync import __version__
from tests.integration.deploy.installs import COMBINED, folder_of
from tests.integration.deploy.releases import make_release, run
from tests.support.kustomize import COMPONENTS, OVERLAYS, container, write

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.kustomize import Kubectl

WHEEL = f"secret_sync-{__version__}-py3-none-any.whl"
SDIST = f"secret_sync-{__version__}.tar.gz"
INSTALLS = {f"install-{folder.name}.yaml" for folder in OVERLAYS.iterdir()}
FILES = {WHEEL, SDIST, "crds.yaml", "sbom.cdx.json", *INSTALLS}


def test_release_is_complete_and_its_checksums_are_right(release: Path) -> None:
    lines = (release / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums.keys() == FILES == {path.name for path in release.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest
    done = run("sha256sum", "--check", "--strict", "SHA256SUMS", where=release)
    assert done.returncode == 0, done.stdout


def test_second_release_elsewhere_has_the_same_bytes(
    plane: ControlPlane, release: Path, tree: Path, tmp_path: Path
) -> None:
    done = make_release(plane, tmp_path / "again", where=tree)
    assert done.returncode == 0, done.stderr
    again, first = ((folder / "SHA256SUMS").read_text() for folder in (tmp_path / "again", release))
    assert again == first


def test_release_refuses_files_that_are_not_committed(
    plane: ControlPlane, tree: Path, tmp_path: Path
) -> None:
    run("git", "init", "--quiet", where=tree)
    done = make_release(plane, tmp_path / "dirty", where=tree)
    assert done.returncode != 0
    assert "?? Makefile\n" in done.stderr
    assert "DIRTY=1" in done.stderr
    assert not (tmp_path / "dirty/SHA256SUMS").exists()


def test_release_without_kubectl_says_what_to_do(plane: ControlPlane, tmp_path: Path) -> None:
    done = make_release(plane, tmp_path / "none", "DIRTY=1", "KUBECTL=/none/kubectl")
    assert done.returncode != 0
    assert "kubectl is not on PATH; name it with KUBECTL=" in done.stderr
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["sbom.cdx.json"]


def test_failed_release_leaves_no_checksums(
    plane: ControlPlane, release: Path, tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(release, tmp_path / "half")
    file = tree / "deploy/base/deployment.yaml"
    file.write_text(file.read_text().replace(f"secret-sync:{__version__}", "secret-sync:latest"))
    done = make_release(plane, tmp_path / "half", where=tree)
    assert done.returncode != 0
    assert f"deploy/base has another image than secret-sync:{__version__}" in done.stderr
    assert not (tmp_path / "half/SHA256SUMS").exists()


# --- The manifests ------------------------------------------------------------------------


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def test_manifests_have_the_image_of_this_version_and_no_crd(release: Path) -> None:
    for name in INSTALLS:
        objects = documents(release / name)
        assert container(objects)["image"] == f"secret-sync:{__version__}"
        assert "CustomResourceDefinition" not in {found["kind"] for found in objects}
        assert f"# secret-sync {__version__} " in (release / name).read_text()
    assert {f["kind"] for f in documents(release / "crds.yaml")} == {"CustomResourceDefinition"}


def test_manifests_have_the_image_that_is_given(plane: ControlPlane, tmp_path: Path) -> None:
    image = f"registry.example.com/platform/secret-sync:{__version__}"
    done = make_release(plane, tmp_path, "DIRTY=1", f"IMAGE={image}")
    assert done.returncode == 0, done.stderr
    assert {container(documents(tmp_path / name))["image"] for name in INSTALLS} == {image}


@pytest.mark.parametrize("name", sorted(INSTALLS))
def test_manifests_are_accepted_after_the_crds(kubectl: Kubectl, release: Path, name: str) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(release / "crds.yaml"))
    spaces = [yaml.safe_dump(f) for f in documents(release / name) if f["kind"] == "Namespace"]
    for text in spaces:
        # With a dry run alone there would be no namespace for the others.
        (release.parent / "namespace.yaml").write_text(text)
        kubectl("apply", "--server-side", "-f", str(release.parent / "namespace.yaml"))
    dry = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f")
    said = kubectl(*dry, str(release / name)).splitlines()
    assert len(said) == len(documents(release / name))
    assert all(line.endswith("serverside-applied (server dry run)") for line in said), said


@pytest.mark.parametrize("install", ["rrsa+all", "multi-tenant+all"])
def test_components_change_an_install_file_as_they_change_its_overlay(
    kubectl: Kubectl, release: Path, tmp_path: Path, install: str
) -> None:
    overlay, components = COMBINED[install]
    own = tmp_path / "own"
    own.mkdir()
    file = Path(shutil.copy(release / f"install-{overlay}.yaml", own))
    write(own, resources=[file], components=[COMPONENTS / name for name in components])
    assert kubectl.render(own) == kubectl.render(folder_of(install, tmp_path))


# --- The packages -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", folder)
    done = run(folder / "bin/pip", "install", "--no-index", "--no-deps", release / WHEEL)
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(jmespath.__file__).parents[1]}\n")
    return folder


def test_wheel_in_a_new_environment_is_this_version(installed: Path, tmp_path: Path) -> None:
    for program in ("secret-sync", "kubectl-secret_sync"):
        done = run(installed / "bin" / program, "--version", where=tmp_path)
        assert done.stdout == f"secret-sync {__version__}\n", done.stderr
    code = "import secret_sync; print(secret_sync.__file__)"
    place = run(installed / "bin/python", "-c", code, where=tmp_path).stdout
    assert Path(place.strip()).is_relative_to(installed)
    done = run(installed / "bin/pip", "show", "secret-sync", where=tmp_path)
    assert f"Version: {__version__}\n" in done.stdout


def test_wheel_prints_the_crds_of_the_release(
    installed: Path, release: Path, tmp_path: Path
) -> None:
    done = run(installed / "bin/secret-sync", "crds", where=tmp_path)
    assert done.stdout == (release / "crds.yaml").read_text()
    legacy = run(installed / "bin/secret-sync", "crds", "--legacy", where=tmp_path)
    assert legacy.returncode == 0
    assert "x-kubernetes-validations:" not in legacy.stdout


@pytest.fixture
def unpacked(release: Path, tmp_path: Path) -> Path:
    with tarfile.open(release / SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / SDIST.removesuffix(".tar.gz")


def test_sdist_has_every_file_of_the_repository(unpacked: Path, tree: Path) -> None:
    packed, ours = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (unpacked, tree)
    )
    assert packed == ours | {"PKG-INFO"}


def test_sdist_gives_the_same_wheel_and_passes_its_tests(
    plane: ControlPlane, unpacked: Path, release: Path, tmp_path: Path
) -> None:
    done = make_release(plane, tmp_path / "rebuilt", where=unpacked)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rebuilt" / WHEEL).read_bytes() == (release / WHEEL).read_bytes()

    chosen = ("tests/unit/cli/test_crds_command.py", "tests/unit/test_crds.py")
    done = run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, where=unpacked
    )
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout
