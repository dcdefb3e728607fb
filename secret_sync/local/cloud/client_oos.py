"""The part of the admin API's client that is about the parameters of OOS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ParameterCalls(ABC):
    """Encrypted parameters: see `CloudAdmin`."""

    async def put_parameter(self, name: str, value: str, **place: str) -> int:
        """Give a parameter a new version, creating the parameter if necessary.

        Args:
            name: Of the parameter: letters, digits, `_`, `-`, `/`.
            value: Text of at most 4,096 bytes.
            **place: `account`, `region` (by default any).

        Returns:
            The number of the new version, which is the current one from now on.
        """
        entry = {**place, "name": name, "value": value}
        return int((await self._call("put-parameters", parameters=[entry]))["versions"][0])

    async def put_parameters(self, parameters: Mapping[str, str], **place: str) -> None:
        """Do the same for many parameters, in one request."""
        entries = [{**place, "name": name, "value": value} for name, value in parameters.items()]
        await self._call("put-parameters", parameters=entries)

    async def update_parameter(self, name: str, *, forbidden: bool, **place: str) -> None:
        """Set whether reading a parameter is forbidden."""
        await self._call("update-parameter", name=name, forbidden=forbidden, **place)

    async def delete_parameter(self, name: str, **place: str) -> None:
        """Delete a parameter at once."""
        await self._call("delete-parameter", name=name, **place)

    async def parameters(self) -> list[dict[str, Any]]:
        """List parameters, without their values."""
        return list((await self._call("list-parameters"))["parameters"])

    @abstractmethod
    async def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        """Make one request of the admin API."""
