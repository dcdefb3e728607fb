"""Each walkthrough of docs/authentication.md, with its own policies and objects."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import OwnIdentity
from secret_sync.settings.parse import own_identity
from tests.support.controlplane import fresh_namespace
from tests.support.documentation import ROOT, filled, section
from tests.support.identities import AUDIENCE, OTHER_ACCOUNT, Ram, put_account
from tests.support.operator import operator, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

DOCUMENT = "docs/authentication.md"
VALUE = "as documented"
#: What the document shows of a store that is as it should be.
GOOD = "its references resolve and its credentials were obtained"


def allowed(policy: str, action: str) -> list[str]:
    """The resources on which a policy allows an action."""
    found: list[str] = []
    for statement in json.loads(policy)["Statement"]:
        assert statement["Effect"] == "Allow"
        written = statement["Resource"], statement["Action"]
        resources, actions = (w if isinstance(w, list) else [w] for w in written)
        found += resources if action in actions else []
    return found


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
            "key-id": "any-key",
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

    def roles(self, beginning: str) -> list[str]:
        """ARNs of the roles that the section's policy lets be assumed."""
        (text,) = self.blocks(beginning, "policy")
        return allowed(text, "sts:AssumeRole")

    def readable(self, account: str = "") -> list[str]:
        """Names of the secrets of an account that the policy for KMS lets be read."""
        account = account or self.info.account
        text, _ = section(DOCUMENT, "Permissions of an identity").fenced("json policy")
        policy = filled(text, {**self.values, "account": account})
        begins = f"acs:kms:*:{account}:"
        # The local cloud knows one right to a secret; KMS wants the key decrypted with, too.
        assert any(r.startswith(f"{begins}key/") for r in allowed(policy, "kms:Decrypt"))
        secret = f"{begins}secret/"
        readable = allowed(policy, "kms:GetSecretValue")
        return [r.removeprefix(secret) for r in readable if r.startswith(secret)]

    async def own_token(self, path: Path) -> None:
        await put_account(self.api, self.namespace, "controller")
        token = await self.plane.token_for(self.namespace, "controller", audiences=[AUDIENCE])
        await asyncio.to_thread(path.write_text, token)
        self.settings["own"] = OwnIdentity(oidc_token_file=str(path))

    async def access_key(self, **permissions: list[str]) -> None:
        key_id, secret = await self.admin.create_access_key()
        await self.admin.restrict_access_key(key_id, **permissions)
        self.values |= {"access-key-id": key_id, "access-key-secret": secret}

    async def apply(self, beginning: str) -> list[dict[str, Any]]:
        """Applies the section's objects; returns them."""
        (text,) = section(DOCUMENT, beginning).fenced("yaml")
        documents = list(yaml.safe_load_all(filled(text, self.values)))
        for document in documents:
            await self.api.put(document, self.namespace)
        return documents


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
    """The objects of a section give the Secret, and their status is the one that is shown."""
    namespace = walk.namespace
    async with operator(settings_for(walk.plane, walk.info, namespace, **walk.settings)):
        documents = await walk.apply(beginning)
        name = documents[-1]["metadata"]["name"]
        assert (await walk.api.until_ready(namespace, name, "Synced"))["status"] == "True"
        await walk.api.until_holds(namespace, name, {"password": VALUE})
        for document in documents:
            kind, store = document["kind"], document["metadata"]["name"]
            if kind in {"SecretStore", "ClusterSecretStore"}:
                ready = await walk.api.until_ready(namespace, store, "Ready", kind=kind)
                assert (ready["status"], ready["message"]) == ("True", GOOD)


def test_the_message_of_a_good_store_is_shown() -> None:
    assert GOOD in (ROOT / DOCUMENT).read_text()


async def test_1_rrsa_as_a_service_account(walk: Walkthrough) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("1."), secrets=walk.readable())
    await comes_true(walk, "1.")


async def test_a_store_is_ready_without_the_policy_for_kms(walk: Walkthrough) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("1."), secrets=[])
    async with operator(settings_for(walk.plane, walk.info, walk.namespace)):
        *_, store, user = [d["metadata"]["name"] for d in await walk.apply("1.")]
        await walk.api.until_ready(walk.namespace, store, "Ready", kind="SecretStore")
        await walk.api.until_ready(walk.namespace, user, "Forbidden")


async def test_2_rrsa_as_the_controller(walk: Walkthrough, tmp_path: Path) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("2."), secrets=walk.readable())
    await walk.own_token(tmp_path / "token")
    await comes_true(walk, "2.")


async def test_3_an_access_key_and_a_ram_role(walk: Walkthrough) -> None:
    await walk.admin.put_role("documented", trust=walk.trust("3."), secrets=walk.readable())
    await walk.access_key(secrets=[], roles=walk.roles("3."))
    await comes_true(walk, "3.")


