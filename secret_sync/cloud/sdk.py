"""Import only the needed parts of the SDK's packages.

The ``models`` package of a service imports all of its models, hundreds of modules for the three
that one call needs. And the SDK attaches its own handlers to loggers, which would print between our
structured lines.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_LOGGERS = ("alibabacloud-tea", "darabonba-core", "credentials")


def import_client(package: str, models: Iterable[str]) -> ModuleType:
    """Import a service's ``client`` module with only some of its models.

    The rest of ``{package}.models`` is imported only when one of them is used.

    Args:
        package: The package of the service, such as ``alibabacloud_kms20160120``.
        models: The modules within ``models`` that are needed, without their leading underscore.

    Raises:
        ImportError: The package, or one of the modules, does not exist.
    """
    name = f"{package}.models"
    if name not in sys.modules:
        _defer_init(name)
        for module in models:
            _adopt(sys.modules[name], importlib.import_module(f"{name}._{module}"))
    client = importlib.import_module(f"{package}.client")
    _silence()
    return client


def _defer_init(name: str) -> None:
    """Register a package whose ``__init__`` runs at the first use of a missing name."""
    parent_name, _, child = name.rpartition(".")
    parent = importlib.import_module(parent_name)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"no package {name}", name=name)
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader

    def complete(attribute: str) -> Any:
        # The import system and inspection probe dunders, which must not trigger the import.
        if attribute.startswith("__") or "__getattr__" not in vars(module):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        del vars(module)["__getattr__"]
        loader.exec_module(module)
        return getattr(module, attribute)

    vars(module)["__getattr__"] = complete
    sys.modules[name] = module
    setattr(parent, child, module)


def _adopt(package: ModuleType, module: ModuleType) -> None:
    for name, value in vars(module).items():
        if isinstance(value, type) and value.__module__ == module.__name__:
            setattr(package, name, value)


def _silence() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
