"""The services of the local cloud, and how a call finds its service."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.regional import ANY_REGION
from secret_sync.local.cloud.store import CloudStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secret_sync.local.cloud.store import Principal


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """An authenticated call, as a service sees it.

    Attributes:
        action: Name of the operation, such as "GetSecretValue".
        region: From the host's name; `ANY_REGION` if that has none.
        parameters: Of the query and of a form body, decoded.
        principal: Who signed it; None for an action that is open to all.
    """

    action: str
    region: str
    parameters: Mapping[str, str] = field(repr=False)
    principal: Principal | None


Action = Callable[[CloudStore, ServiceCall], dict[str, Any]]
"""Returns the body of the answer without its RequestId, or raises `CloudApiError`."""


@dataclass(frozen=True, slots=True)
class LocalService:
    """One service.

    Attributes:
        version: Of its API, which identifies the service if the host's name does not.
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


class ServiceRegistry:
    """All services of a cloud, by API version."""

    def __init__(self, services: Iterable[LocalService]) -> None:
        self._services = {service.version: service for service in services}

    def find(self, host: str, version: str) -> tuple[LocalService, str]:
        """Return the service and the region of a call.

        Args:
            host: Without its port. A name outside aliyuncs.com, such as "localhost", stands for
                every service.
            version: API version.

        Raises:
            CloudApiError: `InvalidVersion`: nothing of that version behind that host.
        """
        service = self._services.get(version)
        if service is None:
            raise CloudApiError("InvalidVersion")
        if not host.endswith(".aliyuncs.com"):
            return service, ANY_REGION
        match = service.host.fullmatch(host)
        if match is None:
            raise CloudApiError("InvalidVersion")
        return service, match.groupdict().get("region") or ANY_REGION


_MAX_NAME: Final = 253
METADATA_HOST: Final = "100.100.100.200"
# Labels as of DNS; those with hyphens in the third and fourth place are reserved.
_ALIBABA = re.compile(r"(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+aliyuncs\.com")


def is_alibaba(host: str) -> bool:
    """Tell whether a host's name, in lower case, is one that this cloud answers for."""
    return len(host) <= _MAX_NAME and _ALIBABA.fullmatch(host) is not None
