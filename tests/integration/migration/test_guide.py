"""Alibaba's walkthrough for ack-secret-manager, step by step, with every YAML of it.

The objects are as the guide has them (`tests/data/guide`). Calls go to the usual endpoints, so
that those it writes count; the proxy of the local cloud is the way there. The flags are those with
which docs/migrating.md has secret-sync installed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import OwnIdentity, ProxySettings, parse_run_arguments
from tests.integration.migration.ack import installed, remove_objects, until_definitions
from tests.integration.migration.older import HOME, RELEASE
from tests.integration.migration.shell import steps
from tests.support.documentation import ROOT
from tests.support.identities import AUDIENCE, OTHER_ACCOUNT, calls
from tests.support.kustomize import environment
from tests.support.operator import operator, running_cloud, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings
    from tests.integration.migration.shell import Shell
    from tests.support.operator import Api

VALUE = "as in the guide"
SUBJECT = f"system:serviceaccount:{HOME}:{RELEASE}"
JSON = '{"name":"tom","friends":[{"name":"lily"},{"name":"mark"}]}'
YAML = "name: tom\nfriends:\n  - name: lily\n  - name: mark\n"
ODD_JSON = '{"/name-invalid":"lily","name-invalid/":[{"name":"mark"}]}'
ODD_YAML = "/name-invalid: lily\nname-invalid/:\n  - name: mark\n"
PICKED = {"myname": "tom", "friendname": "lily"}


def objects(name: str) -> list[dict[str, Any]]:
    """What a file of the guide holds."""
    return list(yaml.safe_load_all((ROOT / "tests/data/guide" / f"{name}.yaml").read_text()))


def auth(name: str) -> dict[str, Any]:
    (document,) = objects(name)
    found: dict[str, Any] = document["spec"]["KMS"]["KMSAuth"]
    return found


def called(arn: str) -> str:
    """What an ARN calls its thing."""
    return arn.partition("/")[2]


@pytest.fixture
def own_cloud(tmp_path: Path) -> Iterator[CloudInfo]:
    directory = tmp_path / "cloud"
    directory.mkdir()
    with running_cloud(directory) as info:
        yield info


@dataclass
class Guide:
    """A reader of the guide, at work."""

    plane: ControlPlane
    info: CloudInfo
    admin: CloudAdmin
    api: Api
    home: str
    token: Path
    reported: Settings

    @property
    def settings(self) -> Settings:
        """With the flags of our document, as far as the guide is about them."""
        here = "localhost,127.0.0.1,::1"
        return settings_for(
            self.plane,
            self.info,
            *(self.home, HOME),
            kms_endpoint="",
            oos_endpoint="",
            sts_endpoint="",
            region=self.reported.region,
            enable_worker_role=self.reported.enable_worker_role,
            enable_cross_namespace_secret_store=self.reported.enable_cross_namespace_secret_store,
            enable_cross_namespace_auth_ref=self.reported.enable_cross_namespace_auth_ref,
            proxy=ProxySettings(self.info.proxy_url, self.info.proxy_url, here),
            own=OwnIdentity(oidc_token_file=str(self.token)),
        )

    async def enable_rrsa(self) -> None:
        """Step 2: an identity provider for the cluster, and the token that the chart mounts."""
        provider = called(auth("secretstore-rrsa")["oidcProviderARN"])
        answer = await asyncio.to_thread(self.plane.admin.request, "GET", "/openid/v1/jwks")
        keys = answer.body if isinstance(answer.body, dict) else json.loads(answer.body)
        await self.admin.put_oidc_provider(provider, issuer=self.plane.server, jwks=keys)
        token = await self.plane.token_for(HOME, RELEASE, audiences=[AUDIENCE])
        await asyncio.to_thread(self.token.write_text, token)

    async def role(self, arn: str, *, rrsa: bool, **more: Any) -> None:
        """A role that the guide has made, with the trust that it demands."""
        account = self.info.account
        provider = auth("secretstore-rrsa")["oidcProviderARN"]
        trust = {"oidc_provider": provider, "sub": SUBJECT, "aud": AUDIENCE}
        entry = trust if rrsa else {"account": account}
        assert await self.admin.put_role(called(arn), trust=[entry], **more) == arn

    async def apply(self, name: str, store: str = "") -> str:
        """Applies a file: stores and Secrets in kube-system, ExternalSecrets in our namespace.

        Args:
            name: Of the file.
            store: The ``{secret store name}`` of the ExternalSecret; else as the file has it.
        """
        (document,) = objects(name)
        if store:
            for entry in document["spec"]["data"]:
                entry["secretStoreRef"] = {"name": store, "namespace": HOME}
        there = self.home if document["kind"] == "ExternalSecret" else HOME
        await self.api.put(document, there)
        applied: str = document["metadata"]["name"]
        return applied

    async def holds(self, name: str, values: dict[str, str]) -> None:
        await self.api.until_holds(self.home, name, values)
        await self.api.until_ready(self.home, name, "Synced")


@pytest.fixture
async def guide(
    plane: ControlPlane,
    own_cloud: CloudInfo,
    api: Api,
    home: str,
    shell: Shell,
    tmp_path: Path,
) -> AsyncIterator[Guide]:
    for step in steps("install"):
        await shell.follow(step)
    await until_definitions(api, home, "refreshPolicy", there=True)
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await admin.put_secret("db-password", VALUE, version_id="v1")
        variables = environment([await installed(api)])
        reported = await asyncio.to_thread(parse_run_arguments, [], variables)
        yield Guide(plane, own_cloud, admin, api, home, tmp_path / "token", reported)
    await remove_objects(api, HOME)
    await remove_objects(api, home)
    await api.request("DELETE", f"/api/v1/namespaces/{HOME}/secrets/ramuser")


async def test_rrsa(guide: Guide) -> None:
    await guide.enable_rrsa()
    await guide.role(auth("secretstore-rrsa")["ramRoleARN"], rrsa=True, secrets=["*"])
    async with operator(guide.settings):
        await guide.apply("secretstore-rrsa")
        name = await guide.apply("external")
        await guide.holds(name, {"password": VALUE})


async def test_the_worker_ram_role(guide: Guide) -> None:
    role = await guide.admin.put_role("node", trust=[], secrets=["*"])
    await guide.admin.set_metadata(role=role)
    async with operator(guide.settings):
        name = await guide.apply("external-worker-role")
        await guide.holds(name, {"password": VALUE})


async def ram_user(guide: Guide) -> None:
    """The RAM user, who may do nothing but assume the role, and the role."""
    (held,) = objects("ramuser")
    # In the form in which RAM shows them.
    made = {n: yaml.safe_load(f"!!binary {held['data'][n]}").decode() for n in held["data"]}
    key, key_secret = made["accessKey"], made["accessKeySecret"]
    await guide.admin.create_access_key(key_id=key, key_secret=key_secret)
    role = auth("secretstore-ramrole")["ramRoleARN"]
    await guide.admin.restrict_access_key(key, secrets=[], roles=[role])
    await guide.role(role, rrsa=False, secrets=["*"])


async def test_an_access_key_in_kube_system(guide: Guide) -> None:
    await ram_user(guide)
    async with operator(guide.settings):
        await guide.apply("ramuser")
        store = await guide.apply("secretstore-ramrole")
        name = await guide.apply("external", store)
        await guide.holds(name, {"password": VALUE})
    sessions = {each["name"] for each in await guide.admin.sessions()}
    assert sessions == {auth("secretstore-ramrole")["ramRoleSessionName"]}


async def test_an_access_key_of_another_namespace_than_its_store(guide: Guide) -> None:
    """The guide's store names no namespace, so it may be anywhere; the AccessKey is not."""
    await ram_user(guide)
    (store,) = objects("secretstore-ramrole")
    (external,) = objects("external")
    external["spec"]["data"][0]["secretStoreRef"] = {
        "name": store["metadata"]["name"],
        "namespace": guide.home,
    }
    async with operator(guide.settings):
        await guide.apply("ramuser")
        await guide.api.put(store, guide.home)
        await guide.api.put(external, guide.home)
        await guide.holds(external["metadata"]["name"], {"password": VALUE})


