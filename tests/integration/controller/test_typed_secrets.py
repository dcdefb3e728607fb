"""What Kubernetes' own types demand of a Secret, reported by field and reason."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support.operator import external_secret, values_of
from tests.support.watching import force_sync, reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

#: No character of it may be reported.
CANARY = "Zq7wJ"
DOCKER = {"auths": {"r.example.com": {"auth": CANARY}}}
REGISTRIES = {"r.example.com": {"auth": CANARY}}
ADD = "add an entry that writes it"


class TypeCase(NamedTuple):
    """What is written with which type, and the message; empty if it is accepted."""

    of: str
    values: dict[str, str]
    said: tuple[str, ...]


def encoded(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


CASES = {
    "tls-both-missing": TypeCase(
        "kubernetes.io/tls",
        {"crt": CANARY},
        (
            f"data[tls.crt] is required by type kubernetes.io/tls: {ADD}",
            f"data[tls.key] is required by type kubernetes.io/tls: {ADD}",
        ),
    ),
    "tls-half": TypeCase(
        "kubernetes.io/tls",
        {"tls.crt": CANARY},
        (f"data[tls.key] is required by type kubernetes.io/tls: {ADD}",),
    ),
    # Whether it is a certificate at all, the API server does not ask.
    "tls": TypeCase("kubernetes.io/tls", {"tls.crt": CANARY, "tls.key": CANARY}, ()),
    "dockerconfigjson-missing": TypeCase(
        "kubernetes.io/dockerconfigjson",
        {"dockerconfigjson": json.dumps(DOCKER)},
        (f"data[.dockerconfigjson] is required by type kubernetes.io/dockerconfigjson: {ADD}",),
    ),
    "dockerconfigjson-base64": TypeCase(
        "kubernetes.io/dockerconfigjson",
        {".dockerconfigjson": encoded(DOCKER)},
        (
            "data[.dockerconfigjson] is not what type kubernetes.io/dockerconfigjson requires: a",
            'JSON object like {"auths": {...}}, not encoded in base64',
        ),
    ),
    "dockerconfigjson-list": TypeCase(
        "kubernetes.io/dockerconfigjson",
        {".dockerconfigjson": f'["{CANARY}"]'},
        ("data[.dockerconfigjson] is not what type",),
    ),
    "dockerconfigjson-broken": TypeCase(
        "kubernetes.io/dockerconfigjson",
        {".dockerconfigjson": json.dumps(DOCKER)[:-1] + CANARY},
        ("data[.dockerconfigjson] is not what type",),
    ),
    "dockerconfigjson": TypeCase(
        "kubernetes.io/dockerconfigjson", {".dockerconfigjson": json.dumps(DOCKER)}, ()
    ),
    "dockercfg-missing": TypeCase(
        "kubernetes.io/dockercfg",
        {".dockerconfigjson": json.dumps(DOCKER)},
        (f"data[.dockercfg] is required by type kubernetes.io/dockercfg: {ADD}",),
    ),
    "dockercfg-broken": TypeCase(
        "kubernetes.io/dockercfg",
        {".dockercfg": CANARY},
        (
            "data[.dockercfg] is not what type kubernetes.io/dockercfg requires: a JSON object",
            'like {"<registry>": {...}}, not encoded in base64',
        ),
    ),
    "dockercfg": TypeCase("kubernetes.io/dockercfg", {".dockercfg": json.dumps(REGISTRIES)}, ()),
    "basic-auth-neither": TypeCase(
        "kubernetes.io/basic-auth",
        {"user": CANARY},
        (f"data[password] or data[username] is required by type kubernetes.io/basic-auth: {ADD}",),
    ),
    "basic-auth-half": TypeCase("kubernetes.io/basic-auth", {"username": CANARY}, ()),
    "ssh-auth-missing": TypeCase(
        "kubernetes.io/ssh-auth",
        {"id_rsa": CANARY},
        (f"data[ssh-privatekey] is required by type kubernetes.io/ssh-auth: {ADD}",),
    ),
    "ssh-auth": TypeCase("kubernetes.io/ssh-auth", {"ssh-privatekey": CANARY}, ()),
    "a-type-of-somebody": TypeCase("example.org/own", {"anything": CANARY}, ()),
}


@pytest.fixture
async def entries(admin: CloudAdmin) -> dict[str, list[dict[str, str]]]:
    """The entries of each case, with their values in KMS."""
    found: dict[str, list[dict[str, str]]] = {}
    for name, case in CASES.items():
        named = {f"typed/{name}/{n}": key for n, key in enumerate(case.values)}
        await admin.put_secrets({path: case.values[key] for path, key in named.items()})
        found[name] = [{"key": path, "name": key} for path, key in named.items()]
    return found


async def check(api: Api, home: str, name: str, said: tuple[str, ...]) -> None:
    condition = await api.until_ready(home, name, "WriteFailed")
    start = f"Secret {home}/{name} was not written, the API server refused it: "
    assert condition["message"].startswith(start)
    assert all(part in condition["message"] for part in said), condition["message"]
    assert "422" not in condition["message"]
    assert CANARY not in json.dumps(await api.get("ExternalSecret", home, name))
    assert CANARY not in json.dumps(await reported(api, home, name))


async def test_requirement_of_a_type_is_reported(
    api: Api,
    home: str,
    entries: dict[str, list[dict[str, str]]],
    caplog: pytest.LogCaptureFixture,
    running: Running,
) -> None:
    async with running():
        for name, case in CASES.items():
            await api.put(external_secret(name, *entries[name], type=case.of), home)
        for name, case in CASES.items():
            if case.said:
                await check(api, home, name, case.said)
                assert await api.find("Secret", home, name) is None
            else:
                await api.until_ready(home, name, "Synced")
                assert values_of(await api.get("Secret", home, name)) == case.values
    assert CANARY not in caplog.text


async def test_requirement_of_a_new_type_is_reported_and_the_secret_stays(
    api: Api, home: str, entries: dict[str, list[dict[str, str]]], running: Running
) -> None:
    refused = {name: case for name, case in CASES.items() if case.said}
    async with running():
        for name in refused:
            await api.put(external_secret(name, *entries[name]), home)
        for name in refused:
            await api.until_ready(home, name, "Synced")
        before = {name: await api.get("Secret", home, name) for name in refused}
        for name, case in refused.items():
            await api.merge("ExternalSecret", home, name, {"spec": {"type": case.of}})
        for name, case in refused.items():
            await check(api, home, name, case.said)
            assert await api.get("Secret", home, name) == before[name]


async def test_a_typed_secret_that_is_merged_into_says_what_it_demands(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    good = json.dumps(DOCKER)
    await admin.put_secret("typed/merged", good)
    entry = {"key": "typed/merged", "name": ".dockerconfigjson"}
    of = "kubernetes.io/dockerconfigjson"
    async with synced(external_secret("merged", entry, type=of)):
        # Its keys are still its own.
        merge = {"spec": {"target": {"creationPolicy": "Merge"}}}
        await api.merge("ExternalSecret", home, "merged", merge)
        await api.until_ready(home, "merged", "Synced")
        await admin.put_secret("typed/merged", CANARY)
        await force_sync(api, home, "merged", "now")
        said = "data[.dockerconfigjson] is not what its type requires: a JSON object"
        condition = await api.until_ready(home, "merged", "WriteFailed")
        assert said in condition["message"]
        assert CANARY not in condition["message"]
        assert values_of(await api.get("Secret", home, "merged")) == {".dockerconfigjson": good}
