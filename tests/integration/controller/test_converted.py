"""Round trips: an object of the External Secrets Operator is converted and applied.

The Secret is the one that the operator documents for it. The cases are in tests/data/convert:
beside the manifests, ``kms.yaml`` has what KMS holds (by version, where there are several),
``objects.yaml`` other objects that are there before, and ``secrets.yaml`` the Secrets.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.cli.convert.conversion import convert, text_of
from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import OwnIdentity
from tests.support.identities import AUDIENCE
from tests.support.operator import (
    CLUSTER_SCOPED,
    operator,
    path_of,
    proxied_settings,
    running_cloud,
    secret,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

DATA = Path(__file__).parents[2] / "data" / "convert"
CASES = sorted(path.parent for path in DATA.glob("*/secrets.yaml"))
ACCOUNT = "secret-sync"


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("kms")) as info:
        yield info


def moved(value: Any, home: str) -> Any:
    """Return the objects of the namespace ``shop`` as those of another one."""
    if isinstance(value, list):
        return [moved(item, home) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: moved(item, home) for key, item in value.items()}
    if found.get("namespace") == "shop":
        found["namespace"] = home
    if "namespaces" in found:
        found["namespaces"] = [home if name == "shop" else name for name in found["namespaces"]]
    return found


def auths(documents: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    """Return what the operator's stores say about a method of authentication."""
    found: list[dict[str, Any]] = []
    for document in documents:
        provider = document["spec"].get("provider") or {}
        auth = (provider.get("alibaba") or {}).get("auth") or {}
        found += [auth[method]] if method in auth else []
    return found


@dataclass
class ConvertedCase:
    """One case in a namespace of its own."""

    path: Path
    plane: ControlPlane
    info: CloudInfo
    admin: CloudAdmin
    api: Api
    home: str
    token: Path

    def load(self, name: str) -> Any:
        return yaml.safe_load((self.path / name).read_text())

    @property
    def theirs(self) -> list[dict[str, Any]]:
        """The operator's objects."""
        loaded = yaml.safe_load_all((self.path / "eso.yaml").read_text())
        documents = [item for one in loaded if one for item in one.get("items", [one])]
        return [moved(document, self.home) for document in documents]

    def converted(self) -> list[dict[str, Any]]:
        flags = self.path / "arguments"
        flags_text = flags.read_text() if flags.exists() else ""
        region = "cn-hangzhou" if "--region cn-hangzhou" in flags_text else ""
        found = convert(self.theirs, region=region, adopt="--adopt" in flags_text)
        assert all(one.complete for one in found if one.manifest)
        manifests = [yaml.safe_load(text_of(one)) for one in found]
        # What is left out is a comment.
        return [manifest for manifest in manifests if manifest is not None]

    async def prepare(self) -> None:
        """What was there before: values in KMS, AccessKeys, roles, Secrets."""
        for name, value in self.load("kms.yaml").items():
            versions = value if isinstance(value, dict) else {"": value}
            for version, text in versions.items():
                await self.admin.put_secret(
                    name, text, **({"version_id": version} if version else {})
                )
        for refs in auths(self.theirs, "secretRef"):
            key, key_secret = refs["accessKeyIDSecretRef"], refs["accessKeySecretSecretRef"]
            values = {
                key["key"]: self.info.access_key_id,
                key_secret["key"]: self.info.access_key_secret,
            }
            await self.api.put(secret(key["name"], values), self.home)
        for rrsa in auths(self.theirs, "rrsa"):
            await self._trust(rrsa)
        if (self.path / "objects.yaml").exists():
            await self.api.put(moved(self.load("objects.yaml"), self.home), self.home)
        for name, expected in self.load("secrets.yaml").items():
            if "given" in expected:
                await self.api.put(secret(name, expected["given"]), self.home)

    async def _trust(self, rrsa: dict[str, Any]) -> None:
        provider = rrsa["oidcProviderArn"].partition("/")[2]
        answer = await asyncio.to_thread(self.plane.admin.request, "GET", "/openid/v1/jwks")
        keys = answer.body if isinstance(answer.body, dict) else json.loads(answer.body)
        await self.admin.put_oidc_provider(provider, issuer=self.plane.server, jwks=keys)
        subject = f"system:serviceaccount:{self.home}:{ACCOUNT}"
        trust = {"oidc_provider": rrsa["oidcProviderArn"], "sub": subject, "aud": AUDIENCE}
        role = rrsa["roleArn"].partition("/")[2]
        assert await self.admin.put_role(role, trust=[trust], secrets=["*"]) == rrsa["roleArn"]
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": ACCOUNT}}
        await self.api.put(account, self.home)
        token = await self.plane.token_for(self.home, ACCOUNT, audiences=[AUDIENCE])
        await asyncio.to_thread(self.token.write_text, token)

    async def expect(self, name: str, expected: dict[str, Any]) -> None:
        found = await self.api.until_holds(self.home, name, expected["values"])
        assert values_of(found) == expected["values"]
        assert found["type"] == expected.get("type", "Opaque")
        assert found.get("immutable", False) is expected.get("immutable", False)
        for part in ("labels", "annotations"):
            assert (expected.get(part) or {}).items() <= found["metadata"].get(part, {}).items()
        if "owned" in expected:
            assert bool(found["metadata"].get("ownerReferences")) is expected["owned"]


@pytest.fixture(params=CASES, ids=lambda path: path.name)
async def case(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    kms: CloudInfo,
    api: Api,
    home: str,
    tmp_path: Path,
) -> AsyncIterator[ConvertedCase]:
    async with CloudAdmin(kms.admin_url) as admin:
        yield ConvertedCase(request.param, cluster, kms, admin, api, home, tmp_path / "token")


async def test_converted_objects_give_the_documented_secret(case: ConvertedCase) -> None:
    await case.prepare()
    manifests = case.converted()
    own = OwnIdentity(oidc_token_file=str(case.token))
    # A ClusterExternalSecret needs all namespaces.
    everywhere = any(one["kind"] == "ClusterExternalSecret" for one in manifests)
    watched = () if everywhere else (case.home,)
    async with operator(proxied_settings(case.plane, case.info, *watched, own=own)):
        for manifest in manifests:
            await case.api.put(manifest, case.home)
        for manifest in manifests:
            if manifest["kind"] == "ExternalSecret":
                await case.api.until_ready(case.home, manifest["metadata"]["name"], "Synced")
        for name, expected in case.load("secrets.yaml").items():
            await case.expect(name, expected)
    for manifest in manifests:
        if manifest["kind"] in CLUSTER_SCOPED:
            name = manifest["metadata"]["name"]
            await case.api.request("DELETE", path_of(manifest["kind"], "", name))
