"""Each claim of the threat model cites a test, and each such test exists; links lead somewhere."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from secret_sync.settings.flags import GROUPS
from tests.support.documentation import ROOT, sections

if TYPE_CHECKING:
    from tests.support.documentation import Section

SECURITY = "docs/security.md"
DOCUMENTS = (SECURITY, "SECURITY.md", "CONTRIBUTING.md")
TEXTS = {name: (ROOT / name).read_text() for name in DOCUMENTS}
_CITED = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
#: What the document advises, describes or says that nothing can show.
WITHOUT_TESTS = ("- **",)


@cache
def functions_of(path: str) -> frozenset[str]:
    """The test functions of a file, those in classes included."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@cache
def anchors_of(path: str) -> frozenset[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = (ROOT / path).read_text()
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return frozenset(re.sub(r"[^a-z0-9 _-]", "", t.lower()).replace(" ", "-") for t in titles)


def claims(section: Section) -> list[str]:
    """The items of a section's lists, each with the lines that belong to it."""
    items = re.findall(r"^- .*(?:\n  .*)*", section.text, flags=re.MULTILINE)
    return [item for item in items if not item.startswith(WITHOUT_TESTS)]


CITED = sorted({cited for text in TEXTS.values() for cited in _CITED.findall(text)})
CLAIMS = [claim for section in sections(SECURITY) for claim in claims(section)]


@pytest.mark.parametrize(("path", "name"), CITED, ids=str)
def test_a_test_that_is_cited_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in functions_of(path)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.splitlines()[0][2:50])
def test_every_claim_cites_a_test(claim: str) -> None:
    assert _CITED.search(claim)


def test_document_has_claims_and_cites_tests() -> None:
    assert len(CLAIMS) >= 40
    assert len(CITED) >= 100


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    links = _LINK.findall(TEXTS[document])
    assert len(links) >= 2
    for link in links:
        path, _, anchor = link.partition("#")
        target = ((ROOT / document).parent / path).resolve() if path else ROOT / document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(str(target.relative_to(ROOT))), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    paths = re.findall(
        r"`((?:secret_sync|tests|docs|deploy|crds|requirements|benchmarks)/[\w./-]*)`",
        TEXTS[document],
    )
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_overlay_and_component_exists() -> None:
    for kind in ("overlay", "component"):
        names = re.findall(rf"{kind} `([\w-]+)`", TEXTS[SECURITY])
        assert len(names) >= 2
        for name in names:
            assert (ROOT / "deploy" / f"{kind}s" / name / "kustomization.yaml").is_file(), name


def test_every_flag_exists() -> None:
    flags = {f"--{flag.name}" for group in GROUPS.values() for flag in group}
    ours = set(re.findall(r"`(--[a-z][a-z-]+)(?:=\w+)?`", TEXTS[SECURITY])) - {"--require-hashes"}
    assert len(ours) >= 3
    assert ours <= flags


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for text in TEXTS.values() for name in re.findall(r"`make ([a-z-]+)", text)}
    assert len(named) >= 5
    assert named <= targets
