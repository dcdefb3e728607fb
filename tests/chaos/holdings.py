"""What there is in the cloud, what the ExternalSecrets want of it, and what a Secret may hold.

Every value says where it is from and how often it was rotated before, so that whoever finds it
in a Secret can tell whether it belongs there, whether it ever was current, and whether its
neighbours are of the same version. Some sources are rotated together, as a user name and its
password are: of them no Secret may hold different versions at any time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.local.cloud.server import ACCOUNT
from tests.support.operator import external_secret, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from secret_sync.local.cloud import CloudAdmin

FIELDS: Final = ("user", "password", "host")
#: Stands in every value, and nowhere else.
MARK: Final = "hidden-from-all-eyes"
_VALUE: Final = re.compile(rf"(?P<source>[a-z0-9/-]+)#(?P<turn>\d+)#(?P<field>[a-z]*)#{MARK}")
#: In the name of a source that is rotated together with others: what they have in common.
_GROUP: Final = re.compile(r"/(\d+-together)/")


@dataclass(frozen=True)
class Spot:
    """Where a value of a Secret comes from: the secret or parameter, and the field of it."""

    source: str
    field: str = ""


@dataclass(frozen=True)
class Wish:
    """An ExternalSecret and the Secret that it asks for.

    Attributes:
        document: The ExternalSecret.
        keys: Each key of the Secret, and where it is from.
        together: Whether all its sources are always rotated in one step.
    """

    document: dict[str, Any]
    keys: Mapping[str, Spot]
    together: bool = False

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
        """Gives each of these a new value, all KMS secrets in one step."""
        names = list(sources)
        for name in names:
            self.turns[name] = self.turns.get(name, -1) + 1
        stored = {name: content(name, self.turns[name]) for name in names}
        parameters = {name: text for name, text in stored.items() if "/oos/" in name}
        secrets = {name: text for name, text in stored.items() if name not in parameters}
        if secrets:
            await self.admin.put_secrets(secrets)
        if parameters:
            await self.admin.put_parameters(parameters)

    async def turn_some(self, random: Random, share: float) -> None:
        """Rotates a random part of all; sources that belong together in one step."""
        groups: dict[str, list[str]] = {}
        for name in sorted(self.turns):
            common = _GROUP.search(name)
            groups.setdefault(common[1] if common else name, []).append(name)
        drawn = random.sample(sorted(groups), max(1, round(len(groups) * share)))
        await self.turn(name for group in drawn for name in groups[group])


def wishes(count: int) -> list[Wish]:
    """So many ExternalSecrets, of all kinds; some share their sources."""
    makers = (_extracted, _picked, _pair, _parameter, _by_role, _extracted, _together)
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


def _together(number: int) -> Wish:
    makers = (_credentials, _five, _spellings, _documents)
    return makers[number // 7 % len(makers)](f"{number}-together")


def _credentials(name: str) -> Wish:
    return _plain(name, {of: f"chaos/plain/{name}/{of}" for of in ("user", "password")})


def _five(name: str) -> Wish:
    return _plain(name, {f"key-{n}": f"chaos/plain/{name}/{n}" for n in range(5)})


def _plain(name: str, sources: Mapping[str, str]) -> Wish:
    entries = [{"key": source, "name": key} for key, source in sources.items()]
    keys = {key: Spot(source) for key, source in sources.items()}
    return Wish(external_secret(name, *entries), keys, together=True)


def _spellings(name: str) -> Wish:
    """One KMS secret in all the ways in which it can be written, beside another one."""
    one, other = f"chaos/plain/{name}/one", f"chaos/plain/{name}/other"
    entries = [
        {"key": one, "name": "by-name"},
        {"key": f"acs:kms:cn-hangzhou:{ACCOUNT}:secret/{one}", "name": "by-arn"},
        {"key": one, "name": "by-stage", "versionStage": "ACSCurrent"},
        {"key": other, "name": "other"},
    ]
    keys = dict.fromkeys(("by-name", "by-arn", "by-stage"), Spot(one))
    return Wish(external_secret(name, *entries), {**keys, "other": Spot(other)}, together=True)


def _documents(name: str) -> Wish:
    """A path into one document, and all of another."""
    one, other = f"chaos/json/{name}/one", f"chaos/yaml/{name}/other"
    pick = {"key": one, "jmesPath": [{"path": "user", "objectAlias": "picked"}]}
    extract = {"extract": {"key": other, "secretStoreRef": {"name": "store"}}}
    return Wish(
        external_secret(name, pick, dataProcess=[extract]),
        {"picked": Spot(one, "user"), **{of: Spot(other, of) for of in FIELDS}},
        together=True,
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
    if data.keys() != wish.keys.keys():
        return f"it holds {sorted(data)} instead of {sorted(wish.keys)}" if data else "it is empty"
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
    if wish.together and len(set(turns.values())) > 1:
        return f"it mixes versions of what is rotated together: {turns}"
    return Holding(turns)
