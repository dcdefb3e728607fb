"""Entries of a kubeconfig: the cluster, and the user."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import orjson

from secret_sync.errors import DefiniteError
from secret_sync.kube.kubeconfig.connection import Connection, Login, Server, as_header
from secret_sync.kube.kubeconfig.files import read_context
from secret_sync.kube.kubeconfig.plugin import Plugin, find_command
from secret_sync.kube.tls import has_certificate

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from secret_sync.kube.kubeconfig.fields import Fields

CLUSTER_FIELDS: Final = frozenset(
    {
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority",
        "certificate-authority-data",
        "proxy-url",
        # Without an effect here; the last one has none anywhere.
        "disable-compression",
        "extensions",
        "api-version",
    }
)
USER_FIELDS: Final = frozenset(
    {
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "as",
        "as-uid",
        "as-groups",
        "as-user-extra",
        "username",
        "password",
        "auth-provider",
        "exec",
        "extensions",
    }
)
EXEC_FIELDS: Final = frozenset(
    {
        "apiVersion",
        "command",
        "args",
        "env",
        "installHint",
        "provideClusterInfo",
        "interactiveMode",
    }
)
_EXEC_VERSIONS: Final = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)
_EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"
#: Characters of a URL.
_URL: Final = re.compile(r"[!-~]+")
#: Characters of a header's name, but ``%``, in which Kubernetes writes all others.
_HEADER_NAME: Final = "!#$&'*+-.^_`|~"


def read_connection(paths: str, context: str = "") -> Connection:
    """Read the context of a kubeconfig, with all files that it names; this blocks.

    Args:
        paths: One path, or several joined as in the variable ``KUBECONFIG``.
        context: Its name; ``""`` for the current one.

    Raises:
        DefiniteError: One sentence, which begins with the field and shows no value.
    """
    found = read_context(paths, context)
    server = _server(found.cluster)
    user = found.user
    login = Login() if user is None else _login(user, found.cluster, server)
    if server.url.startswith("http:"):
        # As in kubectl: no credentials over a connection that others can read.
        login = Login(impersonation=login.impersonation)
    return Connection(server, login, (found.name, found.cluster_name, found.user_name))


def _server(cluster: Fields) -> Server:
    cluster.only(CLUSTER_FIELDS)
    url = _url(cluster, "server", ("https", "http"))
    if url is None:
        cluster.refuse("server", "missing")
    if url.username is not None or url.query or url.fragment:
        cluster.refuse("server", "expected https://HOST[:PORT][/PATH] and no more than that")
    ca = cluster.data_or_file("certificate-authority")
    if ca and not has_certificate(ca):
        cluster.refuse("certificate-authority", "it holds no certificate in PEM form")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure and ca:
        cluster.refuse(
            "insecure-skip-tls-verify", "certificate-authority is set, too; remove one of them"
        )
    proxy = _url(cluster, "proxy-url", ("https", "http"))
    return Server(
        url.geturl().rstrip("/"),
        cluster.text("tls-server-name") or None,
        proxy.geturl() if proxy else None,
        not insecure,
        ca,
    )


def _url(fields: Fields, name: str, schemes: tuple[str, ...]) -> SplitResult | None:
    text = fields.text(name)
    if not text:
        return None
    try:
        url = urlsplit(text)
        # It is parsed when it is used.
        valid = bool(_URL.fullmatch(text) and url.hostname) and url.port != 0
    except ValueError:
        fields.refuse(name, "this is not a URL")
    if "://" in text and url.scheme not in schemes:
        fields.refuse(name, f"{quote(url.scheme)}:// is not supported; use {' or '.join(schemes)}")
    if url.scheme not in schemes or not valid:
        fields.refuse(name, f"this is not a URL; expected {schemes[0]}://HOST[:PORT]")
    return url


def _login(user: Fields, cluster: Fields, server: Server) -> Login:
    user.only(USER_FIELDS)
    if user.has("auth-provider"):
        user.refuse(
            "auth-provider",
            "not supported; use an exec plugin of your identity provider, or a token",
        )
    authorization = _authorization(user)
    certificate = user.data_or_file("client-certificate")
    key = user.data_or_file("client-key") if certificate else b""
    if certificate and not key:
        user.refuse("client-key", "missing; client-certificate needs it")
    impersonation = tuple(_impersonation(user))
    execute = user.map("exec")
    plugin = None if execute is None else _plugin(execute, cluster, server)
    # As in kubectl, static credentials go before a plugin.
    if authorization or certificate:
        plugin = None
    return Login(authorization, certificate, key, plugin, impersonation)


def _authorization(user: Fields) -> str:
    token, name, password = user.text("token"), user.text("username"), user.text("password")
    if token and (name or password):
        user.refuse("token", "username or password is set, too; remove one of them")
    if user.has("tokenFile"):
        field, token = "tokenFile", _token_of_file(user, token)
    else:
        field = "token"
    if token:
        header = as_header(token)
        if not header:
            user.refuse(field, "it has characters that no token has")
        return f"Bearer {header}"
    if name or password:
        return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
    return ""


def _token_of_file(user: Fields, otherwise: str) -> str:
    """Return the token; the file goes first, since it may be newer, and may be missing."""
    try:
        token = user.content("tokenFile").decode(errors="replace").strip()
        if not token:
            user.refuse("tokenFile", "the file is empty")
    except DefiniteError:
        if not otherwise:
            raise
        return otherwise
    return token


def _impersonation(user: Fields) -> list[tuple[str, str]]:
    name, uid = user.text("as"), user.text("as-uid")
    groups = user.texts("as-groups")
    headers = [("Impersonate-User", name, "as")] if name else []
    headers += [("Impersonate-Uid", uid, "as-uid")] if uid else []
    headers += [("Impersonate-Group", group, "as-groups") for group in groups]
    extra = user.map("as-user-extra")
    if extra is not None:
        for key in extra.names():
            header = f"Impersonate-Extra-{quote(key, safe=_HEADER_NAME)}"
            headers += [(header, value, "as-user-extra") for value in extra.texts(key)]
    if headers and not name:
        user.refuse(headers[0][2], "as is missing; a user is impersonated, or nobody")
    for _, value, field in headers:
        if as_header(value) != value:
            user.refuse(field, "it has characters that no header can hold")
    return [(header, value) for header, value, _ in headers]


def _plugin(execute: Fields, cluster: Fields, server: Server) -> Plugin:
    execute.only(EXEC_FIELDS)
    version = execute.text("apiVersion")
    if version not in _EXEC_VERSIONS:
        execute.refuse("apiVersion", f"expected {' or '.join(_EXEC_VERSIONS)}")
    mode = execute.text("interactiveMode") or ("" if version.endswith("/v1") else "IfAvailable")
    if mode == "Always":
        execute.refuse(
            "interactiveMode", "Always is not supported: nobody answers a plugin's questions"
        )
    if mode not in {"Never", "IfAvailable"}:
        execute.refuse("interactiveMode", "expected Never or IfAvailable")
    environment = tuple((entry.text("name"), entry.text("value")) for entry in execute.maps("env"))
    if not all(name for name, _ in environment):
        execute.refuse("env", "a variable has no name")
    spec: dict[str, Any] = {"interactive": False}
    if execute.flag("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster, server)
    request = {"kind": "ExecCredential", "apiVersion": version, "spec": spec}
    try:
        info = orjson.dumps(request).decode()
    except (TypeError, ValueError):
        cluster.refuse("extensions", f"{_EXEC_EXTENSION} holds what JSON does not")
    return Plugin(
        find_command(execute),
        execute.texts("args"),
        environment,
        version,
        info,
    )


def _cluster_info(cluster: Fields, server: Server) -> dict[str, Any]:
    """Return the cluster for plugins, like client-go's ``ConfigToExecCluster``."""
    fields = {
        "server": cluster.text("server"),
        "tls-server-name": server.name,
        "insecure-skip-tls-verify": not server.verify,
        "certificate-authority-data": base64.b64encode(server.ca).decode(),
        "proxy-url": cluster.text("proxy-url"),
        "disable-compression": cluster.flag("disable-compression"),
    }
    extensions = {
        extension.text("name"): extension.raw("extension")
        for extension in cluster.maps("extensions")
    }
    return {k: v for k, v in fields.items() if v} | {"config": extensions.get(_EXEC_EXTENSION)}
