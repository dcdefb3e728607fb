"""Importing a few modules of large packages, without what else these import.

The packages of Alibaba Cloud's SDK and of Kubernetes import hundreds of generated models and two
HTTP clients along with the few modules that are used here. That would be most of the start of the
controller, and half of its memory.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_init(*packages: str) -> Iterator[None]:
    """Have modules of packages imported inside, and not what the ``__init__`` of these imports.

    A package has the classes of these modules. Its ``__init__`` runs when another name is used.

    Args:
        packages: Their full names, outer ones first.

    Raises:
        ImportError: There is no such package.
    """
    added = [_PartialPackage(name) for name in packages if name not in sys.modules]
    try:
        yield
    except BaseException:
        for package in added:
            package.remove()
        raise
    for package in added:
        package.adopt()


@contextmanager
def deferred(*modules: str) -> Iterator[None]:
    """Have what is imported inside take names of these modules without importing them.

    Each name stands for the real one, which is imported when it is called or one of its attributes
    is used. It is no base class.
    """
    added = [name for name in modules if name not in sys.modules]
    sys.modules.update({name: _DeferredModule(name) for name in added})
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


@contextmanager
def absent(*packages: str) -> Iterator[None]:
    """Have what is imported inside find these optional packages not installed."""
    added = [name for name in packages if name not in sys.modules]
    # The marker of the import system for a module that is not to be found.
    sys.modules.update(dict.fromkeys(added))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


class _PartialPackage:
    """A package whose ``__init__`` runs at the first use of a name that it does not have."""

    def __init__(self, name: str) -> None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(f"no package {name}", name=name)
        self._loader = spec.loader
        self._module = importlib.util.module_from_spec(spec)
        sys.modules[name] = self._module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, self._module)

    def adopt(self) -> None:
        """Add the classes of the modules that are imported by now; from here on, run it."""
        name = self._module.__name__
        for module in [m for n, m in sys.modules.items() if n.rpartition(".")[0] == name]:
            for key, value in vars(module).items():
                if isinstance(value, type) and value.__module__ == module.__name__:
                    setattr(self._module, key, value)
        vars(self._module)["__getattr__"] = self._complete

    def remove(self) -> None:
        """Have the package imported again by whoever needs it next."""
        sys.modules.pop(self._module.__name__, None)

    def _complete(self, name: str) -> Any:
        # The import system and inspection probe dunders, which must not trigger the import.
        if not name.startswith("__") and vars(self._module).pop("__getattr__", None):
            try:
                self._loader.exec_module(self._module)
            except BaseException:
                vars(self._module)["__getattr__"] = self._complete
                raise
            return getattr(self._module, name)
        raise AttributeError(f"module {self._module.__name__!r} has no attribute {name!r}")


class _DeferredModule(ModuleType):
    """Stands for a module while another one takes names of it."""

    def __getattr__(self, name: str) -> _DeferredName:
        if name.startswith("__"):
            raise AttributeError(name)
        return _DeferredName(self.__name__, name)


class _DeferredName:
    """Stands for what a module has under a name."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def _real(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __or__(self, _other: object) -> _DeferredName:
        """Be part of an annotation."""
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)
