"""What a release asks of the API server, and what it makes of the answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.backoff import Backoff
from secret_sync.cli.release import steps
from secret_sync.cli.release.ownership import OrphanRisk, ReleasableSecret, classify
from secret_sync.kube import METADATA, METADATA_LIST
from tests.unit.cli.conftest import collection
from tests.unit.cli.fakes import Terminal
from tests.unit.kube.fakes import answering, closing, refusing

if TYPE_CHECKING:
    from tests.support.commands import Cli
    from tests.unit.kube.fakes import ScriptedServer

OWNER = "secret-sync.alibabacloud.com/owner"
RELEASE = ("release", "--keep-secrets", "--yes", "-n", "ns")
BUSY = refusing(503, "ServiceUnavailable")
CONFLICT = refusing(409, "Conflict")
REPLACED = refusing(
    422, "Invalid", causes=[{"field": "metadata.uid", "reason": "FieldValueInvalid"}]
)

REFERENCE = {
    "apiVersion": "alibabacloud.com/v1alpha1",
    "kind": "ExternalSecret",
    "name": "some",
    "uid": "es-uid",
    "controller": True,
}
FOREIGN_REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d-uid"}
APPLIED = {
    "manager": "secret-sync",
    "operation": "Apply",
    "apiVersion": "v1",
    "time": "2026-01-01T00:00:00Z",
    "fieldsType": "FieldsV1",
    "fieldsV1": {
        "f:data": {"f:password": {}},
        "f:metadata": {
            "f:annotations": {f"f:{OWNER}": {}},
            "f:ownerReferences": {'k:{"uid":"es-uid"}': {}},
        },
        "f:type": {},
    },
}
EDITED = {
    "manager": "kubectl-edit",
    "operation": "Update",
    "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}},
}
RELEASED = {
    **APPLIED,
    "manager": "secret-sync-released",
    "operation": "Update",
    "fieldsV1": {"f:type": {}},
}


#: No ExternalSecret was created by a ClusterExternalSecret.
NO_CHILDREN = answering(collection("PartialObjectMetadata"))


def secret(name: str = "some", rv: str = "7", **metadata: Any) -> dict[str, Any]:
    """A Secret of ours, as its metadata on_released."""
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": rv,
            "annotations": {OWNER: f"{name}/es-uid"},
            "ownerReferences": [REFERENCE],
            "managedFields": [APPLIED],
            **metadata,
        }
    }


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "RECLAIM_SECONDS", 0.0)
    monkeypatch.setattr(steps, "BACKOFF", Backoff(base=0.001))


def holding(server: ScriptedServer, *secrets: dict[str, Any]) -> None:
    """These Secrets are there before the release, and none of them is ours after it."""
    server.lists.append(answering(collection("PartialObjectMetadata", *secrets)))
    server.lists.append(NO_CHILDREN)
    server.lists.append(answering(collection("PartialObjectMetadata")))


def patches(server: ScriptedServer) -> list[dict[str, Any]]:
    return [orjson.loads(r.body)["metadata"] for r in server.requests if r.method == "PATCH"]


async def test_marks_go_and_everything_else_stays(server: ScriptedServer, cli: Cli) -> None:
    holding(
        server,
        secret(ownerReferences=[FOREIGN_REFERENCE, REFERENCE], managedFields=[EDITED, APPLIED]),
    )
    done = await cli(*RELEASE)
    assert done.code == 0
    assert done.out == "released ns/some\n1 Secret released\n"
    assert patches(server) == [
        {
            "uid": "uid-some",
            "resourceVersion": "7",
            "annotations": {OWNER: None},
            "ownerReferences": [FOREIGN_REFERENCE],
            "managedFields": [EDITED, RELEASED],
        }
    ]


async def test_payloads_are_never_asked_for(server: ScriptedServer, cli: Cli) -> None:
    holding(server, secret())
    server.others.append(CONFLICT)
    server.lists.insert(2, answering(secret(rv="8")))
    await cli(*RELEASE)
    accepted = [request.headers["accept"] for request in server.requests]
    assert accepted == [METADATA_LIST] * 2 + [METADATA] * 3 + [METADATA_LIST]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"managedFields": [EDITED]}, id="the mark is a copy"),
        pytest.param({"managedFields": None, "ownerReferences": None}, id="a copy, nothing else"),
        pytest.param({"managedFields": [RELEASED], "annotations": None}, id="released"),
        pytest.param(
            {"managedFields": [{**APPLIED, "manager": "secret-sync-merge-es-uid"}]}, id="Merge"
        ),
        pytest.param({"ownerReferences": [FOREIGN_REFERENCE], "managedFields": []}, id="another's"),
    ],
)
def test_unmanaged_secrets(metadata: dict[str, Any]) -> None:
    assert classify(secret(**{"ownerReferences": None, **metadata})) is None


def test_retained_secret_is_managed() -> None:
    managed = classify(secret(ownerReferences=None))
    assert isinstance(managed, ReleasableSecret)
    assert managed.patch["metadata"]["ownerReferences"] is None


def test_unmanaged_secret_with_our_owner_is_an_orphan_risk() -> None:
    assert classify(secret(managedFields=[EDITED])) == OrphanRisk("ns", "some", "some")


async def test_the_list_is_read_page_by_page(server: ScriptedServer, cli: Cli) -> None:
    first = collection("PartialObjectMetadata", secret("a"), token="more")
    server.lists.append(answering(first))
    server.lists.append(answering(collection("PartialObjectMetadata", secret("b"))))
    server.lists.append(NO_CHILDREN)
    server.lists.append(answering(collection("PartialObjectMetadata")))
    done = await cli(*RELEASE)
    assert "2 Secrets released" in done.out
    assert [request.query for request in server.listed[:2]] == [
        {"limit": "500"},
        {"limit": "500", "continue": "more"},
    ]


@pytest.mark.parametrize("refusal", [CONFLICT, REPLACED])
async def test_secret_that_changed_meanwhile_is_classified_again(
    refusal: Any, server: ScriptedServer, cli: Cli
) -> None:
    holding(server, secret())
    server.others.append(refusal)
    server.lists.insert(2, answering(secret(rv="8")))
    assert (await cli(*RELEASE)).code == 0
    assert [patch["resourceVersion"] for patch in patches(server)] == ["7", "8"]


async def test_secret_that_is_no_longer_managed_is_skipped(
    server: ScriptedServer, cli: Cli
) -> None:
    holding(server, secret())
    server.others.append(CONFLICT)
    server.lists.insert(2, answering(secret(managedFields=[RELEASED], ownerReferences=None)))
    assert (await cli(*RELEASE)).code == 0
    assert len(patches(server)) == 1


async def test_secret_that_changes_all_the_time_is_a_failure(
    server: ScriptedServer, cli: Cli
) -> None:
    server.lists.extend([answering(collection("PartialObjectMetadata", secret())), NO_CHILDREN])
    server.lists.extend([answering(secret())] * steps.TRIES)
    server.others.extend([CONFLICT] * steps.TRIES)
    done = await cli(*RELEASE)
    assert done.code == 1
    assert "run this again" in done.err


@pytest.mark.parametrize("error", [BUSY, closing()])
async def test_transient_fault_is_retried(error: Any, server: ScriptedServer, cli: Cli) -> None:
    holding(server, secret())
    server.others.extend([error, error])
    done = await cli(*RELEASE)
    assert (done.code, done.err) == (0, "")


async def test_secret_that_is_gone_needs_no_release(server: ScriptedServer, cli: Cli) -> None:
    holding(server, secret())
    server.others.append(refusing(404, "NotFound"))
    assert (await cli(*RELEASE)).code == 0


async def test_failure_does_not_stop_the_others(server: ScriptedServer, cli: Cli) -> None:
    holding(server, secret("a"), secret("b"), secret("c", deletionTimestamp="2026-01-01T00:00:00Z"))
    server.others.append(refusing(403, "Forbidden"))
    done = await cli(*RELEASE)
    assert done.code == 1
    assert "1 Secret released, 2 failed" in done.out
    assert done.err.count(" is not released: ") == 2
    assert "ns/c is not released: it is already being deleted" in done.err


async def test_reclaimed_secrets_are_reported(server: ScriptedServer, cli: Cli) -> None:
    ours = answering(collection("PartialObjectMetadata", *map(secret, "abcd")))
    server.lists.extend([ours, NO_CHILDREN, ours])
    done = await cli(*RELEASE)
    assert done.code == 1
    assert "adopted 4 of 4 Secrets again (ns/a, ns/b, ns/c, ...)" in done.err


async def test_dry_run_is_one_for_the_api_server_too(server: ScriptedServer, cli: Cli) -> None:
    server.lists.extend([answering(collection("PartialObjectMetadata", secret())), NO_CHILDREN])
    done = await cli("release", "--keep-secrets", "--dry-run", "-n", "ns")
    assert (done.code, done.err) == (0, "")
    assert done.out == "would release ns/some\n1 Secret would be released\n"
    assert [r.query.get("dryRun") for r in server.requests if r.method == "PATCH"] == ["All"]
    assert len(server.listed) == 2


@pytest.mark.parametrize(
    ("answer", "code", "writes"), [("y\n", 0, 1), ("Yes\n", 0, 1), ("\n", 1, 0), ("", 1, 0)]
)
async def test_person_is_asked(
    answer: str,
    code: int,
    writes: int,
    server: ScriptedServer,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holding(server, secret())
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = await cli("release", "--keep-secrets", "-n", "ns")
    assert done.out.startswith("Release 1 Secret in namespace ns from secret-sync? None is deleted")
    assert (done.code, len(patches(server))) == (code, writes)


async def test_children_of_cluster_external_secrets_are_freed_first(
    server: ScriptedServer, cli: Cli
) -> None:
    reference = {**REFERENCE, "kind": "ClusterExternalSecret", "uid": "ces-uid"}
    metadata = {"namespace": "ns", "name": "child", "uid": "uid-child", "resourceVersion": "3"}
    child = {"metadata": {**metadata, "ownerReferences": [FOREIGN_REFERENCE, reference]}}
    free = {"metadata": {**metadata, "name": "free", "ownerReferences": [FOREIGN_REFERENCE]}}
    server.lists.append(answering(collection("PartialObjectMetadata", secret())))
    server.lists.append(answering(collection("PartialObjectMetadata", child, free)))
    server.lists.append(answering(collection("PartialObjectMetadata")))
    done = await cli(*RELEASE)
    assert done.code == 0
    assert done.out.startswith("released 1 ExternalSecret from ClusterExternalSecrets\n")
    first, second = patches(server)
    assert first == {
        "uid": "uid-child",
        "resourceVersion": "3",
        "ownerReferences": [FOREIGN_REFERENCE],
    }
    assert second["uid"] == "uid-some"
