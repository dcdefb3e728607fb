"""Kubeconfigs beside kubectl: the same server is asked as the same one, or the file is refused."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml

from secret_sync.app.loop import EventLoop
from secret_sync.errors import DefiniteError
from secret_sync.kube import Answer, ClusterAccess, KubeClient
from secret_sync.kube.errors import ApiUnavailableError
from tests.integration.kube.kubeconfig_cases import CASES
from tests.integration.kube.kubeconfig_setup import BOTH, OURS, SAME, THEIRS, KubeconfigSetup
from tests.support.recording import Authority, ConnectProxy, RecordingServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.controlplane.binaries import Binaries
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.kube.kubeconfig_setup import KubeconfigCase
    from tests.support.recording import Asked

PATH = "/api/v1/secrets"


@pytest.fixture(scope="session")
def kubectl_program(programs: Binaries) -> str:
    return str(programs.kubectl)


class Servers:
    """All that may be asked."""

    def __init__(self, servers: list[RecordingServer]) -> None:
        self._servers = servers

    def asked(self) -> list[Asked]:
        """Since the last time."""
        asked = [asked for server in self._servers for asked in server.asked]
        for server in self._servers:
            server.asked.clear()
        return asked


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[tuple[KubeconfigSetup, Servers]]:
    issued = tmp_path / "issued"
    issued.mkdir()
    authority, proxied = Authority(issued), set[int]()
    async with AsyncExitStack() as stack:
        a, b, named, plain = [
            await stack.enter_async_context(
                RecordingServer(name, authority, host, tls, through=proxied)
            )
            for name, host, tls in (
                ("a", "127.0.0.1", True),
                ("b", "127.0.0.1", True),
                ("named", "inside.test", True),
                ("plain", "", False),
            )
        ]
        proxy = await stack.enter_async_context(ConnectProxy(proxied))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("proxy", "127.0.0.1"))
        secure = await stack.enter_async_context(ConnectProxy(proxied, context))
        yield (
            KubeconfigSetup(
                tmp_path,
                a.url,
                b.url,
                plain.url,
                named.url,
                proxy.url,
                secure.url,
                authority.path,
                authority.issue("jane"),
            ),
            Servers([a, b, named, plain]),
        )


def write(case: KubeconfigCase, setup: KubeconfigSetup) -> str:
    """The files; returns ``KUBECONFIG``."""
    paths = []
    for name, content in case.files(setup).items():
        path = setup.folder / name
        paths.append(str(path))
        if content is None:
            continue
        path.parent.mkdir(exist_ok=True)
        data = orjson.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    for name, content in case.beside.items():
        path = setup.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(0o700)
    return os.pathsep.join(paths)


async def by_kubectl(program: str, kubeconfig: str, folder: Path) -> str:
    """What it complains of; nothing if it was answered."""
    process = await asyncio.create_subprocess_exec(
        program,
        "get",
        "--raw",
        PATH,
        "--request-timeout=10s",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": kubeconfig},
        cwd=folder.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return errors.decode() if process.returncode else ""


async def by_us(kubeconfig: str) -> str:
    """What is complained of; nothing if it was answered."""
    try:
        access = await ClusterAccess.find(kubeconfig)
        try:
            async with KubeClient(access) as client:
                await client.request("GET", PATH, expected=Answer.ANY)
        finally:
            with suppress(AttributeError):
                await access.close()
    except (DefiniteError, ApiUnavailableError) as error:
        return error.message
    return ""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_kubeconfig_is_read_as_kubectl_reads_it(
    case: KubeconfigCase, setup: tuple[KubeconfigSetup, Servers], kubectl_program: str
) -> None:
    about, servers = setup
    kubeconfig = write(case, about)
    refused_by_kubectl = await by_kubectl(kubectl_program, kubeconfig, about.folder)
    theirs = servers.asked()
    refused_by_us = await by_us(kubeconfig)
    ours = servers.asked()
    assert_one_sentence(refused_by_us, about)
    if case.outcome == SAME:
        assert (refused_by_kubectl, refused_by_us) == ("", "")
        assert ours == theirs
        assert len(ours) == 1
        return
    if case.outcome == THEIRS:
        assert refused_by_kubectl
        assert [asked.headers for asked in ours] == [()]
        return
    assert refused_by_us
    assert case.says in refused_by_us
    assert not ours
    # What is wrong with a file is reported with its path, and the rest with the server.
    where = "API server" if case.says == "not trusted" else str(about.folder)
    assert where in refused_by_us
    if case.outcome == BOTH:
        assert refused_by_kubectl
    else:
        assert case.outcome == OURS
        # There is no proxy of that kind here.
        assert bool(theirs) is (case.says != "socks5")


@pytest.mark.parametrize("name", ["proxy-url", "proxy-url: https", "client-certificate-data"])
async def test_the_controllers_own_event_loop_does_the_same(
    name: str, setup: tuple[KubeconfigSetup, Servers]
) -> None:
    """TLS within TLS among it."""
    about, servers = setup
    case = next(case for title, case in CASES.items() if title.endswith(f": {name}"))
    kubeconfig = write(case, about)
    assert await by_us(kubeconfig) == ""
    asked = servers.asked()

    def elsewhere() -> str:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            return runner.run(by_us(kubeconfig))

    assert await asyncio.to_thread(elsewhere) == ""
    assert servers.asked() == asked


def assert_one_sentence(message: str, setup: KubeconfigSetup) -> None:
    assert "\n" not in message
    assert "token-abc" not in message
    assert "PRIVATE KEY" not in message
    assert not message or message.isprintable()


async def test_api_server_sees_the_impersonated_user(
    control_plane: ControlPlane, kubectl_program: str, tmp_path: Path
) -> None:
    """It was the administrator behind them."""
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    document["users"][0]["user"] |= {
        "as": "jürgen",
        "as-uid": "u-1",
        "as-groups": ["ops", "dev"],
        "as-user-extra": {"acme.com/Project%": ["one", "two"]},
    }
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(document))
    by_kubectl = subprocess.run(  # noqa: ASYNC221, S603 (our own)
        [kubectl_program, "--kubeconfig", config, "auth", "whoami", "-o", "json"],
        capture_output=True,
        check=True,
        timeout=30,
    )
    access = await ClusterAccess.find(str(config))
    async with KubeClient(access) as client:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        review = await client.request("POST", path, body=body, expected=Answer.ANY)
    await access.close()
    seen = review["status"]["userInfo"]
    assert seen == orjson.loads(by_kubectl.stdout)["status"]["userInfo"]
    assert (seen["username"], seen["uid"]) == ("jürgen", "u-1")
    assert seen["extra"] == {"acme.com/project%": ["one", "two"]}
