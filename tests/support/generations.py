"""KMS secrets that belong together, and what a Secret made of them held over time.

A test writes one generation of all of them after the other, each in one step, and every value
names its generation: a version of the Secret that holds values of two was never right.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.support.operator import ready_of, values_of
from tests.support.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api

#: Seconds between generations: before, within and after a polling interval of a second.
GAPS = (0.3, 0.7, 1.1, 0.2, 0.9, 1.6, 0.4, 1.3, 0.6, 0.8)

#: Keys of which each is printed; of more it is how many have which generation.
_READABLE = 6


def leaf(name: str) -> str:
    return name.rpartition("/")[2]


def text(name: str, generation: int) -> str:
    """The value of a secret in one generation."""
    return f"{leaf(name)}-{generation}"


def document(name: str, generation: int) -> str:
    """The same as the only member of a JSON document, under the secret's name."""
    return json.dumps({leaf(name): text(name, generation)})


def account(_name: str, generation: int) -> str:
    """A user and a password in one JSON document."""
    return json.dumps({key: text(key, generation) for key in ("user", "password")})


class Rotation:
    """Secrets that are rotated together; the first generation is 0.

    Args:
        admin: The cloud that has them.
        names: Of the secrets.
        value: What each holds in a generation.
        parameters: Whether they are parameters of OOS.

    Attributes:
        written: When each generation was about to be written, by the clock of the loop.
    """

    def __init__(
        self,
        admin: CloudAdmin,
        names: Sequence[str],
        value: Callable[[str, int], str] = text,
        *,
        parameters: bool = False,
    ) -> None:
        self._admin = admin
        self._value = value
        self._parameters = parameters
        self.names = tuple(names)
        self.written: list[float] = []

    @classmethod
    async def of(cls, admin: CloudAdmin, names: Sequence[str]) -> Self:
        """Secrets with text in them, in their first generation."""
        rotation = cls(admin, names)
        await rotation.next()
        return rotation

    @property
    def latest(self) -> int:
        """The generation that was written last."""
        return len(self.written) - 1

    @property
    def entries(self) -> list[dict[str, str]]:
        """An entry of an ExternalSecret for each secret."""
        return [{"key": name, "name": leaf(name)} for name in self.names]

    async def next(self) -> int:
        """Write the next generation of all secrets in one step; return its number."""
        self.written.append(asyncio.get_running_loop().time())
        values = {name: self._value(name, self.latest) for name in self.names}
        if self._parameters:
            await self._admin.put_parameters(values)
        else:
            await self._admin.put_secrets(values)
        return self.latest

    async def go_on(self, gaps: Sequence[float] = GAPS) -> None:
        """Write a generation after each of these gaps."""
        for gap in gaps:
            await asyncio.sleep(gap)
            await self.next()


class Seen(NamedTuple):
    """One version of a Secret.

    Attributes:
        generations: By key; empty where there was no Secret. A value that somebody else wrote
            has none.
    """

    at: float
    generations: dict[str, int | None]

    @property
    def whole(self) -> int | None:
        """The generation of all keys, or ``None``."""
        found = set(self.generations.values())
        return found.pop() if len(found) == 1 else None

    @property
    def mixed(self) -> bool:
        return len(set(self.generations.values()) - {None}) > 1

    def __str__(self) -> str:
        if not self.generations:
            return "no Secret"
        named = {k: "edited" if g is None else str(g) for k, g in self.generations.items()}
        held = " ".join(f"{key}={generation}" for key, generation in named.items())
        if len(named) > _READABLE:
            counted = sorted(Counter(named.values()).items())
            held = ", ".join(f"{number} keys of {generation}" for generation, number in counted)
        return f"Secret: {held}{'   <- mixed' if self.mixed else ''}"


class GenerationWatch(Watching):
    """Watches one Secret for the generations that each of its versions holds.

    Args:
        api: The API server.
        namespace: Of the Secret.
        name: Of the Secret.
        rotation: What it is made of.
        behind: Keys that lag behind by so many generations (of a former stage).
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        rotation: Rotation,
        behind: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(api, namespace, name)
        self._rotation = rotation
        self._behind = behind or {}

    @property
    def seen(self) -> list[Seen]:
        """Every version, the oldest first."""
        return [
            Seen(at, {key: self._generation(key, v) for key, v in values_of(found).items()})
            for at, found in zip(self.times, self.history, strict=True)
        ]

    async def until(self, generation: int, within: float) -> None:
        """Wait for the Secret to hold one generation, and nothing else."""
        try:
            async with asyncio.timeout(within):
                while self.seen[-1].whole != generation:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"generation {generation} is not there after {within:g} s\n{self}"
            ) from None

    async def check_whole(self) -> None:
        """Assert that no version was mixed, and none older than the one before it."""
        await self.seen_all()
        assert not self._task.done(), self._task
        mixed = sum(seen.mixed for seen in self.seen)
        assert not mixed, f"{mixed} of {len(self.seen)} versions are mixed\n{self}"
        whole = [seen.whole for seen in self.seen if seen.whole is not None]
        assert whole == sorted(whole), f"the Secret went back to an older generation\n{self}"

    def __str__(self) -> str:
        """All that happened, with the seconds since the beginning."""
        begun = self.times[0]
        writes = enumerate(self._rotation.written)
        lines = [(at, f"KMS: generation {n}") for n, at in writes if at >= begun]
        lines += [(seen.at, str(seen)) for seen in self.seen]
        return "\n".join(f"{at - begun:7.2f} s  {line}" for at, line in sorted(lines))

    def _generation(self, key: str, value: str) -> int | None:
        number = value.rpartition("-")[2]
        return int(number) + self._behind.get(key, 0) if number.isdecimal() else None


class CallsFrom:
    """The calls about some secrets from now on, however a caller spells their names."""

    def __init__(self, admin: CloudAdmin) -> None:
        self._admin = admin
        self.since = time.time()

    def seconds_to(self, moment: float) -> float:
        """Seconds that are left until so many have passed; negative where more have."""
        return self.since + moment - time.time()

    async def times(self) -> dict[str, list[float]]:
        """Seconds from then to each call, by the secret's name or ARN as the caller wrote it."""
        found = defaultdict(list)
        for call in await self._admin.calls(20_000):
            if call["time"] >= self.since and call["action"] == "GetSecretValue":
                found[call["subject"]].append(call["time"] - self.since)
        return found

    async def counts(self, *names: str) -> list[int]:
        """How often each was asked for."""
        times = await self.times()
        return [len(times[name]) for name in names]

    async def until(self, *names: str, times: int = 1, within: float = 10.0) -> None:
        """Wait for each to be asked for so often."""
        try:
            async with asyncio.timeout(within):
                while min(await self.counts(*names)) < times:  # noqa: ASYNC110 (a cloud)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            asked = dict(zip(names, await self.counts(*names), strict=True))
            raise AssertionError(f"asked for after {within:g} s: {asked}") from None


async def until_missing(api: Api, namespace: str, name: str, key: str) -> dict[str, Any]:
    """Wait for an ExternalSecret's condition to name an entry as the reason it is not ready."""

    def named(found: dict[str, Any] | None) -> bool:
        ready = ready_of(found)
        return ready.get("status") == "False" and key in ready["message"]

    return ready_of(await api.until("ExternalSecret", namespace, name, named, within=20))
