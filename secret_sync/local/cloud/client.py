"""The client of the admin API."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson

from secret_sync.local.cloud.client_oos import ParameterCalls
from secret_sync.local.cloud.client_ram import RamCalls
from secret_sync.local.cloud.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from secret_sync.local.cloud.store import SecretState

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class AdminError(Exception):
    """The admin API refused a request: a mistake in it, or no such thing."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


class CloudAdmin(RamCalls, ParameterCalls):
    """Manages secrets, parameters and faults of a running cloud, and reads its calls.

    To be used as an async context manager. Every method raises `AdminError` if the request is
    refused and `aiohttp.ClientError` if the cloud is gone.

    Args:
        admin_url: `CloudInfo.admin_url`.
    """

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

    async def put_secret(self, name: str, value: str | bytes, **options: Any) -> str:
        """Give a secret a new version, creating the secret if necessary.

        Args:
            name: Of the secret.
            value: `bytes` are served as binary.
            **options: `account`, `region` (by default any), `type` (by default "Generic"),
                `version_id` (by default counted), `stages` (by default the new version becomes
                the current one and the former current one the previous).

        Returns:
            The id of the new version.
        """
        answer = await self._call("put-secrets", secrets=[_entry(name, value, options)])
        return str(answer["versions"][0])

    async def put_secrets(self, secrets: Mapping[str, str | bytes], **options: Any) -> None:
        """Do the same for many secrets, in one request."""
        entries = [_entry(name, value, options) for name, value in secrets.items()]
        await self._call("put-secrets", secrets=entries)

    async def rotate(self, name: str, **place: str) -> str:
        """Give a secret a random value, as a new version; return the version's id.

        Args:
            name: Of the secret.
            **place: `account`, `region`.
        """
        return str((await self._call("rotate-secret", name=name, **place))["version"])

    async def update(
        self,
        name: str,
        *,
        forbidden: bool | None = None,
        state: SecretState | None = None,
        extended_config: str | None = None,
        **place: str,
    ) -> None:
        """Change what is said about a secret; what is None stays as it is."""
        changes = {
            "forbidden": forbidden,
            "state": None if state is None else state.value,
            "extended_config": extended_config,
        }
        given = {key: value for key, value in changes.items() if value is not None}
        await self._call("update-secret", name=name, **given, **place)

    async def delete(self, name: str, **place: str) -> None:
        """Delete a secret at once."""
        await self._call("delete-secret", name=name, **place)

    async def secrets(self) -> list[dict[str, Any]]:
        """List secrets, without their values."""
        return list((await self._call("list-secrets"))["secrets"])

    async def create_access_key(
        self, *, key_id: str = "", key_secret: str = "", account: str = ""
    ) -> tuple[str, str]:
        """Create or replace an AccessKey; omitted parts are generated.

        Returns:
            Its id and its secret.
        """
        given = {"id": key_id, "secret": key_secret, "account": account}
        answer = await self._call(
            "create-access-key", **{key: value for key, value in given.items() if value}
        )
        return answer["id"], answer["secret"]

    async def set_access_key_active(self, key_id: str, *, active: bool) -> None:
        """Disable or enable a key."""
        await self._call("set-access-key-active", id=key_id, active=active)

    async def set_fault(self, kind: FaultKind | str, **options: Any) -> str:
        """Put a fault in force; return its id.

        Args:
            kind: What happens.
            **options: The other attributes of `Fault`.
        """
        answer = await self._call("set-fault", kind=FaultKind(kind).value, **options)
        return str(answer["id"])

    async def clear_faults(self, fault_id: str = "") -> None:
        """Take back a fault, or all of them; calls that hang go on."""
        await self._call("clear-faults", id=fault_id)

    async def update_settings(self, **settings: Any) -> dict[str, Any]:
        """Change some of `CloudSettings`; return them all."""
        return await self._call("update-settings", **settings)

    async def counters(self) -> dict[str, Any]:
        """Return the counters: see `Journal.counters`."""
        return await self._call("counters")

    async def calls(self, last: int = 1000) -> list[dict[str, Any]]:
        """Return the last calls, oldest first: see `CallRecord`."""
        return list((await self._call("calls", last=last))["calls"])

    async def reset_counters(self) -> None:
        """Forget counters and calls."""
        await self._call("reset-counters")

    async def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        session = self._opened()
        url = f"{self._url}/{operation}"
        async with session.post(url, data=io.BytesIO(orjson.dumps(body))) as response:
            answer: dict[str, Any] = orjson.loads(await response.read())
            if not response.ok:
                raise AdminError(response.status, answer["error"])
            return answer

    async def _fetch(self, url: str) -> bytes:
        async with self._opened().get(url, raise_for_status=True) as response:
            return await response.read()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("CloudAdmin is to be used as a context manager")
        return self._session


def _entry(name: str, value: str | bytes, options: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {**options, "name": name, "binary": base64.b64encode(value).decode()}
    return {**options, "name": name, "text": value}
