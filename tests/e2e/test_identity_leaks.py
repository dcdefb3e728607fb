"""Nothing that the local cloud ever issued is in anything that a run with every identity says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from secret_sync.local.cloud import CloudAdmin
from tests.support.identities import AUDIENCE, Ram, auth_store, owned, put_account, using
from tests.support.operator import Api, install_crds, put_store, ready_of
from tests.support.program import free_port, running

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

GROUP = "/apis/alibabacloud.com/v1alpha1"
PAIR = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}


async def put_stores(api: Api, ram: Ram, namespace: str) -> dict[str, bool]:
    """Stores of every method, good ones and bad; whether each is to become ready."""
    good = await ram.role_for("good", namespace, "reader")
    own = await ram.role_for("own", namespace, "controller")
    untrusting = await ram.role_for("untrusting", namespace, "somebody-else")
    assumed = await ram.role_for_account("assumed", roles=["*"])
    worker = await ram.role_for_account("worker")
    await ram.admin.set_metadata(role=worker)
    await put_account(api, namespace, "reader", good)
    await put_account(api, namespace, "unlucky", untrusting)
    provider = {"oidcProviderARN": ram.provider}
    audiences = {"name": "reader", "audiences": ["somewhere"]}
    nobody = assumed + "-nobody"
    stores: dict[str, tuple[dict[str, Any], bool]] = {
        "as-account": ({"serviceAccountRef": {"name": "reader"}, **provider}, True),
        "as-controller": ({"ramRoleARN": own, **provider}, True),
        "assumed": ({**PAIR, "ramRoleARN": assumed}, True),
        "chained": ({**PAIR, "ramRoleARN": assumed, "remoteRamRoleARN": worker}, True),
        "worker": ({}, True),
        "untrusted": ({"serviceAccountRef": {"name": "unlucky"}, **provider}, False),
        "audience": ({"serviceAccountRef": audiences, **provider}, False),
        "no-role": ({**PAIR, "ramRoleARN": nobody}, False),
        "half": ({"accessKey": PAIR["accessKey"]}, False),
    }
    for name, (auth, _) in stores.items():
        await api.put(auth_store(name, **auth), namespace)
        await api.put(using(name, name, "leak/one"), namespace)
    await api.put(owned("none", "leak/one"), namespace)
    return {name: ready for name, (_, ready) in stores.items()}


def is_reported(status: str, found: dict[str, Any] | None) -> bool:
    return ready_of(found).get("status") == status


async def test_no_key_or_token_is_said(
    control_plane: ControlPlane, cloud: CloudInfo, namespace: str, tmp_path: Path
) -> None:
    install_crds(control_plane)
    port = free_port()
    token = tmp_path / "token"
    variables = {
        "KUBECONFIG": str(control_plane.kubeconfig),
        "ALICLOUD_OIDC_TOKEN_FILE": str(token),
        **cloud.environment,
    }
    flags = (
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        f"--watch-namespaces={namespace}",
        "--polling-interval=1s",
        "--log-level=debug",
    )
    said: dict[str, str] = {}
    async with CloudAdmin(cloud.admin_url) as admin, Api(control_plane) as api:
        ram = await Ram.of(control_plane, admin, cloud)
        await admin.put_secret("leak/one", "a-value")
        await put_store(api, cloud, namespace)
        await put_account(api, namespace, "controller")
        token.write_text(
            await control_plane.token_for(namespace, "controller", audiences=[AUDIENCE])
        )
        ready = await put_stores(api, ram, namespace)
        async with running(*flags, **variables) as child, aiohttp.ClientSession() as http:
            for name, good in ready.items():
                settled = partial(is_reported, "True" if good else "False")
                await api.until("SecretStore", namespace, name, settled, within=20)
                await api.until("ExternalSecret", namespace, name, settled, within=20)
            # Sessions that end, an STS that fails, and one that answers with a page.
            await admin.set_fault("html", action="AssumeRole")
            await admin.expire_sessions()
            await admin.put_secret("leak/one", "another-value")
            await api.until_holds(namespace, "as-account", {"x": "another-value"}, within=20)
            for plural in ("externalsecrets", "secretstores", "clustersecretstores"):
                place = "" if plural.startswith("cluster") else f"/namespaces/{namespace}"
                _, listed = await api.request("GET", f"{GROUP}{place}/{plural}")
                said[plural] = orjson.dumps(listed).decode()
            _, events = await api.request("GET", f"/api/v1/namespaces/{namespace}/events")
            said["events"] = orjson.dumps(events).decode()
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                said["metrics"] = await answer.text()
            child.process.terminate()
            assert await child.ends() == 0
        said["log"] = "".join(child.lines)
        issued = await admin.issued()
        assert not any(call["token_in_url"] for call in await admin.calls(20_000))
    assert "RoleNotTrusted" in said["log"]
    # The pair, a session for each role, its token, a token for each question to STS, IMDS's.
    assert len(issued) > 12
    hidden = [*issued, token.read_text(), control_plane.admin_token]
    # A JWT that is cut in two tells as much.
    hidden += [part for text in hidden for part in text.split(".") if len(part) > 40]
    for place, text in said.items():
        assert [value[:6] for value in hidden if value in text] == [], place
