"""What docs/versioning.md and docs/release.md name exists; tests/integration/deploy runs them."""

from __future__ import annotations

import re

import pytest
import yaml

from secret_sync.local.controlplane import build_spec
from tests.support.documentation import ROOT, section, sections

VERSIONING, RELEASE = "docs/versioning.md", "docs/release.md"
#: Blocks that no test runs, each with why not.
NOT_RUN = {
    "tests": "hours; CI runs the first two",
    "image": "pushes to a registry; test_image.py builds",
    "combine": "pushes to a registry",
    "cosign": "needs a key and a registry",
}


def page(name: str) -> str:
    return (ROOT / name).read_text()


def anchors(name: str) -> set[str]:
    titles = re.findall(r"^##+ (.+)$", page(name), flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", [VERSIONING, RELEASE])
def test_every_link_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([\w./-]*)(?:#([^)]+))?\)", page(name))
    assert links
    for file, anchor in links:
        target = (ROOT / "docs" / file).resolve() if file else ROOT / name
        assert target.is_file(), file
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), (file, anchor)


@pytest.mark.parametrize("name", [VERSIONING, RELEASE])
def test_every_command_is_run_by_a_test_or_says_why_not(name: str) -> None:
    walk = (ROOT / "tests/integration/deploy/test_release_docs.py").read_text()
    kinds = re.findall(r"^```sh ?(\S*)$", page(name), flags=re.MULTILINE)
    assert len(kinds) >= 2
    assert {kind for kind in kinds if kind not in NOT_RUN and f'"{kind}"' not in walk} == set()


@pytest.mark.parametrize("name", [VERSIONING, RELEASE])
def test_every_target_of_make_exists(name: str) -> None:
    targets = re.findall(r"^([a-z-]+):", page("Makefile"), flags=re.MULTILINE)
    named = re.findall(r"(?:^|`|=\S+ )make ([a-z-]+)", page(name), flags=re.MULTILINE)
    assert named
    assert set(named) <= set(targets)


def test_versions_of_kubernetes_are_those_that_can_be_built() -> None:
    newest = ".".join(map(str, build_spec.load().versions["kube-apiserver"]))
    said = section(VERSIONING, "Which Kubernetes").text
    assert set(re.findall(r"\b1\.\d+\.\d+\b", said)) == {newest, *build_spec.others()}
    assert set(re.findall(r"K8S=([\d.]+\d)", page(RELEASE))) == set(build_spec.others())


def test_every_page_of_an_interface_is_listed() -> None:
    """Sections of the reference that name things which people write down elsewhere."""
    said = section(VERSIONING, "What is an interface").text
    for title in (
        *("ExternalSecret", "SecretStore and ClusterSecretStore", "ClusterExternalSecret"),
        *("Status", "Values", "The Secret", "Reasons", "Flags", "Environment variables"),
        *("Annotations, labels, finalizers, field managers", "Metrics", "Alerts", "Health"),
        "Commands and exit codes",
    ):
        anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        assert anchor in anchors("docs/reference.md")
        assert f"](reference.md#{anchor})" in said, title


def test_files_of_a_release_are_listed() -> None:
    script = page("release/files.sh")
    rows = re.findall(r"^\| `([^`]+)` \|", section(RELEASE, "The files").text, flags=re.MULTILINE)
    assert len(rows) == 6
    for row in rows:
        assert re.split("[-<]", row)[0] in script, row


def test_kustomization_of_an_install_file_names_the_placeholder() -> None:
    (text,) = section(RELEASE, "The files").fenced("yaml kustomization")
    found = yaml.safe_load(text)
    assert found["resources"] == ["install-rrsa.yaml"]
    assert [image["name"] for image in found["images"]] == ["secret-sync"]


def test_signed_files_are_files_of_the_release() -> None:
    blocks = "".join(text for s in sections(RELEASE) for text in s.fenced("sh cosign"))
    files = set(re.findall(r"(?:dist/)?(SHA256SUMS|[\w.]+\.json)\b", blocks))
    assert files == {"SHA256SUMS", "sbom.cdx.json"}
