"""The command and the controller say the same of the cases of the controller.

Of each case of tests/data/operator/bad the reason that the controller gives is found: from the
manifests alone, or with what KMS holds as samples. What only the cluster or the cloud can tell
is listed.
"""

from __future__ import annotations

import base64
import json
import string
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync import cli
from tests.support import matching

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[2] / "data" / "operator"
NAMES = {"namespace": "team", "account": "1111222233334444", "access_key_id": "LTAI5tExample"}

#: What is not in the files, by case.
BEYOND = {
    "access-key-garbled": "values of Secrets in files are stand-ins, and not looked at",
    "access-key-missing": "whether a Secret exists that is in no file",
    "access-key-secret-wrong": "Alibaba Cloud knows the AccessKey",
    "access-key-unknown": "Alibaba Cloud knows the AccessKey",
    "access-key-without-that-key": "the keys of a Secret that is in no file",
    "disabled-key": "KMS knows the state of the key",
    "forbidden-by-ram": "RAM decides",
    "merge-into-nothing": "whether a Secret exists that is in no file",
    "no-store": "whether the node has a RAM role",
    "no-such-parameter": "OOS knows its parameters",
    "no-such-version": "KMS knows the versions",
    "not-in-kms": "KMS knows its secrets",
    "one-of-two-fails": "KMS knows its secrets",
    "pinned-managed": "KMS knows the types of its secrets",
    "store-ram-role": "RAM knows the roles",
    "store-remote-role": "RAM knows the roles",
    "store-rrsa-without-token": "what is mounted into the controller's pod",
    "store-service-account": "whether a ServiceAccount exists that is in no file",
    "store-with-nothing": "whether the node has a RAM role",
}
#: What is suspected only: the condition that the controller gives depends on what is in no file,
#: so it is a warning or a note with the same reason.
SUSPECTED = {
    "access-key-elsewhere": "the Secret of the other namespace may allow it",
    "cluster-store": "the store is in no file",
    "missing-store": "the store is in no file",
    "one-of-two-stores-missing": "the store is in no file",
    "store-of-another-namespace": "the store of the other namespace may allow it",
    "template-secret-missing": "the Secret is in no file",
    "template-source-missing": "the ConfigMap is in no file",
    "template-source-without-that-key": "the Secret is in no file",
}
#: Cases that use the SecretStore that the test on the API server puts beside all of them.
STORE = "store"


def folders(sort: str) -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted((DATA / sort).iterdir())]


def filled(value: str) -> str:
    return string.Template(value).safe_substitute(NAMES)


@cache
def cloud() -> dict[str, bytes]:
    """What KMS and OOS hold, as the test on the API server fills them."""
    held = {f"bad/{path.name}": b"unused" for path in (DATA / "bad").iterdir()}
    for entry in yaml.safe_load((DATA / "cloud.yaml").read_text()):
        name = entry["name"]
        if entry.get("missing"):
            held.pop(name, None)
        elif "binary" in entry:
            held[name] = base64.b64decode(entry["binary"])
        elif "repeat" in entry:
            held[name] = b"x" * entry["repeat"]
        else:
            held[name] = str(entry.get("text", entry.get("parameter"))).encode()
    return held


@dataclass
class Checked:
    code: int
    found: dict[str, Any]

    def reasons(self, severity: str, kind: str, name: str) -> set[str]:
        return {
            finding["reason"]
            for finding in self.found[severity]
            if (finding["kind"], finding["name"]) == (kind, name)
        }


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(case: Path, *, samples: bool) -> Checked:
        given = tmp_path / "given.yaml"
        text = filled((case / "given.yaml").read_text())
        asked = set(entry_keys(text))
        # The store that everybody uses.
        parts = [text, *([json.dumps(store())] if f"name: {STORE}" in text else [])]
        given.write_text("\n---\n".join(parts))
        arguments = []
        for number, (name, value) in enumerate(cloud().items() if samples else ()):
            key = next((k for k in asked if k == name or k.endswith(f":secret/{name}")), None)
            if key is not None:
                file = tmp_path / f"sample-{number}"
                file.write_bytes(value)
                arguments.append(f"--sample={key}={file}")
        command = ["check", str(given), "-n", NAMES["namespace"], "-o", "json", *arguments]
        code = cli.main(command)
        return Checked(code, json.loads(capsys.readouterr().out))

    return run


def store() -> dict[str, Any]:
    auth = {half: {"name": "access-key", "key": half} for half in ("accessKey", "accessKeySecret")}
    return {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "SecretStore",
        "metadata": {"name": STORE},
        "spec": {"KMS": {"KMSAuth": auth}},
    }


def entry_keys(text: str) -> Iterator[str]:
    for document in yaml.safe_load_all(text):
        spec = document.get("spec") or {}
        yield from (entry["key"] for entry in spec.get("data") or ())
        yield from (process["extract"]["key"] for process in spec.get("dataProcess") or ())


def expected_reasons(case: Path) -> dict[str, set[tuple[str, str]]]:
    """The reasons of conditions that are not True, with the objects that have them."""
    reasons: dict[str, set[tuple[str, str]]] = {}
    for expected in matching.load(case / "expected.yaml"):
        for condition in expected.get("status", {}).get("conditions", ()):
            if condition["status"] != "True":
                ref = expected["kind"], expected["metadata"]["name"]
                reasons.setdefault(condition["reason"], set()).add(ref)
    return reasons


def keys_of(secret: dict[str, Any]) -> set[str]:
    return set(secret.get("values") or secret.get("data") or ())


@pytest.mark.parametrize("case", folders("good"))
def test_valid_objects_have_no_problem(case: Path, check: Any) -> None:
    checked = check(case, samples=False)
    assert checked.found["problems"] == []
    assert checked.code == 0


@pytest.mark.parametrize("case", folders("good"))
def test_samples_give_the_keys_that_the_secret_has(case: Path, check: Any) -> None:
    checked = check(case, samples=True)
    assert checked.found["problems"] == []
    (sample,) = checked.found["samples"]
    assert sample["without"] == []
    secrets = {
        e["metadata"]["name"]: keys_of(e)
        for e in matching.load(case / "expected.yaml")
        if e["kind"] == "Secret" and keys_of(e)
    }
    merged = {
        document["metadata"]["name"]: set(document["stringData"])
        for document in yaml.safe_load_all(filled((case / "given.yaml").read_text()))
        if document["kind"] == "Secret"
    }
    assert sample["keys"]
    if sample["secret"] in secrets:
        theirs = merged.get(sample["secret"], set())
        assert secrets[sample["secret"]] - theirs == set(sample["keys"])


@pytest.mark.parametrize("case", folders("bad"))
def test_error_is_reported_with_the_reason_of_the_controller(case: Path, check: Any) -> None:
    alone, sampled = check(case, samples=False), check(case, samples=True)
    expected = expected_reasons(case)
    assert expected

    def reported(checked: Checked, *severities: str) -> bool:
        # One of the objects is enough: what is wrong with the AccessKey of a store need not be
        # repeated for each user of the store.
        return all(
            any(reason in checked.reasons(s, *ref) for s in severities for ref in objects)
            for reason, objects in expected.items()
        )

    certain = reported(alone, "problems") or reported(sampled, "problems")
    if case.name in BEYOND or case.name in SUSPECTED:
        assert not certain, "it is told: take it off the list"
        assert alone.code == 0
        assert reported(alone, "warnings", "notes") is (case.name in SUSPECTED)
    else:
        assert certain, f"not told of (or is it beyond the files?): {expected}"
        assert sampled.code == 1
