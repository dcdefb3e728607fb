"""An informer of ConfigMaps that have a color, and a handler that writes down what it hears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secret_sync.kube import Resource
from secret_sync.resources.meta import ObjectMeta
from tests.unit.kube.fakes import (
    item,
)

if TYPE_CHECKING:
    from secret_sync.kube import Change, Informer

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


@dataclass(frozen=True, slots=True)
class ColoredMap(ObjectMeta):
    color: str


def thing(value: dict[str, Any]) -> ColoredMap | None:
    metadata = value["metadata"]
    data = value.get("data", {})
    if data.get("color") == "invisible":
        return None
    return ColoredMap(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        data.get("color", ""),
    )


def colored(name: str, color: Any, rv: str = "1", **more: Any) -> dict[str, Any]:
    return item(name, rv, data={"color": color}, **more)


class Diary:
    """A handler that writes down what it hears, and what the store holds at that moment."""

    def __init__(self, informer: Informer[ColoredMap]) -> None:
        self.informer = informer
        self.lines: list[str] = []
        self.changes: list[Change[ColoredMap]] = []
        self.held: list[set[str]] = []

    def __call__(self, change: Change[ColoredMap]) -> None:
        old, new = change.old, change.new
        sign = "+" if old is None else "-" if new is None else "~"
        self.lines.append(f"{sign}{change.key}")
        self.changes.append(change)
        self.held.append(set(self.informer.store))
