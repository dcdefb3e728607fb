"""How the three processes are started: nothing but their command lines and small files."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secret_sync.local.controlplane.ports import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.binaries import Binaries
    from secret_sync.local.controlplane.pki import Pki

# What our objects need: owners that are gone, namespaces that go, accounts that come.
_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)

# One line per request, with neither bodies nor the noise of the half-done stage.
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one control plane is.

    Attributes:
        directory: For its owner only; holds all files below.
        binaries: The programs.
        pki: Keys and certificates.
        etcd_port: Where etcd listens for the API server.
        etcd_peer_port: Where etcd would listen for other members.
        api_port: Where the API server listens.
    """

    directory: Path
    binaries: Binaries
    pki: Pki
    etcd_port: int
    etcd_peer_port: int
    api_port: int

    @property
    def etcd_endpoint(self) -> str:
        """URL of etcd."""
        return f"http://{LOOPBACK}:{self.etcd_port}"

    @property
    def server(self) -> str:
        """URL of the API server; issuer and default audience of the tokens it signs."""
        return f"https://{LOOPBACK}:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """Return the path of the kubeconfig of a user with all permissions."""
        return self.directory / "kubeconfig"

    @property
    def etcd_data(self) -> Path:
        """Return etcd's data folder."""
        return self.directory / "etcd"

    @property
    def etcd_backup(self) -> Path:
        """Return the path of etcd's backup."""
        return self.directory / "etcd-backup"

    @property
    def tokens(self) -> Path:
        """Return the path of the API server's static tokens."""
        return self.directory / "tokens.csv"

    @property
    def audit_policy(self) -> Path:
        """Return the path of the audit policy."""
        return self.directory / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """Return the path of the audit log, a JSON object per line."""
        return self.directory / "audit.log"


def etcd(layout: Layout) -> list[str | Path]:
    """Return the flags of one member, without disk flushes: its data ends with the run."""
    peer = f"http://{LOOPBACK}:{layout.etcd_peer_port}"
    return [
        layout.binaries.etcd,
        "--name=playground",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={layout.etcd_endpoint}",
        f"--advertise-client-urls={layout.etcd_endpoint}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=playground={peer}",
        "--socket-reuse-port=true",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(layout: Layout, *, audit_log: bool) -> list[str | Path]:
    """RBAC on, and nothing open but one loopback port."""
    pki = layout.pki
    argv: list[str | Path] = [
        layout.binaries.kube_apiserver,
        f"--etcd-servers={layout.etcd_endpoint}",
        f"--bind-address={LOOPBACK}",
        # The address in `jwks_uri`; otherwise one of the machine, on which nothing listens.
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={layout.api_port}",
        # The port is reserved by our own socket, see ReservedPort.
        "--permit-port-sharing=true",
        f"--tls-cert-file={pki.server_certificate}",
        f"--tls-private-key-file={pki.server_key}",
        f"--client-ca-file={pki.ca}",
        f"--token-auth-file={layout.tokens}",
        f"--service-account-issuer={layout.server}",
        f"--service-account-key-file={pki.service_account_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        # It would publish a loopback address as the service `kubernetes`, which is refused.
        "--endpoint-reconciler-type=none",
    ]
    if audit_log:
        argv += [
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            # A request is in the file when its answer is out, so that a test can count.
            "--audit-log-mode=blocking",
        ]
    return argv


def controller_manager(layout: Layout) -> list[str | Path]:
    """Only the controllers our objects need, with no port of its own."""
    return [
        layout.binaries.kube_controller_manager,
        f"--kubeconfig={layout.kubeconfig}",
        f"--controllers={','.join(_CONTROLLERS)}",
        f"--service-account-private-key-file={layout.pki.service_account_key}",
        f"--root-ca-file={layout.pki.ca}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def kubeconfig(layout: Layout, token: str) -> bytes:
    """Return a kubeconfig that needs no other file, as JSON, which is YAML."""
    name = "secret-sync-local"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": layout.server,
                    "certificate-authority-data": _base64(layout.pki.ca.read_bytes()),
                },
            }
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2).encode()


def token_file(admin_token: str) -> bytes:
    """Return the API server's static tokens: one user with all permissions."""
    return f'{admin_token},admin,admin,"system:masters"\n'.encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
