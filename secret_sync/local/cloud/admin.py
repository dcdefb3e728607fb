"""The admin API: `POST /<operation>` with the arguments as a JSON object, on loopback only.

Operations are the methods of the classes in the `admin` modules, with `/` after `self` where an
option may have any name; `CloudAdmin` is the client to use from Python. A mistake in a request is a
400 with `{"error": "..."}`, something that does not exist a 404.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping  # noqa: TC003  # the dispatcher reads the annotations
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import orjson
from aiohttp import web

from secret_sync.local.cloud.dispatch import convert, convert_each, encode, operations
from secret_sync.local.cloud.faults import Fault, FaultKind  # noqa: TC001  # as above
from secret_sync.local.cloud.regional import ANY_REGION
from secret_sync.local.cloud.store import (
    CURRENT,
    CloudSettings,
    SecretState,  # noqa: TC001  # as above
)

if TYPE_CHECKING:
    from secret_sync.local.cloud.event_bus import EventBus
    from secret_sync.local.cloud.faults import Faults
    from secret_sync.local.cloud.journal import Journal
    from secret_sync.local.cloud.store import CloudStore, Secret

_MAX_BODY: Final = 512 << 20
"""Thousands of secrets of 30 KB come in one request."""


def application(*parts: object) -> web.Application:
    """Return the web application that executes the operations of all parts."""
    known = operations(*parts)

    async def operate(request: web.Request) -> web.Response:
        operation = known.get(request.match_info["operation"])
        if operation is None:
            return _json({"error": "no such operation"}, status=404)
        try:
            return _json(operation(orjson.loads(await request.read())))
        except KeyError as error:
            return _json({"error": str(error.args[0])}, status=404)
        except (TypeError, ValueError) as error:
            return _json({"error": str(error)}, status=400)

    result = web.Application(client_max_size=_MAX_BODY)
    result.router.add_post("/{operation}", operate)
    return result


class Admin:
    """Operations on secrets, access keys and faults, and on what is counted.

    Args:
        store: Secrets, parameters and access keys.
        faults: Shared with the gateway.
        journal: Shared with the gateway.
        account: The account meant where a request names none.
        events: Told of each new version.
    """

    def __init__(
        self, store: CloudStore, faults: Faults, journal: Journal, account: str, events: EventBus
    ) -> None:
        self._store = store
        self._events = events
        self._faults = faults
        self._journal = journal
        self._account = account

    def put_secret(self, /, name: str, value: str | bytes, **options: Any) -> str:
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
        return self._put(name, value, **convert_each(options, _SECRET))

    def put_secrets(self, /, secrets: Mapping[str, str | bytes], **options: Any) -> None:
        """Do the same for many secrets, in one request."""
        for name, value in secrets.items():
            self.put_secret(name, value, **options)

    def rotate(self, /, name: str, **place: str) -> str:
        """Give a secret a random value, as a new version; return the version's id.

        Args:
            name: Of the secret.
            **place: `account`, `region`.
        """
        secret = self._find(name, **place)
        version = secret.add(secrets.token_urlsafe(24), "", (CURRENT,), self._store.now())
        self._events.changed(secret, rotated=True)
        return version

    def update(
        self,
        /,
        name: str,
        *,
        forbidden: bool | None = None,
        state: SecretState | None = None,
        extended_config: str | None = None,
        **place: str,
    ) -> None:
        """Change what is said about a secret; what is None stays as it is."""
        secret = self._find(name, **place)
        secret.forbidden = secret.forbidden if forbidden is None else forbidden
        secret.state = state or secret.state
        if extended_config is not None:
            secret.extended_config = extended_config

    def delete(self, /, name: str, **place: str) -> None:
        """Delete a secret at once."""
        self._store.delete(self._find(name, **place))

    def secrets(self) -> list[dict[str, Any]]:
        """List secrets, without their values."""
        return [
            {
                "name": secret.name,
                "account": secret.account,
                "region": secret.region,
                "type": secret.type,
                "state": secret.state.value,
                "forbidden": secret.forbidden,
                "versions": {v: secret.stages_of(v) for v in secret.versions},
            }
            for secret in self._store
        ]

    def create_access_key(
        self, *, key_id: str = "", key_secret: str = "", account: str = ""
    ) -> tuple[str, str]:
        """Create or replace an AccessKey; omitted parts are generated.

        Returns:
            Its id and its secret.
        """
        key = self._store.create_access_key(account or self._account, key_id, key_secret)
        return key.id, key.secret

    def set_access_key_active(self, key_id: str, *, active: bool) -> None:
        """Disable or enable a key."""
        self._store.set_active(key_id, active=active)

    def set_fault(self, /, kind: FaultKind | str, **options: Any) -> str:
        """Put a fault in force; return its id.

        Args:
            kind: What happens.
            **options: The other attributes of `Fault`.
        """
        return self._faults.set(convert({"kind": kind, **options}, Fault, "fault"))

    def clear_faults(self, fault_id: str = "") -> None:
        """Clear a fault, or all of them; calls that hang go on."""
        self._faults.clear(fault_id)

    def update_settings(self, /, **settings: Any) -> dict[str, Any]:
        """Change some of `CloudSettings`; return them all."""
        changes = convert_each(settings, get_type_hints(CloudSettings))
        self._store.settings = replace(self._store.settings, **changes)
        return asdict(self._store.settings)

    def counters(self) -> dict[str, Any]:
        """Return the counters: see `Journal.counters`."""
        return self._journal.counters()

    def calls(self, last: int = 1000) -> list[dict[str, Any]]:
        """Return the last calls, oldest first: see `CallRecord`."""
        return [asdict(call) for call in self._journal.calls(last)]

    def reset_counters(self) -> None:
        """Forget counters and calls."""
        self._journal.reset()

    def _put(
        self,
        name: str,
        value: str | bytes,
        *,
        account: str = "",
        region: str = ANY_REGION,
        type: str = "Generic",  # noqa: A002  # the name in the API
        version_id: str = "",
        stages: tuple[str, ...] = (CURRENT,),
    ) -> str:
        secret = self._store.put(account or self._account, region, name, type_=type)
        version = secret.add(value, version_id, stages, self._store.now())
        self._events.changed(secret, rotated=False)
        return version

    def _find(self, name: str, *, account: str = "", region: str = ANY_REGION) -> Secret:
        secret = self._store.find(account or self._account, region, name)
        if secret is None:
            raise KeyError(f"no secret {name}")
        return secret


_SECRET: Final = {
    name: kind
    for name, kind in get_type_hints(Admin._put).items()  # noqa: SLF001  # of this module
    if name not in {"name", "value", "return"}
}


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(content), status=status, content_type="application/json")
