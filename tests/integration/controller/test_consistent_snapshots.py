"""A Secret is never a mix of two versions: what is rotated together is written together.

Every version of the Secret is recorded while generation after generation is written into KMS.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.generations import (
    GAPS,
    GenerationWatch,
    Rotation,
    account,
    document,
    text,
)
from tests.support.identities import Ram, auth_store
from tests.support.operator import external_secret, operator, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

ACCESS_KEY = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}
#: An interval, and what the calls and retries of a snapshot may take on a busy machine.
SETTLED = 20.0


@dataclass(frozen=True)
class Weather:
    """How KMS answers.

    Attributes:
        count: Sources of the ExternalSecret.
        fault: What happens to its calls.
        rate: The limit of calls a second.
    """

    count: int
    fault: dict[str, Any] = field(default_factory=dict)
    rate: int = 1000


#: Read at once, handed out up to a second later: by then it may be old.
LATE = {"kind": "drip", "seconds": 0.002, "probability": 0.4}
THROTTLED = {"kind": "throttle", "probability": 0.3, "retry_after_ms": 100}
WEATHER = {
    "two": Weather(2),
    "five": Weather(5),
    "twenty": Weather(20),
    "two, answers late": Weather(2, LATE),
    "five, answers late": Weather(5, LATE),
    "two, throttled": Weather(2, THROTTLED),
    "twenty, throttled": Weather(20, THROTTLED),
    "five, eight calls a second": Weather(5, rate=8),
}


@asynccontextmanager
async def suffering(admin: CloudAdmin, subject: str, fault: dict[str, Any]) -> AsyncIterator[None]:
    """A fault of the calls about some secrets, if there is one."""
    set_fault = await admin.set_fault(**fault, subject=subject) if fault else ""
    yield
    if set_fault:
        await admin.clear_faults(set_fault)


@pytest.mark.parametrize("weather", WEATHER.values(), ids=WEATHER)
async def test_sources_that_are_rotated_together_are_written_together(
    admin: CloudAdmin, api: Api, home: str, weather: Weather, running: Running
) -> None:
    names = [f"{home}/part-{number}" for number in range(weather.count)]
    rotation = await Rotation.of(admin, names)
    async with running(max_concurrent_kms_secret_pulls=weather.rate):
        await api.put(external_secret("some", *rotation.entries, rotationInterval="1s"), home)
        await api.until_ready(home, "some", "Synced")
        async with GenerationWatch(api, home, "some", rotation) as watch:
            async with suffering(admin, f"{home}/*", weather.fault):
                await rotation.go_on()
            await watch.until(rotation.latest, within=SETTLED)
            await api.until_ready(home, "some", "Synced")
            await watch.check_whole()


@dataclass(frozen=True)
class Shape:
    """How an ExternalSecret reads what is rotated together.

    Attributes:
        names: Of the secrets, without their folder.
        data: Entries; their keys begin with ``{home}``, or with ``{arn}`` to be ARNs.
        value: What a secret holds.
        extracted: Secrets of which all is taken.
        behind: Keys that lag behind by so many generations.
        parameters: Whether it reads parameters of OOS.
        store: As whom.
    """

    names: tuple[str, ...]
    data: tuple[dict[str, Any], ...] = ()
    value: Callable[[str, int], str] = text
    extracted: tuple[str, ...] = ()
    behind: Mapping[str, int] = field(default_factory=dict)
    parameters: bool = False
    store: str = "store"

    def document(self, home: str, arn: str) -> dict[str, Any]:
        """The ExternalSecret."""
        store = {"secretStoreRef": {"name": self.store}}
        spec: dict[str, Any] = {"rotationInterval": "1s"}
        if self.extracted:
            keys = [f"{home}/{key}" for key in self.extracted]
            spec["dataProcess"] = [{"extract": {**store, "key": key}} for key in keys]
        if self.parameters:
            spec["provider"] = "oos"
        data = [
            {**entry, **store, "key": entry["key"].format(home=home, arn=f"{arn}{home}")}
            for entry in self.data
        ]
        return external_secret("some", *data, **spec)


def picked(key: str, path: str, **more: str) -> dict[str, Any]:
    """An entry that takes one member of a document."""
    return {"key": key, "jmesPath": [{"path": path, "objectAlias": path}], **more}


STAGED = (
    {"key": "{arn}/account", "name": "current"},
    {"key": "{home}/account", "name": "previous", "versionStage": "ACSPrevious"},
)
SPELLED = (
    picked("{home}/account", "user"),
    picked("{arn}/account", "password", versionStage="ACSCurrent"),
)
SHAPES = {
    "jmesPath": Shape(
        ("user", "password"),
        (picked("{home}/user", "user"), picked("{home}/password", "password")),
        document,
    ),
    "extract": Shape(("user", "password"), (), document, ("user", "password")),
    "jmesPath beside extract": Shape(
        ("user", "password"), (picked("{home}/user", "user"),), document, ("password",)
    ),
    "two spellings": Shape(("account",), SPELLED, account),
    "two spellings, own account": Shape(("account",), SPELLED, account, store="role"),
    "two stages": Shape(("account",), STAGED, behind={"previous": 1}),
    "two stages, own account": Shape(("account",), STAGED, behind={"previous": 1}, store="role"),
    "OOS": Shape(
        ("user", "password"),
        ({"key": "{home}/user", "name": "user"}, {"key": "{home}/password", "name": "password"}),
        parameters=True,
        store="oos",
    ),
}


@pytest.fixture
async def stores(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    """The SecretStores ``role``, whose account is known from its ARN, and ``oos``."""
    ram = await Ram.of(cluster, admin, cloud)
    role = await ram.role_for_account(f"snapshot-{home}")
    await api.put(auth_store("role", **ACCESS_KEY, ramRoleARN=role), home)
    oos = auth_store("oos")
    oos["spec"] = {"OOS": {"OOSAuth": ACCESS_KEY}}
    await api.put(oos, home)


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, {}) for name in SHAPES),
        *((name, LATE) for name in ("extract", "two stages", "OOS")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("kind", ""),
)
async def test_however_it_is_read_it_is_written_together(
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    name: str,
    fault: dict[str, Any],
    running: Running,
) -> None:
    shape = SHAPES[name]
    names = [f"{home}/{name}" for name in shape.names]
    rotation = Rotation(admin, names, shape.value, parameters=shape.parameters)
    # Two, so that there is a former one.
    await rotation.next()
    await rotation.next()
    async with running():
        arn = f"acs:kms:cn-hangzhou:{cloud.account}:secret/"
        await api.put(shape.document(home, arn), home)
        await api.until_ready(home, "some", "Synced")
        async with GenerationWatch(api, home, "some", rotation, shape.behind) as watch:
            async with suffering(admin, f"*{home}/*", fault):
                await rotation.go_on(GAPS[:6])
            await watch.until(rotation.latest, within=SETTLED)
            await api.until_ready(home, "some", "Synced")
            await watch.check_whole()


@pytest.mark.parametrize("fault", [{}, LATE], ids=["prompt", "late"])
async def test_objects_that_share_sources_are_each_written_together(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    fault: dict[str, Any],
) -> None:
    """Each has a source in common with the next one; only the first is polled often."""
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(6)])
    chain = {f"some-{n}": rotation.entries[n : n + 3] for n in range(4)}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(operator(settings_for(cluster, cloud, home)))
        watches: list[GenerationWatch] = []
        for name, entries in chain.items():
            interval = "10m" if watches else "1s"
            await api.put(external_secret(name, *entries, rotationInterval=interval), home)
            await api.until_ready(home, name, "Synced")
            watch = GenerationWatch(api, home, name, rotation)
            watches.append(await stack.enter_async_context(watch))
        async with suffering(admin, f"{home}/*", fault):
            await rotation.go_on()
        for name, watch in zip(chain, watches, strict=True):
            await watch.until(rotation.latest, within=SETTLED)
            await api.until_ready(home, name, "Synced")
            await watch.check_whole()


async def test_an_entry_that_is_added_is_not_paired_with_an_older_value(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/user", f"{home}/password"])
    async with running():
        one = external_secret("some", rotation.entries[0], rotationInterval="10m")
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        await rotation.next()
        async with GenerationWatch(api, home, "some", rotation) as watch:
            both = external_secret("some", *rotation.entries, rotationInterval="10m")
            await api.put(both, home)
            await watch.until(1, within=SETTLED)
            assert len(watch.seen[-1].generations) == len(rotation.names), str(watch)
            await watch.check_whole()


async def test_a_new_object_does_not_pair_a_value_of_others_with_a_newer_one(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/user", f"{home}/password"])
    async with running():
        other = external_secret("other", rotation.entries[0], rotationInterval="10m")
        await api.put(other, home)
        await api.until_ready(home, "other", "Synced")
        await rotation.next()
        # First values count as read together where their answers are two seconds apart at most.
        await asyncio.sleep(3)
        async with GenerationWatch(api, home, "some", rotation) as watch:
            both = external_secret("some", *rotation.entries, rotationInterval="10m")
            await api.put(both, home)
            await watch.until(1, within=SETTLED)
            await watch.check_whole()
