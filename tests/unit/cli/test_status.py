"""The status of objects, in tables and in JSON."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.cli.status import watch
from secret_sync.cli.status.rows import (
    ClusterExternalSecretRow,
    ExternalSecretRow,
    StatusSnapshot,
    StoreRow,
)
from secret_sync.cli.status.tables import ago, render
from secret_sync.cli.terminal import Screen
from secret_sync.kube import ClusterAccess, KubeClient
from tests.support.documentation import ROOT
from tests.unit.cli.conftest import collection, serving
from tests.unit.kube.fakes import (
    answering,
    event,
    eventually,
    kubeconfig_text,
    refusing,
    status_of,
    streaming,
)
from tests.unit.reference_tables import Page, codes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.commands import Cli
    from tests.unit.kube.fakes import ScriptedServer

GROUP = "/apis/alibabacloud.com/v1alpha1"
NOBODY = "no controller has reported on it yet; does one run, and does it watch this namespace?"
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def condition(status: str, reason: str, message: str = "", generation: int = 1) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


SYNCED = condition("True", "Synced", "Secret some holds 1 key")
BROKEN = condition("False", "SecretNotFound", "KMS has no secret db; create it")


def example(
    name: str = "some",
    *conditions: dict[str, Any],
    kind: str = "ExternalSecret",
    generation: int = 1,
    last_sync: str = "",
    **spec: Any,
) -> dict[str, Any]:
    """An object of one of our kinds in namespace ``ns``."""
    status: dict[str, Any] = {"conditions": list(conditions)} if conditions else {}
    if last_sync:
        status["lastSyncTime"] = last_sync
    return {
        "kind": kind,
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": generation,
        },
        "spec": spec,
        "status": status,
    }


def drawn(*documents: dict[str, Any], width: int = 0, colours: bool = False) -> list[str]:
    rows = [ExternalSecretRow.from_dict(d) for d in documents if d["kind"] == "ExternalSecret"]
    stores = [StoreRow.from_dict(d) for d in documents if d["kind"] != "ExternalSecret"]
    screen = Screen(io.StringIO(), terminal=bool(width), colours=colours, width=width)
    return render(StatusSnapshot.of("ns", rows, stores), screen, NOW)


def test_table_of_objects() -> None:
    lines = drawn(
        example("good", SYNCED, last_sync="2026-01-01T11:57:00Z", rotationInterval="30s"),
        example("bad", BROKEN),
        example("new"),
    )
    assert (
        "\n".join(lines)
        == """\
NAME   READY     REASON           LAST SYNC   NEXT SYNC      WHY NOT
bad    False     SecretNotFound   -           with backoff   KMS has no secret db; create it
good   True      Synced           3m ago      every 30s
new    Unknown   -                -           -              no controller has reported on it yet; \
does one run, and does it watch this namespace?

