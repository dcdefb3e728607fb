"""Each walkthrough of docs/authentication.md, with its own policies and objects."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import OwnIdentity
from tests.support.documentation import filled, section
from tests.support.identities import AUDIENCE, OTHER_ACCOUNT, Ram, put_account
from tests.support.operator import operator, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

DOCUMENT = "docs/authentication.md"
VALUE = "as documented"


class Walkthrough:
    """Does what the document says, with what it says."""

    def __init__(
        self, plane: ControlPlane, info: CloudInfo, admin: CloudAdmin, api: Api, namespace: str
    ) -> None:
        self.plane, self.info, self.admin, self.api = plane, info, admin, api
        self.namespace = namespace
        self.settings: dict[str, Any] = {}
        self.values = {
            "account": info.account,
            "kms-account": OTHER_ACCOUNT,
            "cluster-id": "c1",
            "issuer": plane.server,
            "namespace": namespace,
            "controller-namespace": namespace,
            "controller": "controller",
            "role": "documented",
            "kms-role": "documented-there",
        }

    def blocks(self, beginning: str, info: str) -> list[str]:
        return [filled(b, self.values) for b in section(DOCUMENT, beginning).fenced(f"json {info}")]

    def trust(self, beginning: str) -> list[dict[str, str]]:
        """The statements of a trust policy, as the local cloud takes them."""
        (text,) = self.blocks(beginning, "trust")
        statements = []
        for statement in json.loads(text)["Statement"]:
            assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
            accounts = [arn.split(":")[3] for arn in statement["Principal"].get("RAM", ())]
            statements += [{"account": account} for account in accounts]
            for arn in statement["Principal"].get("Federated", ()):
                condition = statement["Condition"]["StringEquals"]
                assert condition["oidc:iss"] == self.plane.server
                sub, aud = condition["oidc:sub"], condition["oidc:aud"]
                statements.append({"oidc_provider": arn, "sub": sub, "aud": aud})
        return statements

    def resources(self, beginning: str, action: str, kind: str) -> list[str]:
        """What policies allow an action on: names for secrets, ARNs for roles."""
        found = []
        for text in self.blocks(beginning, "policy"):
            for statement in json.loads(text)["Statement"]:
                written = statement["Resource"], statement["Action"]
                resources, actions = (w if isinstance(w, list) else [w] for w in written)
                if action in actions:
                    found += [r for r in resources if f":{kind}/" in r]
        if kind == "secret":
            return [resource.partition(":secret/")[2] for resource in found]
        return found

    @property
    def readable(self) -> list[str]:
        return self.resources("What an identity", "kms:GetSecretValue", "secret")

    async def own_token(self, path: Path) -> None:
        await put_account(self.api, self.namespace, "controller")
        token = await self.plane.token_for(self.namespace, "controller", audiences=[AUDIENCE])
        await asyncio.to_thread(path.write_text, token)
        self.settings["own"] = OwnIdentity(oidc_token_file=str(path))

    async def access_key(self, **permissions: list[str]) -> None:
        key_id, secret = await self.admin.create_access_key()
        await self.admin.restrict_access_key(key_id, **permissions)
        self.values |= {"access-key-id": key_id, "access-key-secret": secret}

    async def apply(self, beginning: str) -> str:
        """Applies the section's objects; returns the name of its ExternalSecret."""
        (text,) = section(DOCUMENT, beginning).fenced("yaml")
        documents = list(yaml.safe_load_all(filled(text, self.values)))
        for document in documents:
            await self.api.put(document, self.namespace)
        return str(documents[-1]["metadata"]["name"])


@pytest.fixture
async def walk(
    cluster: ControlPlane, own_cloud: CloudInfo, api: Api, namespace: str
) -> AsyncIterator[Walkthrough]:
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await Ram.of(cluster, admin, own_cloud)
        await admin.put_secret("shop-password", VALUE)
        yield Walkthrough(cluster, own_cloud, admin, api, namespace)
        path = "/apis/alibabacloud.com/v1alpha1/clustersecretstores"
        await api.request("DELETE", f"{path}/shared-{namespace}")


async def comes_true(walk: Walkthrough, beginning: str) -> None:
    namespace = walk.namespace
    async with operator(settings_for(walk.plane, walk.info, namespace, **walk.settings)):
        name = await walk.apply(beginning)
        await walk.api.until_ready(namespace, name, "Synced")
        await walk.api.until_holds(namespace, name, {"password": VALUE})


async def test_1_rrsa_as_a_service_account(walk: Walkthrough) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("1."), secrets=walk.readable)
    await comes_true(walk, "1.")


async def test_2_rrsa_as_the_controller(walk: Walkthrough, tmp_path: Path) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("2."), secrets=walk.readable)
    await walk.own_token(tmp_path / "token")
    await comes_true(walk, "2.")


async def test_3_an_access_key_and_a_ram_role(walk: Walkthrough) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("3."), secrets=walk.readable)
    await walk.access_key(secrets=[], roles=walk.resources("3.", "sts:AssumeRole", "role"))
    await comes_true(walk, "3.")


async def test_4_an_access_key(walk: Walkthrough) -> None:
    await walk.access_key(secrets=walk.readable, roles=[])
    await comes_true(walk, "4.")


async def test_5_the_worker_ram_role(walk: Walkthrough) -> None:
    role = await walk.admin.put_role("node", trust=[], secrets=walk.readable)
    await walk.admin.set_metadata(role=role)
    await comes_true(walk, "5.")


async def test_6_another_account(walk: Walkthrough, tmp_path: Path) -> None:
    await walk.admin.delete("shop-password")
    await walk.admin.put_secret("shop-password", VALUE, account=OTHER_ACCOUNT)
    assume = walk.resources("6.", "sts:AssumeRole", "role")
    await walk.admin.put_role("documented", trust=walk.trust("2."), secrets=[], roles=assume)
    there = {"account": OTHER_ACCOUNT, "secrets": walk.readable}
    await walk.admin.put_role("documented-there", trust=walk.trust("6."), **there)
    await walk.own_token(tmp_path / "token")
    await comes_true(walk, "6.")


async def test_7_no_store(walk: Walkthrough, tmp_path: Path) -> None:
    role = await walk.admin.put_role("documented", trust=walk.trust("2."), secrets=walk.readable)
    await walk.own_token(tmp_path / "token")
    walk.settings["own"] = OwnIdentity(
        role_arn=role,
        oidc_provider_arn=f"acs:ram::{walk.info.account}:oidc-provider/ack-rrsa-c1",
        oidc_token_file=str(tmp_path / "token"),
    )
    await comes_true(walk, "7.")


async def test_8_one_store_for_several_namespaces(walk: Walkthrough) -> None:
    await walk.access_key(secrets=walk.readable, roles=[])
    await comes_true(walk, "8.")
