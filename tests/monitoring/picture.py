"""Draws the dashboard of a real run: ``python -m tests.monitoring.picture docs/dashboard.svg``.

A controller keeps some ExternalSecrets while KMS throttles and is down for a time; a Prometheus
scrapes it. Every panel is asked for as Grafana does, and drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud import CloudAdmin, spawn
from secret_sync.local.controlplane.plane import ControlPlane
from tests.chaos.holdings import Cloudful, stores, wishes
from tests.monitoring.answers import is_instant, panel_of
from tests.monitoring.drawing import Band, Picture, draw
from tests.monitoring.rules import JOB, dashboard, filled
from tests.support.operator import Api, install_crds, put_store
from tests.support.program import free_port, kubeconfig, running
from tests.support.prometheus import prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from secret_sync.local.cloud import CloudInfo
    from tests.chaos.holdings import Wish
    from tests.support.prometheus import Prometheus

NAMESPACE: Final = "shop"
#: As the pod of a Deployment is called: what stands in a legend.
POD: Final = "secret-sync-0"
SCRAPED: Final = 2
RATE: Final = "20s"
#: So many points are enough for the widest panel.
POINTS: Final = 160
#: Of a run of 300 s: when and how long it happens. A shorter run is the same in small.
WHOLE: Final = 300.0
FILLED, THROTTLED, DEAD = (12, 24), (105, 40), (190, 30)
EVERY_ROTATION, ROTATED = 1.0, 2
EVERY_EDIT: Final = 4.0
READ: Final = "GetSecretValue"


@dataclass
class Scene:
    """What happens to the controller, and when it did.

    Attributes:
        share: How long the run is, compared to a whole one.
        begin: When it began, in seconds of Unix.
    """

    admin: CloudAdmin
    api: Api
    cloud: CloudInfo
    cloudful: Cloudful
    wanted: Sequence[Wish]
    share: float
    begin: float
    random: random.Random = field(default_factory=lambda: random.Random(1))
    bands: list[Band] = field(default_factory=list)

    async def play(self) -> None:
        """The whole story, to its end."""
        await self._until(FILLED[0])
        await self._fill(FILLED[1] * self.share)
        async with asyncio.TaskGroup() as tasks:
            usual = [tasks.create_task(self._rotate()), tasks.create_task(self._edit())]
            await self._until(THROTTLED[0])
            await self._suffer("KMS throttles", THROTTLED[1], "throttle", qps=4)
            await self._until(DEAD[0])
            await self._suffer("KMS down", DEAD[1], "error", status=503)
            await self._until(WHOLE)
            for task in usual:
                task.cancel()

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self.begin + at * self.share - time.time()))

    async def _fill(self, seconds: float) -> None:
        """All objects, one after the other."""
        role = await self.admin.put_role("picture", trust=[{"account": self.cloud.account}])
        for document in stores(role):
            await self.api.put(document, NAMESPACE)
        for wish in self.wanted:
            await self.api.put(wish.document, NAMESPACE)
            await asyncio.sleep(seconds / len(self.wanted))

    async def _rotate(self) -> None:
        names = sorted(name for name in self.cloudful.turns if "/oos/" not in name)
        while True:
            await self.cloudful.turn(self.random.sample(names, ROTATED))
            await asyncio.sleep(EVERY_ROTATION)

    async def _edit(self) -> None:
        while True:
            await asyncio.sleep(EVERY_EDIT)
            wish = self.random.choice(self.wanted)
            mistake = {"data": {next(iter(wish.keys)): "b29wcw=="}}
            await self.api.merge("Secret", NAMESPACE, wish.name, mistake)

    async def _suffer(self, name: str, seconds: float, kind: str, **options: Any) -> None:
        begin = time.time() - self.begin
        fault = await self.admin.set_fault(kind, action=READ, **options)
        await asyncio.sleep(seconds * self.share)
        await self.admin.clear_faults(fault)
        self.bands.append(Band(name, begin, time.time() - self.begin))


@asynccontextmanager
async def scene(directory: Path, seconds: float, objects: int) -> AsyncIterator[tuple[Scene, Any]]:
    """A cluster, a cloud, a Prometheus, and a controller that has nothing to do yet."""
    async with AsyncExitStack() as stack:
        plane = await ControlPlane.start(directory / "plane", progress=say)
        await stack.enter_async_context(plane)
        await asyncio.to_thread(install_crds, plane)
        cloud = await spawn(directory)
        stack.push_async_callback(cloud.stop)
        admin = await stack.enter_async_context(CloudAdmin(cloud.info.admin_url))
        api = await stack.enter_async_context(Api(plane))
        wanted = wishes(objects)
        cloudful = Cloudful(admin)
        await cloudful.turn(sorted({source for wish in wanted for source in wish.sources}))
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        await put_store(api, cloud.info, NAMESPACE)
        target = f"127.0.0.1:{free_port()}"
        labels = {"namespace": "secret-sync", "pod": POD}
        found = await stack.enter_async_context(
            prometheus(directory, target, interval=f"{SCRAPED}s", labels=labels)
        )
        begin = time.time()
        config = kubeconfig(
            directory / "kubeconfig", plane.server, plane.admin_token, str(plane.ca_file)
        )
        child = await stack.enter_async_context(
            running(
                *flags(target, cloud.info),
                KUBECONFIG=config,
                SSL_CERT_FILE=cloud.info.ca_file,
            )
        )
        # What is counted before the first scrape has no rate.
        await found.until(f'up{{job="{JOB}"}}', lambda values: values == [1.0])
        yield Scene(admin, api, cloud.info, cloudful, wanted, seconds / WHOLE, begin), found
        assert child.process.returncode is None, "".join(child.lines[-20:])


def flags(target: str, cloud: CloudInfo) -> list[str]:
    # A name, so that there is something to resolve.
    endpoint = f"localhost:{cloud.endpoint.rpartition(':')[2]}"
    return [
        f"--metrics-bind-address={target}",
        "--region=cn-hangzhou",
        f"--kms-endpoint={endpoint}",
        f"--oos-endpoint={endpoint}",
        f"--sts-endpoint={endpoint}",
        f"--watch-namespaces={NAMESPACE}",
        "--polling-interval=2s",
        "--max-concurrent-kms-secret-pulls=500",
        "--max-concurrent-oos-secret-pulls=500",
        "--log-format=json",
    ]


async def answers(found: Prometheus, model: Mapping[str, Any], begin: float, seconds: float) -> Any:
    """What Prometheus says to each target of a panel."""
    got = []
    for target in model.get("targets", []):
        query = filled(target["expr"], RATE)
        end = begin + seconds
        if is_instant(model):
            data = await found.get("/api/v1/query", query=query, time=f"{end:.3f}")
        else:
            data = await found.get(
                "/api/v1/query_range",
                query=query,
                start=f"{begin:.3f}",
                end=f"{end:.3f}",
                step=str(step_for(seconds)),
            )
        got.append(data["result"])
    return got


def step_for(seconds: float) -> float:
    return max(float(SCRAPED), seconds / POINTS)


async def picture(directory: Path, seconds: float, objects: int) -> Picture:
    """Plays, asks, and returns what is to be drawn."""
    model = dashboard()
    async with scene(directory, seconds, objects) as (played, found):
        say(f"{objects} ExternalSecrets, {seconds:.0f} s")
        await played.play()
        panels = [
            panel_of(one, await answers(found, one, played.begin, seconds), played.begin)
            for one in model["panels"]
        ]
    return Picture(
        title=model["title"],
        subtitle=f"{objects} ExternalSecrets, polled every 2 s; drawn from answers of Prometheus",
        seconds=seconds,
        step=step_for(seconds),
        panels=tuple(panels),
        bands=tuple(played.bands),
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Writes the picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring.picture", description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=WHOLE)
    parser.add_argument("--objects", type=int, default=120)
    arguments = parser.parse_args()
    if shutil.which("prometheus") is None:
        say("prometheus is not installed; it is in Debian's package prometheus (`make tools`)")
        return 1
    with tempfile.TemporaryDirectory(prefix="picture-") as folder, suppress(KeyboardInterrupt):
        drawn = asyncio.run(picture(Path(folder), arguments.seconds, arguments.objects))
        arguments.path.write_text(draw(drawn), "utf-8")
        say(f"{arguments.path}: {arguments.path.stat().st_size} bytes")
        return 0
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
