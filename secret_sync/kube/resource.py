"""A kind of object, as the API server's paths and media types name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JSON: Final = "application/json"
_META: Final = "g=meta.k8s.io;v=v1"
#: Without a plain-JSON alternative: a server that does not know it must refuse.
METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;{_META}"
METADATA: Final = f"{JSON};as=PartialObjectMetadata;{_META}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object; ``group`` is ``""`` for the core one."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``group/version``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or its subresource.

        Args:
            namespace: ``""`` for all namespaces, or a cluster-scoped kind.
            name: ``""`` for the collection.
            subresource: ``status``, for instance.
        """
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


#: What rules of RBAC call a method, where it is another word.
_VERBS: Final = {"POST": "create", "PUT": "update"}


def verb_and_resource(method: str, path: str) -> tuple[str, str]:
    """Return what a request does to which resource, from a path of :meth:`Resource.path`."""
    parts = path.split("/")
    at = 3 if parts[1] == "api" else 4
    if len(parts) > at + 2 and parts[at] == "namespaces":
        at += 2
    if method == "GET":
        verb = "get" if len(parts) > at + 1 else "list"
    else:
        verb = _VERBS.get(method) or method.lower()
    return verb, parts[at] if len(parts) > at else ""


SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
