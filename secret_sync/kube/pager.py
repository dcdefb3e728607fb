"""A complete list, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.kube.errors import ApiExpiredError

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient

#: Objects a page (L1).
PAGE: Final = 500
#: Tries of a list whose pages expire on the way, before one without pages (L3).
PAGED_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """A collection at one moment.

    Attributes:
        items: Dicts with ``kind`` and ``apiVersion`` (L8).
        resource_version: Of the collection (L4).
    """

    items: list[dict[str, Any]]
    resource_version: str


async def list_all(client: KubeClient, path: str, *, accept: str) -> Listing:
    """Lists a collection at its most recent state (L6).

    Args:
        client: The API server.
        path: Of the collection.
        accept: ``application/json``, or the metadata-only form (S11).

    Raises:
        ApiError: The server refused.
    """
    for _ in range(PAGED_TRIES):
        try:
            return await _pages(client, path, accept)
        except _PageExpired:
            continue
    reply = await client.request("GET", path, accept=accept)
    return Listing(_items(reply), _version(reply))


class _PageExpired(Exception):  # noqa: N818 (a signal within this module)
    """A later page answered 410: what was read so far is of no use (L3)."""


async def _pages(client: KubeClient, path: str, accept: str) -> Listing:
    items: list[dict[str, Any]] = []
    params = {"limit": str(PAGE)}
    while True:
        try:
            reply = await client.request("GET", path, params=params, accept=accept)
        except ApiExpiredError:
            if "continue" in params:
                raise _PageExpired from None
            raise
        items += _items(reply)
        # Present but empty on the last page of some servers (L1).
        token = (reply.get("metadata") or {}).get("continue")
        if not token:
            return Listing(items, _version(reply))
        # Neither a resource version nor how to match it: the token has both (L2).
        params = {"limit": str(PAGE), "continue": token}


def _items(reply: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = reply.get("items") or []
    kind = str(reply.get("kind") or "").removesuffix("List")
    api_version = reply.get("apiVersion")
    for item in items:
        item.setdefault("kind", kind)
        item.setdefault("apiVersion", api_version)
    return items


def _version(reply: dict[str, Any]) -> str:
    return str((reply.get("metadata") or {}).get("resourceVersion") or "")
