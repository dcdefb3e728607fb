"""The table by which a call finds the module that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud.errors import ApiError
from secret_sync.local.cloud.places import ANY_REGION
from secret_sync.local.cloud.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secret_sync.local.cloud.store import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated call, as a room sees it.

    Attributes:
        action: Name of the operation, such as "GetSecretValue".
        region: From the host's name; `ANY_REGION` if that tells none.
        parameters: Of the query and of a form body, decoded.
        principal: Who signed it; None for an action that is open to all.
    """

    action: str
    region: str
    parameters: Mapping[str, str] = field(repr=False)
    principal: Principal | None


Action = Callable[[Store, Call], dict[str, Any]]
"""Returns the body of the answer without its RequestId, or raises `ApiError`."""


@dataclass(frozen=True, slots=True)
class Room:
    """One service.

    Attributes:
        version: Of its API: what tells services apart where the host's name does not.
        host: Full match of the host names it answers for; the group `region`, if any.
        actions: By name.
        anonymous: Names of the actions that need no signature.
        subject: Parameter that names what a call is about, for counters and faults.
    """

    version: str
    host: re.Pattern[str]
    actions: Mapping[str, Action]
    subject: str
    anonymous: frozenset[str] = frozenset()


class Directory:
    """All rooms of a cloud, by API version."""

    def __init__(self, rooms: Iterable[Room]) -> None:
        self._rooms = {room.version: room for room in rooms}

    def find(self, host: str, version: str) -> tuple[Room, str]:
        """Return the room and the region meant.

        Args:
            host: Without its port. A name outside aliyuncs.com, such as "localhost", stands for
                every service.
            version: API version.

        Raises:
            ApiError: `InvalidVersion`: nothing of that version behind that host.
        """
        room = self._rooms.get(version)
        if room is None:
            raise ApiError("InvalidVersion")
        if not host.endswith(".aliyuncs.com"):
            return room, ANY_REGION
        match = room.host.fullmatch(host)
        if match is None:
            raise ApiError("InvalidVersion")
        return room, match.groupdict().get("region") or ANY_REGION


_MAX_NAME: Final = 253
METADATA_HOST: Final = "100.100.100.200"
_ALIBABA = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+aliyuncs\.com")


def is_alibaba(host: str) -> bool:
    """Tell whether a host's name, in lower case, is one that this cloud answers for."""
    return len(host) <= _MAX_NAME and _ALIBABA.fullmatch(host) is not None
