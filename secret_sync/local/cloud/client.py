"""The client of the admin API."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson

from secret_sync.local.cloud.admin import Admin
from secret_sync.local.cloud.admin_oos import ParameterAdmin
from secret_sync.local.cloud.admin_ram import RamAdmin
from secret_sync.local.cloud.dispatch import encode, remote
from secret_sync.local.cloud.event_bus import EventAdmin

if TYPE_CHECKING:
    from types import TracebackType

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class AdminError(Exception):
    """The admin API refused a request: a mistake in it, or no such thing."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class CloudAdmin:
    """Manages secrets, parameters, identities and faults of a running cloud; reads its calls.

    To be used as an async context manager. Every method raises `AdminError` if the request is
    refused and `aiohttp.ClientError` if the cloud is gone. The classes named here describe the
    arguments of the methods.

    Args:
        admin_url: `CloudInfo.admin_url`.
    """

    put_secret = remote(Admin.put_secret)
    put_secrets = remote(Admin.put_secrets)
    rotate = remote(Admin.rotate)
    update = remote(Admin.update)
    delete = remote(Admin.delete)
    secrets = remote(Admin.secrets)

    put_parameter = remote(ParameterAdmin.put_parameter)
    put_parameters = remote(ParameterAdmin.put_parameters)
    update_parameter = remote(ParameterAdmin.update_parameter)
    delete_parameter = remote(ParameterAdmin.delete_parameter)
    parameters = remote(ParameterAdmin.parameters)

    create_access_key = remote(Admin.create_access_key)
    set_access_key_active = remote(Admin.set_access_key_active)
    restrict_access_key = remote(RamAdmin.restrict_access_key)
    put_role = remote(RamAdmin.put_role)
    update_role = remote(RamAdmin.update_role)
    delete_role = remote(RamAdmin.delete_role)
    roles = remote(RamAdmin.roles)
    put_oidc_provider = remote(RamAdmin.put_oidc_provider)
    delete_oidc_provider = remote(RamAdmin.delete_oidc_provider)
    sessions = remote(RamAdmin.sessions)
    expire_sessions = remote(RamAdmin.expire_sessions)
    set_metadata = remote(RamAdmin.set_metadata)
    expire_metadata_tokens = remote(RamAdmin.expire_metadata_tokens)
    issued = remote(RamAdmin.issued)

    set_fault = remote(Admin.set_fault)
    clear_faults = remote(Admin.clear_faults)
    set_event_target = remote(EventAdmin.set_event_target)
    events = remote(EventAdmin.events)
    update_settings = remote(Admin.update_settings)
    counters = remote(Admin.counters)
    calls = remote(Admin.calls)
    reset_counters = remote(Admin.reset_counters)

    def __init__(self, admin_url: str) -> None:
        self._url = admin_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Not through the proxy that the cloud's own environment names.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, operation: str, /, **arguments: Any) -> Any:
        if self._session is None:
            raise RuntimeError("CloudAdmin is to be used as a context manager")
        body = io.BytesIO(encode(arguments))
        async with self._session.post(f"{self._url}/{operation}", data=body) as response:
            answer = orjson.loads(await response.read())
            if not response.ok:
                raise AdminError(response.status, answer["error"])
            return answer
