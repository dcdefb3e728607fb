"""A complete list, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from secret_sync.kube.answers import Answer
from secret_sync.kube.errors import ApiExpiredError, ApiUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube.client import KubeClient

T = TypeVar("T")

#: Objects a page.
PAGE: Final = 500
#: Tries of a list whose pages expire on the way, before one without pages.
PAGED_TRIES: Final = 3
#: Seconds for one page, or for the whole list where it has no pages.
LIST_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A collection at one moment.

    Attributes:
        objects: As they were read, without omitted ones.
        resource_version: Of the collection.
    """

    objects: list[T]
    resource_version: str


class _PageExpired(Exception):  # noqa: N818 (a signal within this module)
    """A later page answered 410: the pages read so far are discarded."""


class Pager(Generic[T]):
    """Lists one collection.

    Args:
        client: The API server.
        path: Of the collection.
        accept: ``application/json``, or the metadata-only form.
        kind: Of the objects; the list's is ``<kind>List``.
        read: Called with each item, which has ``kind`` and ``apiVersion`` and is not
            checked otherwise; ``None`` leaves it out. Items are read page by page, so that no
            more than one page is held as dicts.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        accept: str,
        kind: str,
        read: Callable[[dict[str, Any]], T | None],
    ) -> None:
        self._client = client
        self._path = path
        self._accept = accept
        self._kind = kind
        self._read = read

    async def list_all(self) -> Listing[T]:
        """List the collection at its most recent state.

        Raises:
            ApiError: The server refused, or answered with something else.
        """
        for _ in range(PAGED_TRIES):
            try:
                return await self._pages()
            except _PageExpired:
                continue
        reply = await self._request({})
        return Listing(self._objects(reply), reply["metadata"]["resourceVersion"])

    async def version(self) -> str:
        """Return the version of the collection at its most recent state, whatever is in it.

        Raises:
            ApiError: The server refused, or answered with something else.
        """
        reply = await self._request({"limit": "1"})
        return str(reply["metadata"]["resourceVersion"])

    async def find(self, path: str, name: str, at: str = "") -> Listing[T]:
        """List one object; it comes with the collection's version.

        Args:
            path: Of the collection in the object's own namespace, where the server reads an
                object by its key and need not search for it.
            name: Of the object.
            at: The version to see it at; ``""`` for the most recent one.

        Raises:
            ApiExpiredError: The server does not have that version any more, or not yet.
            ApiError: The server refused, or answered with something else.
        """
        params = {"fieldSelector": f"metadata.name={name}"}
        if at:
            params |= {"resourceVersion": at, "resourceVersionMatch": "Exact"}
        reply = await self._request(params, path)
        return Listing(self._objects(reply), reply["metadata"]["resourceVersion"])

    async def _pages(self) -> Listing[T]:
        objects: list[T] = []
        token = ""
        while True:
            # Neither a resource version nor how to match it: the token has both.
            params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
            try:
                reply = await self._request(params)
            except ApiExpiredError:
                if token:
                    raise _PageExpired from None
                raise
            objects += self._objects(reply)
            # Present but empty on the last page of some servers.
            token = reply["metadata"].get("continue") or ""
            if not token:
                return Listing(objects, reply["metadata"]["resourceVersion"])

    async def _request(self, params: dict[str, str], path: str = "") -> dict[str, Any]:
        """One page, known to be one: an empty object taken for a list would empty the store."""
        reply = await self._client.request(
            "GET",
            path or self._path,
            params=params,
            accept=self._accept,
            expected=Answer.LIST,
            timeout=LIST_TIMEOUT,
        )
        if reply["kind"] != f"{self._kind}List":
            raise ApiUnavailableError(f"list of {self._path}: the answer is no {self._kind}List")
        return reply

    def _objects(self, reply: dict[str, Any]) -> list[T]:
        objects: list[T] = []
        for item in reply.get("items") or ():
            item.setdefault("kind", self._kind)
            item.setdefault("apiVersion", reply.get("apiVersion"))
            value = self._read(item)
            if value is not None:
                objects.append(value)
        return objects
