"""Kubeconfigs and credential plugins of commands that run as processes."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.program import PROGRAM, environment, free_port, running

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane

HANG = "sleep 600 & echo $! $$ >> {pids}; wait"
V1 = "client.authentication.k8s.io/v1"
#: Seconds that the end of a process takes at most; it was half a minute.
SOON = 10.0


def with_plugin(base: Path, path: Path, program: str) -> str:
    """The kubeconfig of somebody whose credentials a shell's program issues."""
    document = yaml.safe_load(base.read_text())
    execute = {
        "apiVersion": V1,
        "command": "/bin/sh",
        "args": ["-c", program],
        "interactiveMode": "Never",
    }
    for entry in document["users"]:
        entry["user"] = {"exec": execute}
    path.write_text(yaml.safe_dump(document))
    return str(path)


def alive(pids: Path) -> list[str]:
    found = []
    for pid in pids.read_text().split():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [pid] if state not in "ZX" else []
    return found


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


async def until_lines(path: Path, number: int, within: float = 30) -> None:
    async with asyncio.timeout(within):
        while await asyncio.to_thread(lines, path) < number:  # noqa: ASYNC110 (a file)
            await asyncio.sleep(0.05)


async def test_a_plugin_that_hangs_at_the_start_does_not_delay_the_end(tmp_path: Path) -> None:
    base, pids = tmp_path / "base", tmp_path / "pids"
    base.write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "x"}],
            }
        )
    )
    config = with_plugin(base, tmp_path / "config", HANG.format(pids=pids))
    async with running("--metrics-bind-address=0", KUBECONFIG=config) as child:
        await until_lines(pids, 1)
        child.process.send_signal(signal.SIGTERM)
        assert await child.ends(SOON) == 0
        assert alive(pids) == []


async def test_a_plugin_that_hangs_later_disturbs_nothing(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """Nor does it delay the end; and nothing of it is left then."""
    pids, issued, port = tmp_path / "pids", tmp_path / "issued", free_port()
    token = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]["token"]
    status = {"token": token, "expirationTimestamp": "@"}
    answer = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})
    # The first credentials are good for some seconds, and then there are no others.
    program = (
        f"if [ -e {issued} ]; then {HANG.format(pids=pids)}; fi; touch {issued}; "
        f"""printf '%s' '{answer}' | sed "s/@/$(date -u -d '+6 seconds' +%FT%TZ)/" """
    )
    config = with_plugin(cluster.kubeconfig, tmp_path / "config", program)
    async with running(
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        "--log-format=json",
        "--leader-elect",
        KUBECONFIG=config,
    ) as child:
        await child.until_says('"leading"', within=30)
        await until_lines(pids, 1)
        # It hangs, and the lease is renewed meanwhile.
        await asyncio.sleep(5)
        assert not [line for line in child.lines if "lease" in line and "not reached" in line]
        begun = time.monotonic()
        child.process.send_signal(signal.SIGTERM)
        assert await child.ends(SOON) == 0
        assert time.monotonic() - begun < SOON
        assert alive(pids) == []
        assert token not in "".join(child.lines)


ODD = {
    "empty": b"",
    "binary": b"\x7fELF\x00\xff",
    "not YAML": b"{{{ token-abc",
    "a list": b"- token-abc",
    "a string": b"token-abc",
    "deep": b"[" * 50_000,
    "unknown cluster": b"{current-context: x, contexts: [{name: x, context: {cluster: \xc3\xbc}}]}",
    "dots of a user": "{current-context: x, contexts: [{name: x, context: {cluster: c, user: ü}}],"
    " clusters: [{name: c, cluster: {server: 'https://x'}}], users: [{name: ü, user: [token-abc]}]}"
    "".encode(),
    "claims that are not ASCII": b"{current-context: x, contexts: [{name: x, context: {cluster: c,"
    b" user: u}}], clusters: [{name: c, cluster: {server: 'https://x'}}], users: [{name: u, user:"
    b" {auth-provider: {name: oidc, config: {id-token: 'a.\xc3\xbc.token-abc'}}}}]}",
}


COMMANDS = {
    "run": ["--metrics-bind-address=0"],
    "status": [],
    "release": ["--keep-secrets", "--yes", "--all-namespaces"],
}


@pytest.mark.parametrize(
    ("command", "odd"),
    [*(("status", odd) for odd in ODD), ("run", "not YAML"), ("release", "not YAML")],
)
def test_an_odd_kubeconfig_is_one_sentence(command: str, odd: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_bytes(ODD[odd])
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, PROGRAM, command, *COMMANDS[command]],
        env=environment({"KUBECONFIG": str(config)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"secret-sync {command}: ")
    assert str(config) in done.stderr
    assert "token-abc" not in done.stderr
    assert "unexpected" not in done.stderr
