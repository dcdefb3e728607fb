"""The in-cluster configuration of kubernetes_asyncio, without the rest of it.

Importing ``kubernetes_asyncio`` imports some 700 generated models, 40 MB of them, for an HTTP
client that is not used here. With bare parent packages registered first, only the modules
that are named get loaded. Its reader of kubeconfigs is not used: see ``kubeconfig/``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


def _bare_package(name: str) -> ModuleType:
    """Register a package without running its ``__init__``; its submodules can be imported."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    spec.loader = None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    return module


def _load() -> tuple[Any, Any]:
    if "kubernetes_asyncio" not in sys.modules:
        _bare_package("kubernetes_asyncio")
        client = _bare_package("kubernetes_asyncio.client")
        configuration = importlib.import_module("kubernetes_asyncio.client.configuration")
        client.__dict__["Configuration"] = configuration.Configuration
        _bare_package("kubernetes_asyncio.config")
    return (
        importlib.import_module("kubernetes_asyncio.client.configuration").Configuration,
        importlib.import_module("kubernetes_asyncio.config.incluster_config"),
    )


Configuration, incluster_config = _load()
