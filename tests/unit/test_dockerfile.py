"""What the image promises that can be seen without building it; test_image.py builds it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from fnmatch import fnmatch
from functools import cache
from typing import Any

import pytest
import yaml

from secret_sync import __version__
from tests.support.documentation import ROOT

#: Each instruction with its arguments, continued lines joined, comments omitted.
INSTRUCTIONS = [
    (name, rest.strip())
    for name, _, rest in (
        line.partition(" ")
        for line in re.sub(
            r"\\\n",
            "",
            re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE),
        ).splitlines()
        if line.strip()
    )
]
_FROM = [at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM"]
LAST_STAGE = INSTRUCTIONS[_FROM[-1] :]
PINNED = ("run", "image")


def arguments(name: str, where: list[tuple[str, str]] | None = None) -> list[str]:
    return [rest for found, rest in (INSTRUCTIONS if where is None else where) if found == name]


@cache
def bill() -> Any:
    done = subprocess.run(  # noqa: S603 - a script of ours
        [sys.executable, str(ROOT / "requirements/sbom.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


# --- Where things come from ---------------------------------------------------------------


def test_the_base_is_public_and_the_only_image_that_is_named() -> None:
    (base,) = [rest for rest in arguments("ARG") if rest.startswith("BASE")]
    assert base == "BASE=python:3.13-slim-bookworm"
    stages = {rest.partition(" AS ")[2] for rest in arguments("FROM")}
    assert {rest.partition(" AS ")[0] for rest in arguments("FROM")} == {"${BASE}", "scratch"}
    assert set(re.findall(r"--from=(\S+)", "\n".join(arguments("COPY")))) <= stages
    assert arguments("ADD") == []


@pytest.mark.parametrize("name", ["Dockerfile", "Makefile", "requirements/image.in"])
def test_no_host_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.findall(r"https?://\S+", text) == []
    assert re.findall(r"--(?:extra-)?index-url|--find-links|--trusted-host", text) == []


@pytest.mark.parametrize("name", PINNED)
def test_every_package_is_pinned_by_its_hash(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert re.findall(r"^\s*-|https?://| @ ", text.replace("    --hash=", ""), re.MULTILINE) == []
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 5
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_pip_insists_on_the_hashes_and_adds_nothing() -> None:
    steps = [
        step
        for rest in arguments("RUN")
        for step in rest.split("&&")
        if re.search(r"pip\S* .*(?:install|wheel) ", step)
    ]
    options = ("--require-hashes", "--no-index", "--only-binary :all:", "--no-build-isolation")
    assert [[option for option in options if option in step] for step in steps] == [
        ["--require-hashes", "--only-binary :all:"],
        # What builds a wheel is pinned as well, not looked for at build time.
        ["--require-hashes", "--no-build-isolation"],
        ["--no-index", "--no-build-isolation"],
        # The wheels that were made before, and nothing else.
        ["--no-index"],
    ]
    assert steps[-1].count(".whl") >= 1


def test_the_pins_fit_what_they_are_made_from() -> None:
    wanted = [
        line
        for line in (ROOT / "requirements/image.in").read_text().splitlines()
        if line and line[0] not in "#-"
    ]
    pinned = (ROOT / "requirements/image.txt").read_text()
    assert wanted
    assert [name for name in wanted if not re.search(rf"^{name}==", pinned, re.MULTILINE)] == []
    assert " image " in re.findall(r"for set in (.*); do", (ROOT / "Makefile").read_text())[0]


def test_copied_files_exist_and_are_not_ignored() -> None:
    kept = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        path for rest in arguments("COPY") if "--from" not in rest for path in rest.split()[:-1]
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(fnmatch(path, pattern) for pattern in kept), path
    assert set(kept) == set(copied)


# --- What it is ---------------------------------------------------------------------------


def test_nothing_is_run_in_the_last_stage() -> None:
    assert arguments("RUN", LAST_STAGE) == []
    assert arguments("FROM", LAST_STAGE) == ["scratch"]
    assert not any("/tools" in rest or "/wheels" in rest for _, rest in LAST_STAGE)


def test_build_tools_are_removed_from_the_base() -> None:
    (root,) = [rest for rest in arguments("RUN") if rest.startswith("for lib in")]
    for gone in ("/ensurepip", "-packages/pip", "/usr/local/bin/pip*", "/usr/share/python-wheels"):
        assert gone in root
    assert r"-perm /111 \( -name apt -o -name 'apt-*' -o -name 'dpkg*' \) -delete" in root


def test_no_program_of_the_base_becomes_another_user() -> None:
    (root,) = [rest for rest in arguments("RUN") if rest.startswith("for lib in")]
    assert "find / -xdev -type f -perm /6000 -exec chmod a-s {} + " in root


def test_user_is_a_number_and_not_root() -> None:
    (user,) = arguments("USER", LAST_STAGE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    pod = yaml.safe_load((ROOT / "deploy/base/deployment.yaml").read_text())["spec"]["template"]
    context = pod["spec"]["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def test_entry_point_of_the_image() -> None:
    assert json.loads(arguments("ENTRYPOINT", LAST_STAGE)[0]) == ["secret-sync"]
    assert json.loads(arguments("CMD", LAST_STAGE)[0]) == ["run"]
    (environment,) = arguments("ENV", LAST_STAGE)
    assert "PATH=/opt/secret-sync/bin:" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert arguments("VOLUME") == []


def test_labels() -> None:
    (labels,) = arguments("LABEL", LAST_STAGE)
    said = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', labels))
    assert said["licenses"] == "Apache-2.0"
    assert said["version"] == "${VERSION}"
    assert said["revision"] == "${REVISION}"
    assert said["created"] == "${CREATED}"
    assert {"title", "description"} <= set(said)


def test_compiled_code_bears_no_time() -> None:
    compiled = [
        step for rest in arguments("RUN") for step in rest.split("&&") if "compileall" in step
    ]
    assert len(compiled) == 2
    assert all("--invalidation-mode unchecked-hash" in step for step in compiled)
    assert all("SOURCE_DATE_EPOCH" in rest for rest in arguments("RUN") if "compileall" in rest)


# --- The list of its parts ----------------------------------------------------------------


def test_the_bill_lists_what_is_pinned() -> None:
    pinned = (ROOT / "requirements/run.txt").read_text()
    names = re.findall(r"^([\w.-]+)==(\S+)", pinned, flags=re.MULTILINE)
    listed = bill()["components"]
    assert [(part["name"], part["version"]) for part in listed] == names
    for part in listed:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert part["hashes"]
        for value in part["hashes"]:
            assert value["alg"] == "SHA-256"
            assert f"--hash=sha256:{value['content']}" in pinned
    assert sum(len(part["hashes"]) for part in listed) == pinned.count("--hash=")


def test_the_bill_is_cyclonedx() -> None:
    found = bill()
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    assert uuid.UUID(found["serialNumber"].removeprefix("urn:uuid:")).version == 5
    assert found["metadata"]["component"]["version"] == __version__
    for part in found["components"]:
        # At most one form: the schema has either an expression or names.
        assert len(part.get("licenses", [])) <= 1


def test_bill_of_materials_lists_dependencies() -> None:
    needs = {entry["ref"]: entry["dependsOn"] for entry in bill()["dependencies"]}
    parts = {part["bom-ref"] for part in bill()["components"]}
    assert set(needs) - parts == {bill()["metadata"]["component"]["bom-ref"]}
    assert {ref for needed in needs.values() for ref in needed} == parts


def test_the_bill_is_the_same_each_time() -> None:
    first = bill()
    bill.cache_clear()
    assert bill() == first