async def test_another_account(guide: Guide) -> None:
    await guide.enable_rrsa()
    there = {"account": OTHER_ACCOUNT}
    await guide.admin.delete("db-password")
    await guide.admin.put_secret("db-password", VALUE, **there)
    first, second = (
        auth("secretstore-cross-account")[name] for name in ("ramRoleARN", "remoteRamRoleARN")
    )
    await guide.role(first, rrsa=True, secrets=[], roles=[second])
    await guide.role(second, rrsa=False, secrets=["*"], **there)
    async with operator(guide.settings):
        store = await guide.apply("secretstore-cross-account")
        name = await guide.apply("external", store)
        await guide.holds(name, {"password": VALUE})


@pytest.mark.parametrize(
    ("name", "document", "values"),
    [
        ("json-jmespath", JSON, PICKED),
        ("yaml-jmespath", YAML, PICKED),
        ("json-extract", ODD_JSON, {"tom": "lily", "mark": '[{"name":"mark"}]'}),
        ("yaml-extract", ODD_YAML, {"tom": "lily", "mark": "- name: mark"}),
    ],
    ids=["json-jmespath", "yaml-jmespath", "json-extract", "yaml-extract"],
)
async def test_documents(guide: Guide, name: str, document: str, values: dict[str, str]) -> None:
    await guide.enable_rrsa()
    await guide.role(auth("secretstore-rrsa")["ramRoleARN"], rrsa=True, secrets=["*"])
    await guide.admin.put_secret("person", document)
    async with operator(guide.settings):
        await guide.apply("secretstore-rrsa")
        await guide.holds(await guide.apply(name), values)


