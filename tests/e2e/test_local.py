"""``secret-sync local up``: what it prints works, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.documentation import block

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Start = Callable[..., Any]
    Shell = Callable[..., str]

# Not for the fixture itself: with it, the programs are built before any test's time runs.
pytestmark = pytest.mark.usefixtures("programs")

ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin", "HOME": "/"}
LAST_LINE = "# Ctrl-C here stops everything"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "secret_sync.local.cloud")


def test_local_up_prints_all_one_needs_and_ctrl_c_ends_it_all(
    start: Start, shell: Shell, tmp_path: Path
) -> None:
    program, *words = block("docs/playground.md", "sh up").split()
    assert program == ".venv/bin/secret-sync"
    up = start(*words, "--directory", "playground")
    directory = up.mark / "playground"
    up.until(lambda command: LAST_LINE in command.stdout)
    for part in PARTS:
        assert any(part in line for line in up.running()), part

    printed = tmp_path / "printed.sh"
    printed.write_text(up.stdout)

    def run(line: str) -> str:
        return shell(line, printed, ENVIRONMENT)

    place = f"--directory '{directory}'"
    crds = run("kubectl get crds -o name").split()
    assert "customresourcedefinition.apiextensions.k8s.io/secretstores.alibabacloud.com" in crds
    keys = "kubectl get secret kms-reader -o 'go-template={{range $k, $v := .data}}{{$k}} {{end}}'"
    assert run(keys).split() == ["id", "secret"]
    assert run(f"secret-sync local secret put a b {place}") == "a: version v1\n"
    assert run(f"secret-sync local secret list {place}").splitlines()[1].split()[0] == "a"
    applied = run(f"secret-sync local access-key {place} | kubectl apply -f - --dry-run=server")
    assert applied.startswith("secret/kms-reader")
    access_key = json.loads(run(f"secret-sync local access-key {place}"))["stringData"]
    assert access_key["secret"] not in up.stdout + up.stderr

    # Without an AccessKey, by the very line that it prints.
    [apply] = [line.lstrip("# ") for line in up.stdout.splitlines() if line.endswith("/rrsa")]
    run(f"secret-sync local secret put shop-db-password b {place}")
    controller = f"secret-sync run --metrics-bind-address=127.0.0.1:0 >'{tmp_path}/log' 2>&1"
    ready = "kubectl wait --for=condition=Ready aes/database-by-role ass/kms-by-role --timeout=20s"
    run(f'{apply}; {controller} & trap "kill $!; wait" EXIT; {ready}')

    # The page about it, with a folder of the test's own.
    _, *objects = block("README.md", "yaml example").split("---\n")
    (tmp_path / "database.yaml").write_text("---\n".join(objects))
    tour = block("docs/playground.md", "sh tour")
    for command in ("put", "rotate"):
        tour = re.sub(rf"(?m)^(secret-sync local secret {command} .*)$", rf"\1 {place}", tour)
    tour = tour.replace("secret-sync local calls", f"secret-sync local calls {place}")
    background = f"{controller} --polling-interval=5s & trap 'kill $!; wait' EXIT"
    tour = tour.replace("secret-sync run --polling-interval=5s &", background)
    out = run(f"cd '{tmp_path}'\n{tour}")
    assert "externalsecret.alibabacloud.com/database condition met" in out
    assert "GetSecretValue" in out

    assert up.ctrl_c() == 0
    assert up.running() == []
    assert [path.name for path in directory.iterdir()] == ["lock"]


def test_killed_it_leaves_no_process_and_the_next_one_starts(start: Start) -> None:
    killed = start("local", "up", "--directory", "playground")
    killed.until(lambda command: LAST_LINE in command.stdout)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(10)
    assert killed.has_left_nothing()
    directory = killed.mark / "playground"
    assert len(list(directory.glob("run-*"))) == 1
    following = start("local", "up", "--directory", str(directory))
    following.until(lambda command: LAST_LINE in command.stdout)
    assert len(list(directory.glob("run-*"))) == 1
    following.process.terminate()
    assert following.process.wait(40) == 0
    assert following.running() == []
    assert killed.running() == []


def test_ctrl_c_while_it_starts_ends_it_at_once(start: Start) -> None:
    up = start("local", "up", "--directory", "playground")
    up.until(lambda command: any("kube-apiserver" in line for line in command.running()))
    assert up.ctrl_c() == 128 + signal.SIGINT
    assert up.running() == []
    assert up.stdout == ""
    assert "Traceback" not in up.stderr
