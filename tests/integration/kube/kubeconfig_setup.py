"""Kubeconfigs: how a case writes one, and what is expected of it."""

from __future__ import annotations

import sys
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Asks the same server as the same one as kubectl does.
SAME: Final = "same"
#: kubectl refuses it, too.
BOTH: Final = "both refuse it"
#: kubectl does something with it.
OURS: Final = "refused by us only"
#: kubectl asks at the terminal for what is missing; we ask the server as nobody.
THEIRS: Final = "refused by kubectl only"


@dataclass
class KubeconfigSetup:
    """Where the servers are, and what their files hold."""

    folder: Path
    a: str
    b: str
    plain: str
    named: str
    proxy: str
    secure_proxy: str
    ca: Path
    client: tuple[Path, Path]

    def cluster(self, **fields: Any) -> dict[str, Any]:
        """A cluster at ``a``, whose CA is trusted."""
        whole = {"server": self.a, "certificate-authority": str(self.ca), **named(fields)}
        return {name: value for name, value in whole.items() if value is not None}

    def plugin(self, status: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """An ``exec`` that answers so."""
        answer = {"kind": "ExecCredential", "apiVersion": V1, "status": dict(status)}
        return {
            "apiVersion": V1,
            "interactiveMode": "Never",
            "command": sys.executable,
            "args": ["-c", f"print({orjson.dumps(answer).decode()!r})"],
            **fields,
        }

    def echo(self, **fields: Any) -> dict[str, Any]:
        """An ``exec`` whose token is what it was told, in hexadecimal digits."""
        program = (
            "import json, os; told = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
            "text = json.dumps([told, os.environ.get('MORE')], sort_keys=True).encode().hex();"
            "print(json.dumps({'kind': 'ExecCredential', 'apiVersion': told['apiVersion'],"
            " 'status': {'token': text}}))"
        )
        return {**self.plugin({}), "args": ["-c", program], **fields}

    def client_status(self) -> dict[str, str]:
        """A client certificate, as a plugin answers it."""
        certificate, key = self.client
        return {
            "clientCertificateData": certificate.read_text(),
            "clientKeyData": key.read_text(),
        }


V1: Final = "client.authentication.k8s.io/v1"


@dataclass
class KubeconfigCase:
    """What ``KUBECONFIG`` is made of, and what comes of it.

    Attributes:
        files: Name and content of each file, in the order of ``KUBECONFIG``.
        outcome: One of the above.
        says: In our message.
        beside: More files, which the kubeconfigs name.
    """

    files: Callable[[KubeconfigSetup], dict[str, Any]]
    outcome: str = SAME
    says: str = ""
    beside: dict[str, str] = field(default_factory=dict)


def named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """With the hyphens that Python's names have not."""
    return {name.replace("_", "-"): value for name, value in fields.items()}


def config(cluster: Any, user: Any = None, *, name: Any = "x", **more: Any) -> dict[str, Any]:
    """One context with one cluster and one user, all of that name."""
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
        **named(more),
    }


def one(user: Any = None, outcome: str = SAME, says: str = "", **cluster: Any) -> KubeconfigCase:
    """One file; the user may depend on the setup."""

    def files(setup: KubeconfigSetup) -> dict[str, Any]:
        about = user(setup) if callable(user) else user
        fields = {
            name: value(setup) if callable(value) else value for name, value in cluster.items()
        }
        return {"config": config(setup.cluster(**fields), about)}

    return KubeconfigCase(files, outcome, says)


def encoded(path: Path) -> str:
    """As ``*-data`` has it."""
    return b64encode(path.read_bytes()).decode()


def oidc() -> dict[str, Any]:
    """A provider whose token is good for a long time."""
    claims = urlsafe_b64encode(orjson.dumps({"exp": 32503680000, "name": "Jürgen"})).decode()
    settings = {
        "idp-issuer-url": "https://127.0.0.1:1",
        "client-id": "c",
        "client-secret": "token-abc",
        "refresh-token": "token-abc",
        "id-token": f"e30.{claims.rstrip('=')}.c2ln",
    }
    return {"name": "oidc", "config": settings}


def two(
    first: Callable[[KubeconfigSetup], Any], second: Callable[[KubeconfigSetup], Any]
) -> KubeconfigCase:
    """Two files."""
    return KubeconfigCase(lambda setup: {"one/config": first(setup), "two/config": second(setup)})


def text(content: Any, outcome: str, says: str) -> KubeconfigCase:
    """One file with just that in it, or what follows from the setup."""
    return KubeconfigCase(
        lambda w: {"config": content(w) if callable(content) else content}, outcome, says
    )
