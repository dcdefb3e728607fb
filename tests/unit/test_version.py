"""The version is in one place, and what repeats it agrees."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from importlib import metadata

import pytest
import yaml

from secret_sync import __version__
from tests.support.documentation import ROOT

RELEASES = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_package_takes_the_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "secret_sync/__init__.py"}
    assert metadata.version("secret-sync") == __version__


@pytest.mark.parametrize("name", ["test", "image"])
def test_build_backend_is_pinned_with_hashes(name: str) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pinned = (ROOT / f"requirements/{name}.txt").read_text()
    for requirement in wanted:
        package = re.split("[<>=]", requirement)[0]
        assert re.search(rf"^{package}==\S+ \\\n    --hash=sha256:", pinned, re.MULTILINE)
    assert "index-url" not in pinned


def test_changelog_has_this_version_below_what_is_unreleased() -> None:
    assert RELEASES[0] == "Unreleased"
    version, _, date = RELEASES[1].partition(" - ")
    assert version == __version__
    assert dt.date.fromisoformat(date).isoformat() == date


def test_image_of_the_manifests_is_this_version() -> None:
    (deployment,) = yaml.safe_load_all((ROOT / "deploy/base/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"secret-sync:{__version__}"


@pytest.mark.parametrize(
    "page", sorted(p.name for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_documents_name_this_version(page: str) -> None:
    (file,) = [path for path in (ROOT / page, ROOT / "docs" / page) if path.exists()]
    pattern = (
        r'newTag: "([^"]+)"|(?:[?]ref=|--annotate |--branch )v(\S+)'
        r"|secret-sync[: -]v?(\d+[.]\d+[.]\d+)"
    )
    found = {"".join(groups) for groups in re.findall(pattern, file.read_text())}
    assert found <= {__version__}
