"""What there is in the cloud, what the ExternalSecrets want of it, and what a Secret may hold.

Every value says where it is from and how often it was rotated before, so that whoever finds it
in a Secret can tell whether it belongs there, whether it ever was current, and whether its
neighbours are of the same version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.support.operator import external_secret, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from secret_sync.local.cloud import CloudAdmin

FIELDS: Final = ("user", "password", "host")
#: Stands in every value, and nowhere else.
MARK: Final = "hidden-from-all-eyes"
_VALUE: Final = re.compile(rf"(?P<source>[a-z0-9/-]+)#(?P<turn>\d+)#(?P<field>[a-z]*)#{MARK}")


@dataclass(frozen=True)
class Spot:
    """Where a value of a Secret comes from: the secret or parameter, and the field of it."""

    source: str
    field: str = ""


@dataclass(frozen=True)
class Wish:
    """An ExternalSecret and the Secret that it asks for: each key and where it is from."""

    document: dict[str, Any]
    keys: Mapping[str, Spot]

    @property
    def name(self) -> str:
        """Of both."""
        name: str = self.document["metadata"]["name"]
        return name

    @property
    def sources(self) -> set[str]:
        """All it reads."""
        return {spot.source for spot in self.keys.values()}


def value(source: str, turn: int, of: str = "") -> str:
    return f"{source}#{turn}#{of}#{MARK}"


def content(source: str, turn: int) -> str:
    """What the cloud gives out after so many rotations."""
    kind = source.split("/")[1]
    fields = {of: value(source, turn, of) for of in FIELDS}
    match kind:
        case "json":
            return orjson.dumps(fields).decode()
        case "yaml":
            return "".join(f"{of}: '{text}'\n" for of, text in fields.items())
        case _:
            return value(source, turn)


@dataclass
class Cloudful:
    """Everything in the cloud.

    Attributes:
        turns: How often each source was rotated; counted before the cloud is told.
    """

    admin: CloudAdmin
    turns: dict[str, int] = field(default_factory=dict)

    async def turn(self, sources: Iterable[str]) -> None:
        """Gives each of these a new value."""
        names = list(sources)
        for name in names:
            self.turns[name] = self.turns.get(name, -1) + 1
        told = {name: content(name, self.turns[name]) for name in names}
        parameters = {name: text for name, text in told.items() if "/oos/" in name}
        secrets = {name: text for name, text in told.items() if name not in parameters}
        if secrets:
            await self.admin.put_secrets(secrets)
        if parameters:
            await self.admin.put_parameters(parameters)

    async def turn_some(self, random: Random, share: float) -> None:
        """Rotates a random part of all."""
        names = sorted(self.turns)
        await self.turn(random.sample(names, max(1, round(len(names) * share))))


def wishes(count: int) -> list[Wish]:
    """So many ExternalSecrets, of all kinds; some share their sources."""
    makers = (_extracted, _picked, _pair, _parameter, _by_role, _extracted)
    return [makers[number % len(makers)](number) for number in range(count)]


def _extracted(number: int) -> Wish:
    source = f"chaos/json/{number // 18}"
    entry = {"extract": {"key": source, "secretStoreRef": {"name": "store"}}}
    return Wish(
        external_secret(f"extracted-{number}", dataProcess=[entry]),
        {of: Spot(source, of) for of in FIELDS},
    )


def _picked(number: int) -> Wish:
    source = f"chaos/yaml/{number // 12}"
    picks = [{"path": of, "objectAlias": f"my-{of}"} for of in FIELDS]
    return Wish(
        external_secret(f"picked-{number}", {"key": source, "jmesPath": picks}),
        {f"my-{of}": Spot(source, of) for of in FIELDS},
    )


def _pair(number: int) -> Wish:
    one, two = f"chaos/plain/{number}", f"chaos/plain/{number // 12}-shared"
    return Wish(
        external_secret(f"pair-{number}", {"key": one, "name": "one"}, {"key": two, "name": "two"}),
        {"one": Spot(one), "two": Spot(two)},
    )


def _parameter(number: int) -> Wish:
    source = f"chaos/oos/{number // 6}"
    entry = {"key": source, "name": "parameter", "secretStoreRef": {"name": "oos"}}
    return Wish(
        external_secret(f"parameter-{number}", entry, provider="oos"), {"parameter": Spot(source)}
    )


def _by_role(number: int) -> Wish:
    source = f"chaos/json/role-{number // 6}"
    entry = {"extract": {"key": source, "secretStoreRef": {"name": "role"}}}
    return Wish(
        external_secret(f"role-{number}", dataProcess=[entry]),
        {of: Spot(source, of) for of in FIELDS},
    )


def stores(role: str) -> list[dict[str, Any]]:
    """The SecretStores that the wishes name."""
    plain = store()
    auth = plain["spec"]["KMS"]["KMSAuth"]
    by_role, oos = store("role"), store("oos")
    by_role["spec"] = {
        "KMS": {"KMSAuth": {**auth, "ramRoleARN": role, "ramRoleSessionName": "chaos"}}
    }
    oos["spec"] = {"OOS": {"OOSAuth": auth}}
    return [plain, by_role, oos]


@dataclass(frozen=True)
class Holding:
    """What a Secret was found to hold: the turn of each of its sources."""

    turns: Mapping[str, int]


def read(wish: Wish, data: Mapping[str, str]) -> Holding | str:
    """What these keys and values are; in words without values if they are not as wished."""
    if not data:
        return "it is empty"
    if data.keys() != wish.keys.keys():
        return f"it holds {sorted(data)} instead of {sorted(wish.keys)}"
    turns: dict[str, int] = {}
    for key, text in data.items():
        spot, found = wish.keys[key], _VALUE.fullmatch(text)
        if found is None:
            return f"{key} is no value of anything"
        if (found["source"], found["field"]) != (spot.source, spot.field):
            return f"{key} is of {found['source']}, field {found['field']!r}"
        turn = int(found["turn"])
        if turns.setdefault(spot.source, turn) != turn:
            return f"{key} is version {turn}, another key {turns[spot.source]} of {spot.source}"
    return Holding(turns)
