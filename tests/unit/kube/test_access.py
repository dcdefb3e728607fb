"""Where the API server is and as whom it is asked."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import trustme
import yaml

from secret_sync.errors import DefiniteError
from secret_sync.kube import ClusterAccess, access, current_namespace
from secret_sync.kube.kubeconfig import Connection, Issued, Login, Plugin, Server
from secret_sync.kube.service_account import read_service_account
from tests.unit.kube.fakes import kubeconfig_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://api.test:6443"


@pytest.fixture(scope="module")
def ca_pem() -> Callable[[str], bytes]:
    def build(name: str) -> bytes:
        return trustme.CA(organization_name=name).cert_pem.bytes()

    return build


@pytest.fixture
def service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca_pem: Callable[[str], bytes]
) -> Path:
    """What a kubelet puts into a pod."""
    (tmp_path / "token").write_text("token-1")
    (tmp_path / "ca.crt").write_bytes(ca_pem("first"))
    library = sys.modules["kubernetes_asyncio.config.incluster_config"]
    monkeypatch.setattr(library, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(library, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def subjects(context: ssl.SSLContext | None) -> list[str]:
    assert context is not None
    certificates: list[Any] = context.get_ca_certs()
    return sorted(c["subject"][0][0][1] for c in certificates)


def token(found: ClusterAccess) -> str | None:
    return dict(found.credentials.headers).get("Authorization")


async def renew(found: ClusterAccess) -> None:
    """As after a 401."""
    await found.renew(found.credentials)


@pytest.mark.slow
def test_the_40_megabytes_of_models_stay_unimported() -> None:
    """And what is used of the version that is pinned is there."""
    script = (
        "import sys\n"
        "from secret_sync.kube._client_config import ConfigException, load_incluster_config\n"
        "assert callable(load_incluster_config)\n"
        "assert issubclass(ConfigException, Exception)\n"
        "config = 'kubernetes_asyncio.config'\n"
        "found = [m for m in sys.modules if m.startswith('kubernetes_asyncio.')]\n"
        "assert found == [config, f'{config}.config_exception', f'{config}.incluster_config']\n"
    )
    result = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


async def test_in_a_pod_the_service_account_is_used(service_account: Path) -> None:
    found = await ClusterAccess.find()
    assert found.server == "https://10.0.0.1:443"
    assert token(found) == "Bearer token-1"
    assert subjects(found.ssl) == ["first"]


async def test_a_kubeconfig_goes_before_the_service_account(
    service_account: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(kubeconfig_text(URL, token="mine"))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert found.server == URL
    assert token(found) == "Bearer mine"


async def test_context_that_is_named_goes_before_the_current_one_and_the_pod(
    service_account: Path, tmp_path: Path
) -> None:
    document = yaml.safe_load(kubeconfig_text(URL, token="mine"))
    here = document["contexts"][0]
    cluster = {"name": "far", "cluster": {"server": "https://far.example:6443"}}
    document["clusters"].append(cluster)
    context = {**here["context"], "cluster": "far", "namespace": "shop"}
    document["contexts"].append({"name": "other", "context": context})
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    found = await ClusterAccess.find(str(path), "other")
    assert found.server == "https://far.example:6443"
    assert await asyncio.to_thread(current_namespace, str(path), "other") == "shop"
    assert (await ClusterAccess.find(str(path))).server == URL
    with pytest.raises(DefiniteError, match="nowhere"):
        await ClusterAccess.find(str(path), "nowhere")


async def test_the_token_is_read_again_after_a_minute(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REREAD_AFTER", 0.01)
    found = await ClusterAccess.find()
    (service_account / "token").write_text("token-2\n")
    async with asyncio.timeout(10):
        while token(found) != "Bearer token-2":  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
    await found.close()


async def test_the_token_is_read_again_after_a_401(service_account: Path) -> None:
    found = await ClusterAccess.find()
    (service_account / "token").write_text("token-2\n")
    assert token(found) == "Bearer token-1"
    await renew(found)
    assert token(found) == "Bearer token-2"


async def test_a_volume_that_hangs_delays_no_request(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "RENEW_WITHIN", 0.05)
    go_on = threading.Event()
    reads: list[bool] = []

    def read(context: str) -> Connection:
        if not reads:
            reads.append(True)
            return read_service_account(context)
        reads.append(go_on.wait(30))
        raise DefiniteError("nothing to be read")

    found = ClusterAccess(read, "a test")
    await found.open()
    async with asyncio.timeout(10):
        for _ in range(5):
            # After a 401 it is waited for, but not for ever.
            await renew(found)
            assert token(found) == "Bearer token-1"
    go_on.set()
    await found.close()
    assert len(reads) <= 2


async def test_a_volume_that_hangs_at_the_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "FIND_WITHIN", 0.05)
    go_on = threading.Event()

    def hang(_: str) -> Connection:
        go_on.wait(30)
        raise DefiniteError("nothing to be read")

    with pytest.raises(DefiniteError, match="a test: not read within"):
        await ClusterAccess(hang, "a test").open()
    go_on.set()


async def test_a_new_ca_is_trusted_by_the_same_context(
    service_account: Path, ca_pem: Callable[[str], bytes]
) -> None:
    found = await ClusterAccess.find()
    context = found.ssl
    (service_account / "ca.crt").write_bytes(ca_pem("second"))
    await renew(found)
    assert found.ssl is context
    assert subjects(found.ssl) == ["first", "second"]


async def test_without_a_home_it_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def unknown(_: int) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(DefiniteError, match="no such file; set KUBECONFIG"):
        await ClusterAccess.find()
    with pytest.raises(DefiniteError, match="no such file; set KUBECONFIG"):
        await asyncio.to_thread(current_namespace, "")


@pytest.mark.parametrize("name", ["token", "ca.crt"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00"], ids=["gone", "empty", "odd"])
async def test_a_file_that_is_broken_for_a_moment_does_no_harm(
    service_account: Path, name: str, content: bytes | None
) -> None:
    found = await ClusterAccess.find()
    before = (service_account / name).read_bytes()
    (service_account / name).unlink()
    if content is not None:
        (service_account / name).write_bytes(content)
    await renew(found)
    assert token(found) == "Bearer token-1"
    assert subjects(found.ssl) == ["first"]
    (service_account / name).write_bytes(before)
    (service_account / "token").write_text("token-2")
    await renew(found)
    assert token(found) == "Bearer token-2"


async def test_many_who_renew_at_once_read_once(
    service_account: Path,
) -> None:
    reads: list[str] = []

    def read(context: str) -> Connection:
        reads.append(context)
        return read_service_account(context)

    found = ClusterAccess(read, "a test")
    await found.open()
    await asyncio.gather(*(renew(found) for _ in range(10)))
    assert len(reads) == 2, "at the start, and once for all"


async def test_the_home_directory_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig_text(URL, token="home"))
    found = await ClusterAccess.find()
    assert token(found) == "Bearer home"


async def test_tls_and_proxy_fields_of_a_kubeconfig(
    tmp_path: Path, ca_pem: Callable[[str], bytes]
) -> None:
    (tmp_path / "ca.pem").write_bytes("# Unsere Behörde\n".encode() + ca_pem("theirs"))
    cluster = {
        "certificate-authority": "ca.pem",
        "tls-server-name": "inside.test",
        "proxy-url": "http://me:secret@proxy.test:3128",
    }
    (tmp_path / "config").write_text(kubeconfig_text(URL + "/k8s/c-1/", cluster, token="x"))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert found.server == URL + "/k8s/c-1"
    assert found.server_name == "inside.test"
    assert found.proxy == "http://me:secret@proxy.test:3128"
    assert subjects(found.ssl) == ["theirs"]
    assert found.ssl is not None
    assert found.ssl.verify_mode is ssl.CERT_REQUIRED
    # Python 3.13 sets it; the CAs of many clusters do not stand it.
    assert not found.ssl.verify_flags & ssl.VERIFY_X509_STRICT


async def test_tls_is_left_unverified_only_where_the_kubeconfig_says_so(tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True}
    (tmp_path / "config").write_text(kubeconfig_text(URL, cluster, token="x"))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert found.ssl is not None
    assert found.ssl.verify_mode is ssl.CERT_NONE


def contexts(current: str, url: str = URL, token: str = "") -> str:
    """Two clusters, and who works on which."""
    names = {"mine": (url, token or "mine"), "other": ("https://other.test", "other")}
    return orjson.dumps(
        {
            "current-context": current,
            "contexts": [
                {"name": n, "context": {"cluster": n, "user": n, "namespace": f"of-{n}"}}
                for n in names
            ],
            "clusters": [{"name": n, "cluster": {"server": u}} for n, (u, _) in names.items()],
            "users": [{"name": n, "user": {"token": t}} for n, (_, t) in names.items()],
        }
    ).decode()


async def test_a_process_stays_with_its_cluster_while_others_switch_theirs(tmp_path: Path) -> None:
    """It did not: within a minute it worked on another one."""
    path = tmp_path / "config"
    path.write_text(contexts("mine"))
    found = await ClusterAccess.find(str(path))
    path.write_text(contexts("other", token="newer"))
    await renew(found)
    assert (found.server, token(found)) == (URL, "Bearer newer")
    # The same name for something else is nothing to follow, either.
    path.write_text(contexts("mine", "https://elsewhere.test", token="newest"))
    await renew(found)
    assert (found.server, token(found)) == (URL, "Bearer newer")
    await found.close()


def test_the_namespace_is_the_contexts(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(contexts("other"))
    assert current_namespace(str(tmp_path / "config")) == "of-other"
    (tmp_path / "config").write_text(kubeconfig_text(URL))
    assert current_namespace(str(tmp_path / "config")) == "default"
    (tmp_path / "config").write_text("")
    with pytest.raises(DefiniteError, match="current-context: missing"):
        current_namespace(str(tmp_path / "config"))


async def test_no_kubeconfig_is_one_line_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(
        DefiniteError, match="no such file; set KUBECONFIG or --kubeconfig"
    ) as caught:
        await ClusterAccess.find(f"{tmp_path}/none:{tmp_path}/neither")
    assert f"{tmp_path}/none" in caught.value.message


def test_no_output_contains_a_token() -> None:
    """Not even in a log that shows the objects."""
    server = Server(URL, proxy="http://me:hidden@proxy.test")
    plugin = Plugin("p", ("hidden",), (("A", "hidden"),), "v1", "hidden")
    login = Login("Bearer hidden", b"hidden", b"hidden", plugin, (("Impersonate-User", "x"),))
    issued = Issued("Bearer hidden", b"hidden", b"hidden", 1.0)
    found = ClusterAccess(lambda _: Connection(server, login), "somewhere")
    found.credentials = access.RequestCredentials(
        (("Authorization", "Bearer hidden"),), key=b"hidden"
    )
    connection = Connection(server, login)
    for thing in (server, plugin, login, issued, found, found.credentials, connection):
        assert "hidden" not in repr(thing)
        assert "hidden" not in str(thing)
