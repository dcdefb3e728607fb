"""Whoever watches the children of ClusterExternalSecrets and their Secrets, past all faults."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from tests.support.operator import GROUP, values_of

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.operator import Api

#: The kinds that are watched, and where.
WATCHED: Final = {
    "ExternalSecret": f"/apis/{GROUP}/externalsecrets",
    "Secret": "/api/v1/secrets",
}
VALUES: Final = {"password": "one"}


class ChildrenAuditor:
    """Watches children, their Secrets and the objects of tenants, past all faults.

    Attributes:
        may_go: Namespaces that were not selected for a moment, or whose child was deleted by
            hand, so that it may go.
        tenants: Namespaces whose ExternalSecret of that name is a tenant's.
        complaints: What went, or changed, and should not have.
        events: How many states were looked at.
    """

    def __init__(self, api: Api, fleet: Fleet) -> None:
        self._api = api
        self._fleet = fleet
        self.may_go: set[str] = set()
        self.tenants: set[str] = set()
        self.complaints: list[str] = []
        self.events = 0
        self._specs: dict[str, Any] = {}
        self._there: dict[str, set[str]] = {kind: set() for kind in WATCHED}

    async def watch(self, kind: str) -> None:
        """Look at each state of all objects of a kind, until cancelled."""
        version = ""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                version = version or await self._list(kind)
                version = await self._follow(kind, version)

    async def _list(self, kind: str) -> str:
        _, found = await self._api.request("GET", WATCHED[kind])
        seen = set()
        for item in found["items"]:
            if self._is_looked_at(item):
                seen.add(item["metadata"]["namespace"])
                self.happened(kind, "MODIFIED", item)
        for gone in self._there[kind] - seen:
            metadata = {"namespace": gone, "name": self._fleet.name_of()}
            self.happened(kind, "DELETED", {"metadata": metadata})
        return str(found["metadata"]["resourceVersion"])

    async def _follow(self, kind: str, version: str) -> str:
        """Return where to go on, or ``""`` to list again."""
        path = f"{WATCHED[kind]}?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
        forever = aiohttp.ClientTimeout(total=None)
        async with self._api.stream(path, forever) as reply:
            async for line in reply.content:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK" and self._is_looked_at(event["object"]):
                    self.happened(kind, event["type"], event["object"])
        return version

    def _is_looked_at(self, found: dict[str, Any]) -> bool:
        metadata = found["metadata"]
        ours = str(metadata.get("namespace", "")).startswith(self._fleet.prefix)
        return ours and metadata["name"] == self._fleet.name_of()

    def happened(self, kind: str, sort: str, found: dict[str, Any]) -> None:
        """Hold one state of one object against what it may be."""
        namespace = found["metadata"]["namespace"]
        self.events += 1
        if sort == "DELETED":
            self._there[kind].discard(namespace)
        else:
            self._there[kind].add(namespace)
        if namespace in self.tenants:
            if kind == "ExternalSecret":
                self._check_tenants(namespace, sort, found)
        elif sort == "DELETED" and namespace not in self.may_go:
            self.complaints.append(f"{kind} of {namespace} went")
        elif kind == "Secret" and sort != "DELETED" and values_of(found) != VALUES:
            self.complaints.append(f"Secret of {namespace} holds something else")

    def _check_tenants(self, namespace: str, sort: str, found: dict[str, Any]) -> None:
        if sort == "DELETED":
            self.complaints.append(f"the tenant's ExternalSecret in {namespace} went")
            return
        metadata = found["metadata"]
        marks = ("uid", "ownerReferences", "labels", "annotations", "finalizers")
        form = found["spec"], [metadata.get(mark) for mark in marks]
        if self._specs.setdefault(namespace, form) != form:
            self.complaints.append(f"the tenant's ExternalSecret in {namespace} was changed")
