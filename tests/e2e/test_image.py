"""The image, really built by ``make image`` and really run: it syncs a Secret.

Built on a base that is made of Debian's packages, since the public one is behind an image registry,
which a test must not depend on. Where there is no buildah, or no Debian, nothing of this is run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync import __version__
from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import (
    ROOT,
    Api,
    external_secret,
    install_crds,
    put_store,
)
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

_LACKS = [name for name in ("buildah", "apt-get", "dpkg") if shutil.which(name) is None]
_LACKS += [] if os.geteuid() == 0 else ["root"]

pytestmark = [
    pytest.mark.skipif(
        bool(_LACKS),
        reason=f"NOT RUN: the image was neither built nor started, for lack of {', '.join(_LACKS)};"
        " as root of a Debian, `make tools` installs what it takes",
    ),
    # Downloads, a build from nothing, and images without a file system that can share layers.
    pytest.mark.timeout(900),
]

BASE = "localhost/base:local"
IMAGE = "localhost/secret-sync:test"
EPOCH = "1796049392"
CREATED = "2026-11-30T14:36:32"
#: What an essential Debian with Python is, for our purpose, and what is to be removed from it.
PACKAGES = (
    *("python3-venv", "ca-certificates", "bash", "coreutils", "findutils", "passwd"),
    *("apt", "dpkg", "util-linux"),
)
STATUS = "Package: passwd\nStatus: install ok installed\n"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
MIB = 1024 * 1024


class Images:
    """buildah with a store of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = folder / "storage.conf"
        store.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )
        # No kernel features that a machine without a container engine might lack.
        self.environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(store),
            "STORAGE_DRIVER": "vfs",
            "BUILDAH_ISOLATION": "chroot",
        }

    def run(self, *command: str, where: Path = ROOT) -> str:
        done = subprocess.run(  # noqa: S603 - tools of the machine
            command,
            cwd=where,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def make_base(self) -> None:
        root, packages = self.folder / "root", self.folder / "packages"
        root.mkdir()
        packages.mkdir()
        no = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks")]
        no += ["--no-replaces", "--no-enhances"]
        said = self.run("apt-cache", "depends", "--recurse", *no, *PACKAGES)
        # Packages that are only names have angle brackets.
        names = sorted(set(re.findall(r"^[a-z0-9][^\s:]*$", said, flags=re.MULTILINE)))
        self.run("apt-get", "download", "-qq", *self._real(names), where=packages)
        for package in packages.glob("*.deb"):
            self.run("dpkg", "-x", str(package), str(root))
        # What the packages' own scripts would have made.
        (root / "bin/sh").unlink(missing_ok=True)
        (root / "bin/sh").symlink_to("bash")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        (root / "var/lib/dpkg/status").write_text(STATUS)
        (root / "tmp").mkdir(exist_ok=True)
        bundle = root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(AUTHORITIES, bundle)
        container = self.run("buildah", "from", "scratch").strip()
        self.run("buildah", "copy", "--quiet", container, str(root), "/")
        self.run("buildah", "commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(root)
        shutil.rmtree(packages)

    def _real(self, names: list[str]) -> list[str]:
        said = self.run("apt-cache", "policy", *names)
        return re.findall(r"^(\S+):\n.*\n  Candidate: \d", said, flags=re.MULTILINE)

    def make_image(self, *more: str) -> str:
        flags = f"--build-arg BASE={BASE} --build-arg PIP_CERT={AUTHORITIES}"
        return self.run(
            *("make", "--no-print-directory", "image", f"IMAGE={IMAGE}", f"IMAGE_FLAGS={flags}"),
            *(f"SOURCE_DATE_EPOCH={EPOCH}", *more),
        )

    def container(self, image: str = IMAGE) -> str:
        return self.run("buildah", "from", "--pull-never", image).strip()

    def files(self, container: str) -> Path:
        return Path(self.run("buildah", "mount", container).strip())


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    folder = tmp_path_factory.mktemp("images")
    made = Images(folder)
    made.make_base()
    yield made
    made.run("buildah", "rm", "--all")
    made.run("buildah", "rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def said(images: Images) -> str:
    """What ``make image`` says; with it, the image is there."""
    return images.make_image()


@pytest.fixture(scope="module")
def configuration(images: Images, said: str) -> dict[str, Any]:
    inspected = json.loads(images.run("buildah", "inspect", "--type", "image", IMAGE))
    return dict(inspected["OCIv1"])


@pytest.fixture(scope="module")
def files(images: Images, said: str) -> Path:
    return images.files(images.container())


def test_image_size_and_parts_are_reported(said: str, files: Path) -> None:
    last = said.splitlines()[-1]
    assert re.fullmatch(rf"{IMAGE}: [\d.]+ [MG]B; dist/sbom.cdx.json lists its components", last)
    pinned = (ROOT / "requirements/run.txt").read_text()
    parts = json.loads((ROOT / "dist/sbom.cdx.json").read_text())["components"]
    listed = {(part["name"], part["version"]) for part in parts}
    installed = {
        tuple(folder.name.removesuffix(".dist-info").split("-"))
        for folder in files.glob("opt/secret-sync/lib/python3*/site-packages/*.dist-info")
    }
    found = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in installed}
    assert found - {("secret-sync", __version__)} <= listed
    assert all(f"{name}=={version}" in pinned for name, version in listed)


def test_image_config_names_user_and_command(configuration: dict[str, Any]) -> None:
    config = configuration["config"]
    assert config["Entrypoint"] == ["secret-sync"]
    assert config["Cmd"] == ["run"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == "secret-sync"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    revision = config["Labels"]["org.opencontainers.image.revision"]
    assert re.fullmatch(r"[0-9a-f]{40}", revision)
    assert config["Labels"]["org.opencontainers.image.created"] == f"{CREATED}Z"
    assert configuration["created"].startswith(CREATED)


def _modes(root: Path) -> list[tuple[str, int]]:
    """Names and modes of all files that are no links."""
    found = [
        (name, Path(folder, name).lstat().st_mode)
        for folder, _, there in os.walk(root)
        for name in there
    ]
    return [(name, mode) for name, mode in found if stat.S_ISREG(mode)]


def _installers(root: Path) -> set[str]:
    return {
        name for name, mode in _modes(root) if mode & 0o111 and re.match(r"(apt|dpkg)(-|$)", name)
    }


def _privileged(root: Path) -> set[str]:
    """What runs as its owner or group, whoever calls it."""
    return {name for name, mode in _modes(root) if mode & (stat.S_ISUID | stat.S_ISGID)}


def test_nothing_in_it_installs_builds_or_becomes_root(files: Path) -> None:
    names = re.compile(r"(pip\d?(\..*)?|ensurepip|setuptools|gcc|cc|c\+\+|ld|as|make|uv)")
    found = [
        str(Path(folder, name).relative_to(files))
        for folder, folders, there in os.walk(files)
        for name in (*folders, *there)
        if names.fullmatch(name) and "/share/" not in folder
    ]
    assert found == []
    assert _installers(files) == set()
    assert _privileged(files) == set()


def test_image_has_no_package_manager_and_no_way_to_become_root(images: Images) -> None:
    base = images.files(images.container(BASE))
    assert {"apt", "apt-get", "dpkg", "dpkg-deb"} <= _installers(base)
    assert {"su", "passwd", "chage"} <= _privileged(base)


def test_a_scanner_finds_which_packages_it_has(files: Path) -> None:
    assert (files / "var/lib/dpkg/status").read_text() == STATUS


def _descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _controller(pid: int) -> int | None:
    """The process of the image's program below buildah's; it runs as nobody in particular."""
    for child in _descendants(pid):
        folder = Path("/proc") / str(child)
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            uid = re.search(r"^Uid:\t(\d+)", (folder / "status").read_text(), flags=re.MULTILINE)
        except OSError:
            continue
        if uid and uid[1] == "65532" and arguments[0].startswith(b"/opt/secret-sync/bin/python"):
            return child
    return None


async def test_image_syncs_a_secret_and_writes_no_file(
    images: Images,
    configuration: dict[str, Any],
    control_plane: ControlPlane,
    cloud: CloudInfo,
    namespace: str,
    tmp_path: Path,
) -> None:
    install_crds(control_plane)
    kubectl = [str(control_plane.binaries.kubectl), "--kubeconfig", str(control_plane.kubeconfig)]
    await asyncio.to_thread(
        images.run, *kubectl, "apply", "--server-side", "-k", str(ROOT / "deploy/base")
    )
    token = await control_plane.token_for("secret-sync-system", "secret-sync")
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    for name, path in (("ca.crt", control_plane.ca_file), ("cloud.crt", cloud.ca_file)):
        shutil.copyfile(path, given / name)
        (given / name).chmod(0o644)
    kubeconfig(given / "kubeconfig", control_plane.server, token, "/given/ca.crt")
    (given / "kubeconfig").chmod(0o644)
    variables = {
        **cloud.environment,
        "KUBECONFIG": "/given/kubeconfig",
        "SSL_CERT_FILE": "/given/cloud.crt",
    }

    container = await asyncio.to_thread(images.container)
    root = await asyncio.to_thread(images.files, container)
    before = _listing(root)
    config = configuration["config"]
    process = await asyncio.create_subprocess_exec(
        *("buildah", "run", "--volume", f"{given}:/given:ro"),
        *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
        *(container, "--", *config["Entrypoint"], *config["Cmd"]),
        *("--metrics-bind-address=0", "--region=cn-hangzhou", f"--watch-namespaces={namespace}"),
        env=images.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with CloudAdmin(cloud.admin_url) as admin, Api(control_plane) as api:
            await admin.put_secret("image/one", "from the image")
            await put_store(api, cloud, namespace)
            await api.put(external_secret("some", {"key": "image/one", "name": "x"}), namespace)
            await api.until("Secret", namespace, "some", lambda found: found is not None, within=60)
            await api.until_holds(namespace, "some", {"x": "from the image"})
            await api.until_ready(namespace, "some", "Synced")
        pid = _controller(process.pid)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(25):
            _, errors = await process.communicate()
    finally:
        for pid in _descendants(process.pid) if process.returncode is None else ():
            os.kill(pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b'"stopped"' in errors
    assert _listing(root) == before


def _listing(root: Path) -> set[str]:
    """All that is there, but for what buildah itself mounts or makes."""
    return {
        str(Path(folder, name).relative_to(root))
        for folder, folders, there in os.walk(root)
        for name in (*folders, *there)
    } - {"given", "run/.containerenv"}


def test_two_builds_are_the_same(images: Images, configuration: dict[str, Any]) -> None:
    images.make_image()
    again = json.loads(images.run("buildah", "inspect", "--type", "image", IMAGE))["OCIv1"]
    assert again["rootfs"]["diff_ids"] == configuration["rootfs"]["diff_ids"]


def test_image_for_a_platform_is_a_manifest_list_of_the_same_layers(
    images: Images, configuration: dict[str, Any]
) -> None:
    architecture = configuration["architecture"]
    arguments = (f"IMAGE={IMAGE}-list", f"PLATFORMS=linux/{architecture}")
    images.make_image(*arguments)
    # It replaces the first one.
    said = images.make_image(*arguments)
    assert f"buildah manifest push --all {IMAGE}-list docker://{IMAGE}-list" in said
    listed = json.loads(images.run("buildah", "manifest", "inspect", f"{IMAGE}-list"))
    (only,) = listed["manifests"]
    assert only["platform"] == {"architecture": architecture, "os": "linux"}
    digest = only["digest"]
    stored = images.run("buildah", "images", "--all", "--no-trunc", "--digests", "--json")
    (image,) = [found for found in json.loads(stored) if found["digest"] == digest]
    inspected = images.run("buildah", "inspect", "--type", "image", image["id"])
    assert json.loads(inspected)["OCIv1"]["rootfs"] == configuration["rootfs"]
