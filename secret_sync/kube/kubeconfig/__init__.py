"""A kubeconfig, read as kubectl reads it; what is not supported is refused by name.

``docs/reference.md`` has the table of both ("Kubeconfig").
"""

from secret_sync.kube.kubeconfig.connection import Connection, Login, Server, as_header
from secret_sync.kube.kubeconfig.fields import quoted
from secret_sync.kube.kubeconfig.files import HOME_CONFIG, Context, read_context
from secret_sync.kube.kubeconfig.plugin import Issued, Plugin, run_plugin
from secret_sync.kube.kubeconfig.read import read_connection

__all__ = [
    "HOME_CONFIG",
    "Connection",
    "Context",
    "Issued",
    "Login",
    "Plugin",
    "Server",
    "as_header",
    "quoted",
    "read_connection",
    "read_context",
    "run_plugin",
]
