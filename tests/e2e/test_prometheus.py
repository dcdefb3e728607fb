"""A real Prometheus scrapes a running controller, and answers what dashboard and alerts ask it."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.monitoring import picture
from tests.monitoring.rules import JOB, alerts, dashboard, filled, panel_queries, panels, program
from tests.support.operator import (
    Api,
    external_secret,
    install_crds,
    operator,
    put_store,
    running_cloud,
    settings_for,
)
from tests.support.prometheus import prometheus
from tests.unit import reference_facts as facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blockbuster import BlockBuster

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.prometheus import Prometheus


async def work(api: Api, info: CloudInfo, namespace: str) -> None:
    """Some objects get their Secrets, one cannot."""
    async with CloudAdmin(info.admin_url) as admin:
        await admin.put_secrets({f"prometheus/{n}": f"value {n}" for n in range(5)})
        await admin.put_secret("prometheus/rds", '{"n": 1}', type="Rds")
    for n in range(5):
        entry = {"key": f"prometheus/{n}", "name": "x"}
        await api.put(external_secret(f"good-{n}", entry, rotationInterval="1s"), namespace)
    managed = {"key": "prometheus/rds", "name": "x"}
    await api.put(external_secret("managed", managed, rotationInterval="1s"), namespace)
    await api.put(external_secret("bad", {"key": "prometheus/none", "name": "x"}), namespace)
    for n in range(5):
        await api.until_holds(namespace, f"good-{n}", {"x": f"value {n}"}, within=15)
    await api.until_ready(namespace, "bad", "SecretNotFound", within=15)
    await api.until_holds(namespace, "managed", {"x": '{"n": 1}'}, within=15)
    # KMS tells rotations in whole seconds.
    await asyncio.sleep(1)
    async with CloudAdmin(info.admin_url) as admin:
        await admin.put_secret("prometheus/rds", '{"n": 2}', type="Rds")
    await api.until_holds(namespace, "managed", {"x": '{"n": 2}'}, within=15)


async def unanswered(found: Prometheus) -> list[str]:
    """Queries of the dashboard without a number."""
    left = []
    for title, query in panel_queries():
        if not any(map(math.isfinite, await found.values(query))):
            left.append(f"{title}: {query}")
    return left


async def until_answered(found: Prometheus) -> None:
    left: list[str] = []
    for _ in range(30):
        if not (left := await unanswered(found)):
            return
        await asyncio.sleep(0.5)
    pytest.fail("\n".join(["no number for", *left]))


@pytest.fixture(autouse=True)
def _the_kernel_tells_of_the_process(_nothing_blocks_the_loop: BlockBuster) -> Iterator[None]:
    """Files of /proc are read for a scrape: they wait for no disk."""
    functions = _nothing_blocks_the_loop.functions.values()
    for function in functions:
        function.can_block_in("prometheus_client/process_collector.py", "collect")
    yield
    for function in functions:
        function.can_block_functions.pop()


async def test_prometheus_answers_what_dashboard_and_alerts_ask(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    program("prometheus")
    install_crds(control_plane)
    with running_cloud(tmp_path) as info:
        async with Api(control_plane) as api:
            await put_store(api, info, namespace)
            settings = settings_for(control_plane, info, namespace)
            async with operator(settings) as controller:
                target, begin = f"127.0.0.1:{controller.health.port}", time.time()
                async with prometheus(tmp_path, target) as found:
                    await found.until(f'up{{job="{JOB}"}}', lambda v: v == [1.0])
                    # What is counted before the first scrape has no rate.
                    await found.until("count(secret_sync_syncs_total)", lambda v: v == [4.0])
                    await work(api, info, namespace)
                    await until_answered(found)
                    await check_variables(found)
                    await check_numbers(found)
                    await check_exemplars(found)
                    await found.until_pending("SecretSyncSyncsFailing", "SecretSyncCallsFailing")
                    await check_failing(found, api, namespace)
                    await draw_picture(found, begin)
                    states = await found.states()
                    assert states.keys() == {rule["alert"] for rule in alerts()}
                    assert states["SecretSyncAbsent"] == "inactive"
                    assert states["SecretSyncDisconnected"] == "inactive"
                    await controller.health.stop()
                    await found.until_pending("SecretSyncAbsent")


async def draw_picture(found: Prometheus, begin: float) -> None:
    """Leaves a picture of the run where ``make picture`` wants it."""
    end = time.time()
    lines = await picture.answers(found, begin, end)
    drawn = picture.draw(panels(), lines, end - begin)
    assert "No data" not in drawn
    if path := os.environ.get("PICTURE"):
        await asyncio.to_thread(Path(path).write_text, drawn, "utf-8")


async def check_numbers(found: Prometheus) -> None:
    """Numbers of the dashboard that are known here."""
    queries = dict(panel_queries())
    assert await found.values(queries["Controllers"]) == [1.0]
    assert await found.values(queries["Values in use"]) == [7.0]
    assert await found.values(queries["Missing CRD fields"]) == [0.0]
    (failed,) = await found.values(queries["Failed syncs, last hour"])
    assert failed > 0
    objects = 'secret_sync_objects{kind="ExternalSecret", ready="%s", reason="%s"}'
    await found.until(objects % ("True", "Synced"), lambda v: v == [6.0])
    await found.until(objects % ("False", "SecretNotFound"), lambda v: v == [1.0])
    for name in ("staleness", "propagation"):
        count = await found.values(f'secret_sync_{name}_seconds_count{{provider="kms"}}')
        assert count == [1.0]
        (late,) = await found.values(f'secret_sync_{name}_seconds_sum{{provider="kms"}}')
        assert 0 <= late < 5
    series = await found.get("/api/v1/label/__name__/values")
    assert {name for name in series if name.startswith("secret_sync_")} >= {
        name
        for name, metric in facts.metrics().items()
        if name.startswith("secret_sync_") and metric.type != "histogram"
    } - {"secret_sync_dry_run_objects", "secret_sync_refresh_requests_total"}


async def check_failing(found: Prometheus, api: Api, namespace: str) -> None:
    """What fails and is not tried again is seen at every scrape, until it is fixed."""
    (rule,) = [rule for rule in alerts() if rule["alert"] == "SecretSyncSyncsFailing"]
    counted = 'secret_sync_syncs_total{result="failed"}'
    (before,) = await found.values(counted)
    picked = {"path": "none", "objectAlias": "x"}
    await api.put(external_secret("bad", {"key": "prometheus/0", "jmesPath": [picked]}), namespace)
    await api.until_ready(namespace, "bad", "NotADocument", within=15)
    await found.until(counted, lambda v: v[0] > before)
    await found.until(f"changes({counted}[10s])", lambda v: v == [0.0])
    (scrapes,) = await found.values(f"count_over_time(({rule['expr']})[10s:1s])")
    assert scrapes >= 10
    await api.put(external_secret("bad", {"key": "prometheus/0", "name": "x"}), namespace)
    await found.until(rule["expr"], lambda v: v == [])


async def check_exemplars(found: Prometheus) -> None:
    """It asks for OpenMetrics, so that the ids of reconciles come with the numbers."""
    now = time.time()
    data = await found.get(
        "/api/v1/query_exemplars",
        query="secret_sync_sync_latency_seconds_bucket",
        start=str(now - 600),
        end=str(now + 60),
    )
    ids = [e["labels"]["reconcile_id"] for series in data for e in series["exemplars"]]
    assert ids
    assert all(len(one) == 12 for one in ids)


async def check_variables(found: Prometheus) -> None:
    """What the dashboard fills its menus from."""
    (job,) = [v for v in dashboard()["templating"]["list"] if v["name"] == "job"]
    assert job["query"] == "label_values(secret_sync_build_info, job)"
    values = await found.get("/api/v1/label/job/values", **{"match[]": "secret_sync_build_info"})
    assert values == [JOB]
    assert filled("$job") == JOB
