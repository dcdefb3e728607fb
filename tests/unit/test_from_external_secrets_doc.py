"""What docs/from-external-secrets.md names exists, and all that it shows is run by a test."""

from __future__ import annotations

import json
import re

import yaml

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.template_functions import LACKING
from secret_sync.resources import Reason, names
from secret_sync.settings.flags import GROUPS
from tests.support.documentation import ROOT, section, sections

DOCUMENT = "docs/from-external-secrets.md"
TEXT = (ROOT / DOCUMENT).read_text()
WALK = (ROOT / "tests/integration/takeover/test_from_external_secrets.py").read_text()
#: Flags of `secret-sync` commands other than `run`, of kubectl, and of other programs.
OTHERS = {
    *("--adopt", "--strict", "--exit-code", "--keep-secrets", "--all-namespaces", "--yes"),
    *("--server-side", "--for", "--timeout", "--replicas", "--no-headers", "--type", "--cascade"),
    "--all",
}


def test_every_command_is_one_that_the_tests_run() -> None:
    fences = re.findall(r"^```(\S.*)$", TEXT, flags=re.MULTILINE)
    kinds = {fence.removeprefix("sh ") for fence in fences if fence.startswith("sh ")}
    assert set(fences) == {f"sh {kind}" for kind in kinds} | {"text", "json"}
    assert {kind for kind in kinds if f'"{kind}"' not in WALK} == set()
    assert len(kinds) == 11


def test_no_command_uninstalls_and_deletions_keep_what_is_owned() -> None:
    commands = [line for s in sections(DOCUMENT) for line in _commands(s.text)]
    deleting = [line for line in commands if " delete " in line]
    assert len(deleting) == 2
    assert all("--cascade=orphan" in line for line in deleting)
    assert not [line for line in commands if "helm" in line]


def _commands(text: str) -> list[str]:
    blocks = re.findall(r"^```sh \S+\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


def test_the_warning_is_before_everything_else() -> None:
    assert TEXT.index("**Do not `helm uninstall`") < TEXT.index("```")


def test_every_flag_in_the_document_exists() -> None:
    flags = {f"--{flag.name}" for group in GROUPS.values() for flag in group}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= flags | OTHERS


def test_every_reason_in_the_document_exists() -> None:
    reasons = {reason.value for reason in Reason}
    said = set(re.findall(r"reasons? `([A-Za-z]+)`", TEXT))
    rows = re.findall(r"^\| (`[A-Z][A-Za-z`, ]+) \|", section(DOCUMENT, "4.").text, re.MULTILINE)
    said |= {word for row in rows for word in re.findall(r"`([A-Za-z]+)`", row)}
    assert said <= reasons
    assert len(said) >= 8


def test_subjects_of_the_trust_policy_are_the_two_service_accounts() -> None:
    (text,) = [found for s in sections(DOCUMENT) for found in s.fenced("json")]
    account = yaml.safe_load((ROOT / "deploy/base/serviceaccount.yaml").read_text())["metadata"]
    home = yaml.safe_load((ROOT / "deploy/base/kustomization.yaml").read_text())["namespace"]
    assert json.loads(f"{{{text}}}")["oidc:sub"] == [
        "system:serviceaccount:external-secrets:external-secrets",
        f"system:serviceaccount:{home}:{account['name']}",
    ]


def test_levels_of_comments_are_documented() -> None:
    documented = set(re.findall(r"^\| `([A-Z]+)` \|", TEXT, flags=re.MULTILINE))
    assert documented == {level.value for level in Effect} - {Effect.NOTE}


def test_annotations_in_the_document_exist() -> None:
    known = {getattr(names, name) for name in dir(names) if name.endswith("_ANNOTATION")}
    found = set(re.findall(r"secret-sync\.alibabacloud\.com/[a-z-]+", TEXT))
    assert {annotation.removesuffix("-") for annotation in found} <= known


def test_kinds_of_functions_that_are_missing_are_documented() -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| functions for ")]
    assert "rsaDecrypt" in LACKING
    for word, function in (("PKCS#12", "pkcs12key"), ("PEM", "filterPEM"), ("YAML", "toYaml")):
        assert word in row
        assert function in LACKING


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([a-z./-]*)(?:#([^)]+))?\)", TEXT)
    assert len(links) >= 8
    for name, anchor in links:
        target = (ROOT / "docs" / name).read_text() if name else TEXT
        titles = re.findall(r"^##+ (.+)$", target, flags=re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", t.lower()).replace(" ", "-") for t in titles}
        assert not anchor or anchor in anchors, anchor