3 ExternalSecrets, 2 not ready"""
    )


def test_wide_table_has_secret_and_policy() -> None:
    row = ExternalSecretRow.from_dict(example("some", SYNCED, target={"name": "other"}))
    screen = Screen(io.StringIO())
    head, line, *_ = render(StatusSnapshot.of("ns", [row], []), screen, NOW, wide=True)
    assert head.split()[-4:] == ["SECRET", "REFRESH", "WHY", "NOT"]
    assert line.split()[-2:] == ["other", "Periodic"]


def test_message_that_does_not_fit_follows_below_its_row() -> None:
    message = "KMS has no secret db; create it, or write another key into the ExternalSecret"
    bad = example("bad", condition("False", "SecretNotFound", message))
    lines = drawn(bad, width=80)
    assert lines[1] == "bad    False   SecretNotFound   -           with backoff"
    assert " ".join(line.strip() for line in lines[2:-2]) == message
    assert all(line.startswith("    ") and len(line) <= 80 for line in lines[2:-2])


def test_object_is_shown_alone_by_its_name() -> None:
    rows = [ExternalSecretRow.from_dict(example(name, SYNCED)) for name in ("one", "two")]
    assert [row.name for row in StatusSnapshot.of("ns", rows, []).only("two").objects] == ["two"]


def test_stores_are_shown_where_they_are_not_ready() -> None:
    missing = condition("False", "AccessKeyNotFound", "Secret ns/key does not exist")
    cluster = example("shared", missing, kind="ClusterSecretStore")
    del cluster["metadata"]["namespace"]
    lines = drawn(
        example("some", SYNCED),
        example("fine", condition("True", "Ready"), kind="SecretStore"),
        example("broken", missing, kind="SecretStore"),
        cluster,
    )
    assert lines[-3:] == [
        "STORES THAT ARE NOT READY   READY   REASON              WHY NOT",
        "ClusterSecretStore shared   False   AccessKeyNotFound   Secret ns/key does not exist",
        "SecretStore ns/broken       False   AccessKeyNotFound   Secret ns/key does not exist",
    ]


def test_nothing_to_show_is_said() -> None:
    assert drawn() == ["no ExternalSecrets in namespace ns"]


def test_ready_for_an_older_generation_is_not_ready() -> None:
    row = ExternalSecretRow.from_dict(example("some", SYNCED, generation=2))
    assert (row.readiness.ready, row.readiness.good) == ("True", False)
    assert row.readiness.why_not == "the last change is not reconciled yet"


@pytest.mark.parametrize(
    ("spec", "ready", "expected"),
    [
        ({"rotationInterval": "30s"}, SYNCED, "every 30s"),
        ({}, SYNCED, "polling interval"),
        ({"rotationInterval": "30s"}, BROKEN, "with backoff"),
        ({"refreshPolicy": "OnChange"}, SYNCED, "on change"),
        ({"refreshPolicy": "CreatedOnce"}, SYNCED, "never"),
        ({"refreshPolicy": "CreatedOnce"}, BROKEN, "with backoff"),
        ({"refreshPolicy": "OnChange"}, BROKEN, "with backoff"),
        ({"rotationInterval": "30s"}, condition("False", "StoreNotFound"), "on change"),
        ({"rotationInterval": "30s"}, condition("False", "SecretConflict"), "every 1m"),
        ({"rotationInterval": "30s"}, condition("False", "PathNotFound"), "every 30s"),
        ({"refreshPolicy": "CreatedOnce"}, condition("False", "PathNotFound"), "never"),
        ({}, condition("True", "Synced", generation=0), "now"),
    ],
)
def test_next_sync_is_shown_as_far_as_it_is_known(
    spec: dict[str, Any], ready: dict[str, Any], expected: str
) -> None:
    assert ExternalSecretRow.from_dict(example("some", ready, **spec)).next_sync == expected


#: What NEXT SYNC may say, by what the reference says about waiting.
MENDED = {
    "no: at once": {"on change", "every 1m", "polling interval"},
    "no: next fetch": {"polling interval"},
    "no: 1 min": {"every 1m", "with backoff"},
    "no: 5 min": {"with backoff"},
    "no: restart": {"on change", "with backoff"},
    "yes": {"with backoff"},
}
#: Of ClusterExternalSecrets, of stores, of an entry, or of restarts; or mended at Alibaba Cloud,
#: where nothing tells of it.
OTHERWISE = {
    *("Provisioned", "NamespacesFailed", "NoNamespaceMatches", "ExternalSecretsReady"),
    *("ExternalSecretsNotReady", "Ready", "Synced", "NotWritten", "AccessKeyInvalid"),
    *("Restarted", "RestartDelayed", "RestartInvalid", "RestartForbidden", "RestartFailed"),
    "WorkloadNotFound",
}


def test_next_sync_agrees_with_the_reference() -> None:
    page = Page((ROOT / "docs/reference.md").read_text())
    rows = [(codes(row["reason"])[0], row["waiting"]) for row in page.rows("Reasons", "reason")]
    assert len(rows) > 50
    shown = {
        reason: ExternalSecretRow.from_dict(example("some", condition("False", reason))).next_sync
        for reason, _ in rows
    }
    assert [
        (reason, waiting, shown[reason])
        for reason, waiting in rows
        if reason not in OTHERWISE and shown[reason] not in MENDED[waiting]
    ] == []


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-01T11:58:01Z", "119s ago"),
        ("2026-01-01T11:58:00Z", "2m ago"),
        ("2026-01-01T10:00:00Z", "2h ago"),
        ("2025-12-30T12:00:00Z", "2d ago"),
        ("2026-01-01T12:00:09Z", "0s ago"),  # by a clock that is ahead of ours
        ("2026-01-01T11:58:01", "119s ago"),
        ("", "-"),
        ("lately", "-"),
    ],
)
def test_ages_are_short(time: str, expected: str) -> None:
    assert ago(time, NOW) == expected


def test_colours_do_not_move_columns() -> None:
    documents = (example("good", SYNCED), example("bad", BROKEN))
    coloured = drawn(*documents, colours=True)
    assert any("\x1b[32mTrue\x1b[0m" in line for line in coloured)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"):
        coloured = [line.replace(code, "") for line in coloured]
    assert coloured == drawn(*documents)


def test_message_cannot_act_on_the_terminal() -> None:
    evil = condition("False", "Forbidden", "\x1b]0;owned\x07\x9b2J\nsecond line")
    assert drawn(example("some", evil))[1].endswith("?]0;owned??2J second line")


async def test_json_has_a_stable_shape(server: ScriptedServer, cli: Cli) -> None:
    everything = serving(
        externalsecrets=collection("ExternalSecret", example("some", BROKEN)),
        secretstores=collection("SecretStore", example("store", kind="SecretStore")),
        clustersecretstores=403,
    )
    server.lists.extend([everything] * 3)
    done = await cli("status", "-n", "ns", "-o", "json")
    assert json.loads(done.out) == {
        "version": 1,
        "ready": False,
        "externalSecrets": [
            {
                "namespace": "ns",
                "name": "some",
                "ready": "False",
                "upToDate": True,
                "reason": "SecretNotFound",
                "message": "KMS has no secret db; create it",
                "target": "some",
                "lastSyncTime": None,
                "refreshPolicy": "Periodic",
                "rotationInterval": None,
                "clusterExternalSecret": None,
            }
        ],
        "stores": [
            {
                "kind": "SecretStore",
                "namespace": "ns",
                "name": "store",
                "ready": "Unknown",
                "upToDate": False,
                "reason": None,
                "message": NOBODY,
            }
        ],
        "clusterExternalSecrets": [],
        "notes": [
            f"ClusterSecretStores are not shown: GET {GROUP}/clustersecretstores: 403 Forbidden"
        ],
    }


@pytest.mark.parametrize(
    ("flags", "ready", "code"),
    [((), BROKEN, 0), (("--exit-code",), BROKEN, 1), (("--exit-code",), SYNCED, 0)],
)
async def test_exit_code_reports_objects_only_on_request(
    flags: tuple[str, ...], ready: dict[str, Any], code: int, server: ScriptedServer, cli: Cli
) -> None:
    everything = serving(
        externalsecrets=collection("ExternalSecret", example("some", ready)),
        secretstores=collection("SecretStore"),
        clustersecretstores=collection("ClusterSecretStore"),
    )
    server.lists.extend([everything] * 3)
    assert (await cli("status", *flags)).code == code
    # Nobody named a namespace, and neither does the kubeconfig.
    assert "/namespaces/default/" in server.listed[0].path


async def test_missing_crds_are_reported(server: ScriptedServer, cli: Cli) -> None:
    server.lists.append(refusing(404, "NotFound"))
    done = await cli("status", "-A")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("secret-sync status: the API server does not know externalsecrets")
    assert "kubectl apply" in done.err


@pytest.fixture
async def client(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig_text(server.url, token="token"))
    async with KubeClient(await ClusterAccess.find(str(path))) as client:
        yield client


async def watched(client: KubeClient, screen: Screen, *words: str) -> str:
    """What a watch has shown when each of these has been seen, in their order."""
    stream = screen.stream
    assert isinstance(stream, io.StringIO)
    task = asyncio.create_task(watch.watch(client, "ns", lambda: screen))
    place = 0
    for reason in words:
        await eventually(lambda reason=reason, place=place: reason in stream.getvalue()[place:])  # type: ignore[misc]
        place = stream.getvalue().index(reason, place)
    signal.raise_signal(signal.SIGINT)
    await task
    return stream.getvalue()


def holding(*objects: dict[str, Any]) -> Any:
    return serving(
        externalsecrets=collection("ExternalSecret", *objects),
        secretstores=collection("SecretStore"),
        clustersecretstores=403,
    )


async def test_watch_shows_changes_until_it_is_interrupted(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.extend([holding(example("some", BROKEN))] * 5)
    changed = example("some", SYNCED)
    changed["metadata"]["resourceVersion"] = "101"
    server.watches.append(streaming(event("MODIFIED", changed), stall=True))
    shown = await watched(client, Screen(io.StringIO()), "1 not ready", "all ready")
    assert "\x1b" not in shown
    # What may not be read is not asked for again and again.
    assert sum("clustersecretstores" in request.path for request in server.requests) == 1


async def test_watch_notes_when_it_may_be_outdated(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.extend([holding(example("some", SYNCED))] * 9)
    busy = answering(status_of(503, "ServiceUnavailable"), 503, Retry_After="1")
    server.watches.extend([busy] * 2)
    screen = Screen(io.StringIO())
    shown = await watched(
        client, screen, "all ready", "this may be outdated", "all ready\n\nCluster"
    )
    assert shown.rstrip().endswith("403 Forbidden")


async def test_watch_that_does_not_fit_shows_what_is_not_ready(
    server: ScriptedServer, client: KubeClient
) -> None:
    objects = [example(f"good-{i}", SYNCED) for i in range(9)] + [example("zzz", BROKEN)]
    server.lists.extend([holding(*objects)] * 5)
    screen = Screen(io.StringIO(), terminal=True, width=100, height=6)
    shown = await watched(client, screen, "more lines")
    page = shown.partition("\x1b[H")[2].partition("\x1b[J")[0].splitlines()
    assert len(page) == 5
    assert page[1].startswith("zzz")
    assert page[-1].startswith("... and ")
    # At the end everything, on the screen that came before.
    assert "good-8" in shown.partition("\x1b[?1049l")[2]


def test_source_of_a_child_and_the_clusterexternalsecrets_are_shown() -> None:
    child = example("child", SYNCED)
    owner = {"apiVersion": "alibabacloud.com/v1alpha1", "kind": "ClusterExternalSecret"}
    child["metadata"]["ownerReferences"] = [{**owner, "name": "spread", "controller": True}]
    lines = drawn(child, example("own", SYNCED))
    assert lines[0].split()[-3:] == ["FROM", "WHY", "NOT"]
    assert lines[1].split()[-1] == "spread"
    assert lines[2].split()[-1] == "-"

    unready = {**condition("False", "ExternalSecretsNotReady", "1 of 3 are not Ready: a: Pending")}
    unready["type"] = "ExternalSecretsReady"
    ces = example("spread", condition("True", "Provisioned"), unready)
    ces["status"]["namespaces"] = "2/3"
    row = ClusterExternalSecretRow.from_dict(ces)
    snapshot = StatusSnapshot.of("", [], [row])
    assert snapshot.good
    lines = render(snapshot, Screen(io.StringIO(), terminal=False, colours=False, width=0), NOW)
    assert lines[-1].split()[:4] == ["spread", "True", "Provisioned", "2/3"]
    assert lines[-1].endswith("1 of 3 are not Ready: a: Pending")
    (found,) = snapshot.to_json()["clusterExternalSecrets"]
    assert (found["name"], found["namespaces"], found["ready"]) == ("spread", "2/3", "True")
