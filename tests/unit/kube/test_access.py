"""Where the API server is and as whom it is asked (W18)."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from secret_sync.errors import DefiniteError
from secret_sync.kube import ClusterAccess, access
from tests.unit.kube.scripted import kubeconfig_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://api.test:6443"


@pytest.fixture(scope="module")
def ca_pem() -> Callable[[str], bytes]:
    def build(name: str) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

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


def test_the_40_megabytes_of_models_stay_unimported() -> None:
    """And with the version that is pinned both ways of configuration are there."""
    script = (
        "import sys\n"
        "from secret_sync.kube._client_config import Configuration, config\n"
        "assert callable(config.load_kube_config)\n"
        "assert callable(config.load_incluster_config)\n"
        "assert issubclass(config.ConfigException, Exception)\n"
        "made = Configuration()\n"
        "for name in ('host', 'api_key', 'ssl_ca_cert', 'cert_file', 'key_file', 'verify_ssl',"
        " 'proxy', 'tls_server_name'):\n"
        "    assert hasattr(made, name), name\n"
        "models = [m for m in sys.modules if m.startswith('kubernetes_asyncio.client.')]\n"
        "assert not [m for m in models if 'models' in m or '.api' in m], models\n"
    )
    result = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


async def test_in_a_pod_the_service_account_is_used(service_account: Path) -> None:
    found = await ClusterAccess.find()
    assert found.server == "https://10.0.0.1:443"
    assert await found.authorization() == "Bearer token-1"
    assert subjects(found.ssl) == ["first"]


async def test_a_kubeconfig_goes_before_the_service_account(
    service_account: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(kubeconfig_text(URL, token="mine"))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert found.server == URL
    assert await found.authorization() == "Bearer mine"


@pytest.mark.looptime
async def test_W18_the_token_is_read_again_within_a_minute(service_account: Path) -> None:
    found = await ClusterAccess.find()
    (service_account / "token").write_text("token-2\n")
    await asyncio.sleep(access.REREAD_AFTER - 1)
    assert await found.authorization() == "Bearer token-1"
    await asyncio.sleep(2)
    # Nobody waits for it, since a volume may hang.
    assert await found.authorization() == "Bearer token-1"
    await found.renew()
    assert await found.authorization() == "Bearer token-2"


async def test_a_volume_that_hangs_delays_no_request(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REREAD_AFTER", 0.0)
    monkeypatch.setattr(access, "_READ_WITHIN", 0.05)
    found = await ClusterAccess.find()
    go_on = threading.Event()
    reads: list[bool] = []
    monkeypatch.setattr(found, "_read", lambda: reads.append(go_on.wait(30)))
    async with asyncio.timeout(10):
        for _ in range(50):
            await asyncio.sleep(0.001)
            assert await found.authorization() == "Bearer token-1"
        # After a 401 it is waited for, but not for ever.
        await found.renew()
    go_on.set()
    await found.renew()
    assert len(reads) <= 2


async def test_W18_a_new_ca_is_trusted_by_the_same_context(
    service_account: Path, ca_pem: Callable[[str], bytes]
) -> None:
    found = await ClusterAccess.find()
    context = found.ssl
    (service_account / "ca.crt").write_bytes(ca_pem("second"))
    await found.renew()
    assert found.ssl is context
    assert subjects(found.ssl) == ["first", "second"]


async def test_W18_a_file_that_is_missing_for_a_moment_does_no_harm(service_account: Path) -> None:
    found = await ClusterAccess.find()
    (service_account / "token").unlink()
    await found.renew()
    assert await found.authorization() == "Bearer token-1"


async def test_many_who_renew_at_once_read_once(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await ClusterAccess.find()
    reads = 0
    read = found._read

    def counting() -> None:
        nonlocal reads
        reads += 1
        read()

    monkeypatch.setattr(found, "_read", counting)
    await asyncio.gather(*(found.renew() for _ in range(10)))
    assert reads == 1


async def test_the_home_directory_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig_text(URL, token="home"))
    found = await ClusterAccess.find()
    assert await found.authorization() == "Bearer home"


async def test_what_a_kubeconfig_says_of_tls_and_proxies(
    tmp_path: Path, ca_pem: Callable[[str], bytes]
) -> None:
    (tmp_path / "ca.pem").write_bytes(ca_pem("theirs"))
    cluster = {
        "certificate-authority": str(tmp_path / "ca.pem"),
        "tls-server-name": "inside.test",
        "proxy-url": "http://proxy.test:3128",
    }
    (tmp_path / "config").write_text(kubeconfig_text(URL + "/k8s/c-1/", cluster, token="x"))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert found.server == URL + "/k8s/c-1"
    assert (found.server_name, found.proxy) == ("inside.test", "http://proxy.test:3128")
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


async def test_a_credential_plugin_is_run(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-a-plugin"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [
            "-c",
            f"print({orjson.dumps(answer).decode()!r})",
        ],
    }
    (tmp_path / "config").write_text(kubeconfig_text(URL, exec=plugin))
    found = await ClusterAccess.find(str(tmp_path / "config"))
    assert await found.authorization() == "Bearer from-a-plugin"


async def test_a_credential_plugin_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_PLUGIN_TIMEOUT", 0.05)
    found = ClusterAccess(lambda _: asyncio.sleep(60), "a plugin")
    with pytest.raises(DefiniteError, match="TimeoutError"):
        await found.renew()


BROKEN = {
    "no file": None,
    "empty": "",
    "no yaml": "{{{ token-abc",
    "no map": "[1]",
    "no context": '{"clusters": [], "contexts": [], "users": []}',
    "unknown user field": (
        '{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c",'
        ' "user": "u"}}], "clusters": [{"name": "c", "cluster": {"server": "https://x"}}],'
        ' "users": [{"name": "u", "token": "token-abc"}]}'
    ),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
async def test_a_kubeconfig_that_cannot_be_read_is_one_line_without_a_token(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DefiniteError, match="cannot read the cluster's address") as caught:
        await ClusterAccess.find(str(path))
    assert str(path) in caught.value.message
    assert "--kubeconfig" in caught.value.message
    assert "\n" not in caught.value.message
    assert "token-abc" not in caught.value.message


def test_nothing_tells_a_token() -> None:
    """Not even in a log that shows the object."""

    async def none(_: Any) -> None: ...

    found = ClusterAccess(none, "somewhere")
    found._configuration.api_key["BearerToken"] = "Bearer token-abc"
    assert "token-abc" not in repr(found)