async def test_endpoints(guide: Guide) -> None:
    """One and the same secret by two gateways, which are two sources."""
    role = await guide.admin.put_role("node", trust=[], secrets=["*"])
    await guide.admin.set_metadata(role=role)
    await guide.admin.put_secret("test-hangzhou", VALUE, version_id="v1")
    async with operator(guide.settings):
        name = await guide.apply("endpoints")
        await guide.holds(name, {"hangzhou-vpc": VALUE, "hangzhou-public": VALUE})
    assert len(await calls(guide.admin, "GetSecretValue", "test-hangzhou")) == 2


@pytest.mark.parametrize("flag", ["secret-store", "auth-ref"])
async def test_without_the_flags_it_is_refused_and_the_flag_is_named(
    guide: Guide, flag: str
) -> None:
    await ram_user(guide)
    field = f"enable_cross_namespace_{flag.replace('-', '_')}"
    settings = {name: getattr(guide.settings, name) for name in guide.settings.__dataclass_fields__}
    (store,) = objects("secretstore-ramrole")
    (external,) = objects("external")
    ref = {"name": store["metadata"]["name"], "namespace": guide.home}
    external["spec"]["data"][0]["secretStoreRef"] = ref
    if flag == "secret-store":
        ref["namespace"] = HOME
    async with operator(type(guide.settings)(**{**settings, field: False})):
        await guide.apply("ramuser")
        await guide.api.put(store, ref["namespace"])
        await guide.api.put(external, guide.home)
        name = external["metadata"]["name"]
        condition = await guide.api.until_ready(guide.home, name, "ReferenceRefused")
        assert f"--enable-cross-namespace-{flag}" in condition["message"]


def test_every_file_of_the_guide_is_in_a_test() -> None:
    files = {path.stem for path in (ROOT / "tests/data/guide").glob("*.yaml")}
    text = (ROOT / "tests/integration/migration/test_guide.py").read_text()
    assert {name for name in files if f'"{name}"' not in text} == set()
