"""What the documents name exists, and what exists about identities is named."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from secret_sync.controller.store.identity import AUDIENCE
from secret_sync.resources import Reason
from secret_sync.settings import OwnIdentity
from secret_sync.settings.flags import GROUPS
from secret_sync.settings.parse import OWN_IDENTITY
from tests.support.documentation import ROOT, sections
from tests.unit.reference_tables import Page

if TYPE_CHECKING:
    from pathlib import Path

AUTHENTICATION = "docs/authentication.md"
TEXT = (ROOT / AUTHENTICATION).read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]

#: Reasons that have nothing to do with who somebody is.
ELSEWHERE = {
    *("Synced", "Ready", "Pending", "UnknownProvider", "InvalidSpec", "NoData", "InvalidKey"),
    *("TooLarge", "SecretNotFound", "Forbidden", "SecretUnavailable", "ClockSkew", "Throttled"),
    *("ProviderUnavailable", "RequestRefused", "SecretConflict", "WriteConflict"),
    *("WriteForbidden", "WriteFailed", "NotWritten", "KeyConflict", "TargetMissing"),
    *("InvalidJMESPath", "InvalidRegex", "NotADocument", "DuplicateKey", "PathNotFound"),
    *("KeyCollision", "TooCostly", "EndpointNotAllowed", "CRDOutdated", "ValueUnusable"),
    *("PrivateCAUnknown", "VersionMismatch", "Provisioned", "NamespacesFailed"),
    *("NoNamespaceMatches", "ExternalSecretsReady", "ExternalSecretsNotReady"),
    *("Restarted", "RestartDelayed", "RestartInvalid", "RestartForbidden", "RestartFailed"),
    "WorkloadNotFound",
    *("TemplateInvalid", "TemplateFailed", "TemplateSourceNotFound", "TemplateSourceForbidden"),
}


def first_column() -> set[str]:
    """Words in the first column of the tables of reasons."""
    rows = re.findall(r"^\| (`[A-Z][A-Za-z]+`.*?) \|", TEXT, flags=re.MULTILINE)
    words = {word for row in rows for word in re.findall(r"`([A-Za-z]+)`", row)}
    return {word for word in words if not word.isupper()}


def test_every_reason_in_the_document_exists() -> None:
    assert first_column() <= {reason.value for reason in Reason}


def test_every_reason_about_an_identity_is_in_the_document() -> None:
    about_identities = {reason.value for reason in Reason} - ELSEWHERE
    assert {reason for reason in about_identities if f"`{reason}`" not in TEXT} == set()


def test_every_flag_in_the_document_exists() -> None:
    flags = {f"--{flag.name}" for group in GROUPS.values() for flag in group}
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) <= flags


def test_every_variable_of_the_controllers_identity_is_in_the_document() -> None:
    assert [
        name for names in OWN_IDENTITY.values() for name in names if f"`{name}`" not in TEXT
    ] == []


def test_every_variable_in_the_document_exists() -> None:
    known = {name for names in OWN_IDENTITY.values() for name in names}
    known |= {name for group in GROUPS.values() for flag in group for name in flag.environment}
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT)) <= known


def test_the_volume_of_the_token_is_where_the_controller_looks() -> None:
    (text,) = [found for s in sections(AUTHENTICATION) for found in s.fenced("yaml volume")]
    (source,) = yaml.safe_load(text)["volumes"][0]["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert token["audience"] == AUDIENCE
    (mount,) = re.findall(r"mounted at (\S+)", text)
    assert f"{mount}/{token['path']}" == OwnIdentity().oidc_token_file


def test_resources_beside_the_base_exist() -> None:
    (text,) = [found for s in sections(AUTHENTICATION) for found in s.fenced("yaml kustomization")]
    listed = yaml.safe_load(text)
    assert listed["resources"]
    assert listed["components"]
    for path in listed["resources"] + listed["components"]:
        assert (ROOT / path / "kustomization.yaml").is_file()


def test_the_policy_for_oos_reads_parameters_and_decrypts_them() -> None:
    (what,) = [s for s in sections(AUTHENTICATION) if s.title.startswith("Permissions of")]
    _, text = what.fenced("json policy")
    allowed = {
        action: resource
        for statement in json.loads(text)["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert allowed["oos:GetSecretParameter"].startswith("acs:oos:*:<account>:secretparameter/")
    assert allowed["kms:Decrypt"].startswith("acs:kms:*:<account>:key/")


def test_every_policy_is_json() -> None:
    policies = [
        text
        for section in sections(AUTHENTICATION)
        for info in ("json policy", "json trust")
        for text in section.fenced(info)
    ]
    assert len(policies) >= 8
    for policy in policies:
        assert json.loads(policy)["Version"] == "1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, mark in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), file
        assert not mark or mark in Page(there.read_text()).anchors, f"{file}#{mark}"


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


#: For those who have the source tree: the code, what assures its security, and how it is released.
WITH_SOURCES = {
    *("architecture.md", "security.md", "release.md", "CONTRIBUTING.md", "CHANGELOG.md"),
}


def test_pages_for_users_point_to_no_source() -> None:
    found = {
        (page.name, path)
        for page in PAGES
        if page.name not in WITH_SOURCES
        for path in re.findall(r"(?:tests|secret_sync|benchmarks)/[\w/]+\.py", page.read_text())
    }
    assert found == set()


def test_applied_files_are_the_users_own() -> None:
    """`deploy/` has a placeholder for the image, and each overlay another ServiceAccount."""
    applied = {
        (page.name, folder)
        for page in PAGES
        for folder in re.findall(r"\bapply\b[^`\n]* -k (\S+?)[`\s]", page.read_text())
    }
    assert ("runbook.md", "my-cluster") in applied
    allowed = {"crds", "crds/legacy", "my-cluster"}
    allowed |= {'"https://HOST/ORG/secret-sync//crds?ref=v0.1.0"'}
    assert {one for one in applied if one[1] not in allowed} == set()