async def test_4_an_access_key(walk: Walkthrough) -> None:
    await walk.access_key(secrets=walk.readable(), roles=[])
    await comes_true(walk, "4.")


async def test_5_the_worker_ram_role(walk: Walkthrough) -> None:
    role = await walk.admin.put_role("node", trust=[], secrets=walk.readable())
    await walk.admin.set_metadata(role=role)
    await comes_true(walk, "5.")


async def test_6_another_account(walk: Walkthrough, tmp_path: Path) -> None:
    await walk.admin.delete("shop-password")
    await walk.admin.put_secret("shop-password", VALUE, account=OTHER_ACCOUNT)
    assume = walk.roles("6.")
    await walk.admin.put_role("documented", trust=walk.trust("2."), secrets=[], roles=assume)
    there = {"account": OTHER_ACCOUNT, "secrets": walk.readable(OTHER_ACCOUNT)}
    await walk.admin.put_role("documented-there", trust=walk.trust("6."), **there)
    await walk.own_token(tmp_path / "token")
    await comes_true(walk, "6.")


def variables(meaning: str) -> list[str]:
    """The variables in the row of the document's table that has this meaning."""
    (row,) = [r for r in section(DOCUMENT, "7.").text.splitlines() if f"| {meaning}" in r]
    return re.findall(r"`([A-Z_]+)`", row.split("|")[1])


@pytest.mark.parametrize("names", [0, 1], ids=["ours", "of-the-webhook"])
async def test_7_no_store(walk: Walkthrough, tmp_path: Path, names: int) -> None:
    trust = walk.trust("2.")
    role = await walk.admin.put_role("documented", trust=trust, secrets=walk.readable())
    await walk.own_token(tmp_path / "token")
    environment = {
        variables("the cluster's identity provider")[names]: trust[0]["oidc_provider"],
        variables("the role to assume")[names]: role,
        variables("the token")[names]: str(tmp_path / "token"),
    }
    walk.settings["own"] = own_identity(environment)
    await comes_true(walk, "7.")


async def test_7_no_store_with_the_other_variables(walk: Walkthrough) -> None:
    """An AccessKey and two roles, with the policies of methods 3 and 6."""
    await walk.admin.delete("shop-password")
    await walk.admin.put_secret("shop-password", VALUE, account=OTHER_ACCOUNT)
    first = {"secrets": [], "roles": walk.roles("6.")}
    role = await walk.admin.put_role("documented", trust=walk.trust("3."), **first)
    there = {"account": OTHER_ACCOUNT, "secrets": walk.readable(OTHER_ACCOUNT)}
    remote = await walk.admin.put_role("documented-there", trust=walk.trust("6."), **there)
    await walk.access_key(secrets=[], roles=walk.roles("3."))
    pair = [walk.values[half] for half in ("access-key-id", "access-key-secret")]
    environment = {
        **dict(zip(variables("an AccessKey"), pair, strict=True)),
        variables("the role to assume")[0]: role,
        **dict(zip(variables("name and seconds"), ("here@night", "900"), strict=True)),
        **dict(zip(variables("a second role"), (remote, "there@night"), strict=True)),
    }
    walk.settings["own"] = own_identity(environment)
    await comes_true(walk, "7.")
    sessions = {each["name"]: each["role"] for each in await walk.admin.sessions()}
    assert sessions == {"here@night": role, "there@night": remote}


@pytest.fixture
def elsewhere(cluster: ControlPlane) -> Iterator[str]:
    """Another namespace."""
    yield from fresh_namespace(cluster)


async def test_8_one_store_for_several_namespaces(walk: Walkthrough, elsewhere: str) -> None:
    """One namespace by its name; the other is refused until it has the label that is asked for."""
    await walk.access_key(secrets=walk.readable(), roles=[])
    await comes_true(walk, "8.")
    async with operator(settings_for(walk.plane, walk.info, walk.namespace, elsewhere)):
        *_, store, user = await walk.apply("8.")
        name = user["metadata"]["name"]
        there = {**user, "metadata": {"name": name, "namespace": elsewhere}}
        conditions = store["spec"]["conditions"]
        (regex,) = [r for rule in conditions for r in rule.get("namespaceRegexes", ())]
        assert re.fullmatch(regex, "team-a")
        assert not re.fullmatch(regex, elsewhere)
        await walk.api.put(there, elsewhere)
        await walk.api.until_ready(elsewhere, name, "StoreRefused")
        (selector,) = [r["namespaceSelector"] for r in conditions if "namespaceSelector" in r]
        labels = {"metadata": {"labels": selector["matchLabels"]}}
        await walk.api.merge("Namespace", "", elsewhere, labels)
        await walk.api.until_holds(elsewhere, name, {"password": VALUE})
