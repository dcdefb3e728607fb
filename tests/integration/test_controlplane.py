"""The control plane is a real one: what later tests rely on."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from secret_sync.local.controlplane.endpoint import Endpoint
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.controlplane.plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("programs")

STS = "sts.aliyuncs.com"


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def create(plane: ControlPlane, namespace: str, plural: str, body: dict[str, Any]) -> Any:
    answer = plane.admin.request("POST", f"/api/v1/namespaces/{namespace}/{plural}", body)
    assert answer.status == 201, answer.body
    return answer.body


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def running_in(directory: Path) -> list[str]:
    """The programs of the control plane in this directory."""
    programs = {"etcd", "kube-apiserver", "kube-controller-manager"}
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        program = Path(command.partition("\0")[0]).name
        if str(directory) in command and program in programs:
            found.append(program)
    return sorted(found)


def test_control_plane_answers_with_the_version_it_was_built_as(
    control_plane: ControlPlane,
) -> None:
    answer = control_plane.admin.request("GET", "/version")
    assert answer.status == 200
    assert answer.body["gitVersion"].startswith("v1.")
    assert int(answer.body["minor"]) >= 30


def test_kubectl_works_with_the_kubeconfig_alone(control_plane: ControlPlane) -> None:
    result = subprocess.run(  # noqa: S603  # our own program
        [control_plane.binaries.kubectl, "get", "namespace", "default", "-o", "name"],
        # Without a home, kubectl keeps its cache in the working directory.
        env={"KUBECONFIG": str(control_plane.kubeconfig), "HOME": str(control_plane.directory)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.stdout == "namespace/default\n", result.stderr


def test_files_with_keys_and_tokens_are_for_the_owner_alone(control_plane: ControlPlane) -> None:
    token = control_plane.admin_token.encode()
    secret = [
        path
        for path in control_plane.directory.iterdir()
        if path.is_file() and (b"PRIVATE KEY" in (data := path.read_bytes()) or token in data)
    ]
    assert len(secret) == 4
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def test_a_stranger_may_not_read_secrets(control_plane: ControlPlane, namespace: str) -> None:
    stranger = Endpoint(control_plane.server, ca_file=control_plane.ca_file)
    answer = stranger.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert answer.status == 403
    assert "system:anonymous" in answer.body["message"]


def test_a_wrong_token_is_refused(control_plane: ControlPlane) -> None:
    impostor = Endpoint(control_plane.server, "wrong", control_plane.ca_file)
    assert impostor.request("GET", "/api/v1/namespaces").status == 401


async def test_rbac_decides_what_a_service_account_may(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, "serviceaccounts", {"metadata": {"name": "reader"}})
    token = await control_plane.token_for(namespace, "reader")
    reader = Endpoint(control_plane.server, token, control_plane.ca_file)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert reader.request("GET", path).status == 403

    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    role = {"metadata": {"name": "reader"}, "rules": [rule]}
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    rbac = f"/apis/{group}/v1/namespaces/{namespace}"
    assert control_plane.admin.request("POST", f"{rbac}/roles", role).status == 201
    assert control_plane.admin.request("POST", f"{rbac}/rolebindings", binding).status == 201
    eventually(lambda: reader.request("GET", path).status == 200)
    assert reader.request("POST", path, config_map("no")).status == 403


def test_a_namespace_gets_its_default_service_account(
    control_plane: ControlPlane, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: control_plane.admin.answers(path))


def test_a_secret_goes_with_its_owner(control_plane: ControlPlane, namespace: str) -> None:
    owner = create(control_plane, namespace, "configmaps", config_map("owner"))
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    secret = {"metadata": {"name": "owned", "ownerReferences": [reference]}}
    create(control_plane, namespace, "secrets", secret)

    objects = f"/api/v1/namespaces/{namespace}"
    control_plane.admin.request("DELETE", f"{objects}/configmaps/owner")
    eventually(lambda: not control_plane.admin.answers(f"{objects}/secrets/owned"))


def test_a_deleted_namespace_goes_with_all_in_it(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, "configmaps", config_map("inside"))
    path = f"/api/v1/namespaces/{namespace}"
    control_plane.admin.request("DELETE", path)
    eventually(lambda: not control_plane.admin.answers(path))


async def test_a_token_for_sts_verifies_against_the_published_keys(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, "serviceaccounts", {"metadata": {"name": "app"}})
    token = await control_plane.token_for(namespace, "app", audiences=[STS])

    header, payload, signature = token.split(".")
    kid = json.loads(decoded(header))["kid"]
    keys = control_plane.admin.request("GET", "/openid/v1/jwks").body["keys"]
    (key,) = (key for key in keys if key["kid"] == kid)
    numbers = rsa.RSAPublicNumbers(e=integer(key["e"]), n=integer(key["n"]))
    numbers.public_key().verify(
        decoded(signature), f"{header}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    claims = json.loads(decoded(payload))
    assert claims["aud"] == [STS]
    assert claims["sub"] == f"system:serviceaccount:{namespace}:app"
    discovery = control_plane.admin.request("GET", "/.well-known/openid-configuration").body
    assert claims["iss"] == discovery["issuer"] == control_plane.server
    assert discovery["jwks_uri"] == f"{control_plane.server}/openid/v1/jwks"

    # It is for somebody else, so the API server does not take it.
    bearer = Endpoint(control_plane.server, token, control_plane.ca_file)
    assert bearer.request("GET", "/api/v1/namespaces").status == 401


async def test_no_token_for_an_account_that_is_not_there(
    control_plane: ControlPlane, namespace: str
) -> None:
    with pytest.raises(ControlPlaneError, match=f"no token for {namespace}/nobody"):
        await control_plane.token_for(namespace, "nobody")


async def test_a_killed_api_server_comes_back_with_its_data(
    breakable_control_plane: ControlPlane, breakable_namespace: str
) -> None:
    plane = breakable_control_plane
    kept = create(plane, breakable_namespace, "configmaps", config_map("kept"))
    await plane.kill_api_server()
    assert not plane.admin.answers("/readyz")

    await plane.start_api_server()
    answer = plane.admin.request("GET", f"/api/v1/namespaces/{breakable_namespace}/configmaps/kept")
    assert answer.body["metadata"]["uid"] == kept["metadata"]["uid"]
    with pytest.raises(ControlPlaneError, match="already running"):
        await plane.start_api_server()


async def test_state_before_expired_history_is_gone(
    breakable_control_plane: ControlPlane, breakable_namespace: str
) -> None:
    plane = breakable_control_plane
    created = create(plane, breakable_namespace, "configmaps", config_map("old"))
    old = created["metadata"]["resourceVersion"]
    create(plane, breakable_namespace, "configmaps", config_map("new"))
    path = f"/api/v1/namespaces/{breakable_namespace}/configmaps?limit=1"
    following = plane.admin.request("GET", path).body["metadata"]["continue"]
    assert first_event(plane, breakable_namespace, old)["type"] == "ADDED"

    # The API server still knows the past by heart.
    await plane.compact()
    assert first_event(plane, breakable_namespace, old)["type"] == "ADDED"

    await plane.expire_history()
    event = first_event(plane, breakable_namespace, old)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    # The same for a list in pages: here it is the status of the answer.
    answer = plane.admin.request("GET", f"{path}&continue={following}")
    assert (answer.status, answer.body["reason"]) == (410, "Expired")


async def test_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "plane"
    async with await ControlPlane.start(directory, audit_log=True) as plane:
        assert running_in(directory) == ["etcd", "kube-apiserver", "kube-controller-manager"]
        plane.admin.request("GET", "/api/v1/namespaces/default")
        lines = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
        assert any(line["requestURI"] == "/api/v1/namespaces/default" for line in lines)
    assert running_in(directory) == []
    await plane.stop()


async def test_a_cancelled_start_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "plane"
    task = asyncio.create_task(ControlPlane.start(directory))
    await asyncio.to_thread(eventually, lambda: "kube-apiserver" in running_in(directory))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running_in(directory) == []


async def test_a_failed_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    directory = tmp_path / "plane"
    directory.mkdir()
    # Where etcd wants to make its folder, something else is.
    (directory / "etcd").write_text("")
    with pytest.raises(ControlPlaneError, match=r"(?s)etcd ended with status 1; .*not a directory"):
        await ControlPlane.start(directory)
    assert running_in(directory) == []


async def test_a_directory_serves_one_run(control_plane: ControlPlane) -> None:
    before = control_plane.ca_file.read_bytes()
    with pytest.raises(ControlPlaneError, match="belongs to another run"):
        await ControlPlane.start(control_plane.directory)
    assert control_plane.ca_file.read_bytes() == before


def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    directory = tmp_path / "plane"
    script = f"""
import asyncio, pathlib
from secret_sync.local.controlplane.plane import ControlPlane
async def main():
    plane = await ControlPlane.start(pathlib.Path({str(directory)!r}))
    print("up", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:  # noqa: S603  # ours
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert len(running_in(directory)) == 3
        os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: running_in(directory) == [], seconds=10)


def first_event(plane: ControlPlane, namespace: str, resource_version: str) -> Any:
    """What a watch of one second from ``resource_version`` on begins with."""
    query = f"watch=1&timeoutSeconds=1&resourceVersion={resource_version}"
    path = f"/api/v1/namespaces/{namespace}/configmaps?{query}"
    answer = plane.admin.request("GET", path)
    # A single event is one document, several are a line each.
    assert answer.status == 200
    if isinstance(answer.body, str):
        return json.loads(answer.body.splitlines()[0])
    return answer.body


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def integer(part: str) -> int:
    return int.from_bytes(decoded(part), "big")
