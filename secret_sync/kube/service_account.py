"""A pod's own service account, as the kubelet mounts it."""

from __future__ import annotations

from pathlib import Path

from secret_sync.errors import DefiniteError
from secret_sync.kube._client_config import ConfigException, Configuration, load_incluster_config
from secret_sync.kube.kubeconfig import Connection, Login, Server, as_header


def read_service_account(_context: str = "") -> Connection:
    """Read the token and the CA as they are now; it blocks.

    Raises:
        DefiniteError: Something is missing, or a file is for the moment.
    """
    configuration = Configuration()
    try:
        load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, try_refresh_token=False
        )
        ca = Path(configuration.ssl_ca_cert).read_bytes()
    except (ConfigException, OSError, ValueError) as error:
        told = isinstance(error, ConfigException)
        why = str(error).rstrip(".") if told else "unreadable"
        raise DefiniteError(
            f"the pod's service account: {why}; set KUBECONFIG or --kubeconfig"
        ) from None
    # A file may end in a newline, which no header can hold.
    authorization = as_header(configuration.api_key["BearerToken"])
    if authorization is None:
        raise DefiniteError("the pod's service account: its token has characters no token has")
    return Connection(Server(configuration.host, ca=ca), Login(authorization))
