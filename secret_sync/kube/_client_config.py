"""The in-cluster configuration of kubernetes_asyncio, without the rest of it.

Importing ``kubernetes_asyncio`` imports some 700 generated models, 40 MB of them, for an HTTP
client that is not used here. Its reader of kubeconfigs is not used, either: see ``kubeconfig/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from secret_sync.partial_imports import deferred, without_init

with (
    without_init("kubernetes_asyncio", "kubernetes_asyncio.config"),
    # For its own configuration, which imports urllib3.
    deferred("kubernetes_asyncio.client"),
):
    from kubernetes_asyncio.config.config_exception import ConfigException
    from kubernetes_asyncio.config.incluster_config import load_incluster_config

__all__ = ["ConfigException", "Configuration", "load_incluster_config"]


@dataclass(slots=True)
class Configuration:
    """What the library sets in its own class of this name."""

    host: str = ""
    ssl_ca_cert: str = ""
    api_key: dict[str, str] = field(default_factory=dict)
