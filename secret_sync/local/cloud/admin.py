"""The admin API: `POST /<operation>` with a JSON object, on loopback only.

Operations are the methods of `Admin` with dashes, such as `put-secrets`; `CloudAdmin` is the
client to use from Python. A mistake in a request is a 400 with `{"error": "..."}`, something
that does not exist a 404.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from secret_sync.local.cloud.admin_body import check, take
from secret_sync.local.cloud.admin_oos import ParameterAdmin
from secret_sync.local.cloud.admin_ram import RamAdmin
from secret_sync.local.cloud.faults import Fault, FaultKind
from secret_sync.local.cloud.regional import ANY_REGION
from secret_sync.local.cloud.store import CURRENT, SecretState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from secret_sync.local.cloud.faults import Faults
    from secret_sync.local.cloud.journal import Journal
    from secret_sync.local.cloud.metadata import Metadata
    from secret_sync.local.cloud.store import CloudStore, Secret

_MAX_BODY: Final = 512 << 20
"""Thousands of secrets of 30 KB come in one request."""


_NUMBER: Final = int | float
_FAULT: Final = {
    "kind": str,
    "action": str,
    "subject": str,
    "access_key": str,
    "count": int | None,
    "probability": _NUMBER,
    "qps": _NUMBER | None,
    "seconds": _NUMBER,
    "status": int,
    "code": str,
    "retry_after_ms": int | None,
}
_SETTINGS: Final = {"version_stages_as_list": bool, "xml_errors": bool, "clock_offset": _NUMBER}


class Admin:
    """The operations; every one takes and returns JSON.

    Args:
        store: Secrets, parameters and access keys.
        faults: Shared with the gateway.
        journal: Shared with the gateway.
        metadata: Shared with the gateway.
        account: The account meant where a request names none.
    """

    def __init__(
        self, store: CloudStore, faults: Faults, journal: Journal, metadata: Metadata, account: str
    ) -> None:
        self._store = store
        self._ram = RamAdmin(store, metadata, account)
        self._parameters = ParameterAdmin(store, account)
        self._faults = faults
        self._journal = journal
        self._account = account

    def application(self) -> web.Application:
        """Return the web application."""
        operations: dict[str, Callable[[dict[str, Any]], Any]] = {
            "put-secrets": self.put_secrets,
            "rotate-secret": self.rotate_secret,
            "update-secret": self.update_secret,
            "delete-secret": self.delete_secret,
            "list-secrets": self.list_secrets,
            "create-access-key": self.create_access_key,
            "set-access-key-active": self.set_access_key_active,
            "set-fault": self.set_fault,
            "clear-faults": self.clear_faults,
            "update-settings": self.update_settings,
            "counters": self.counters,
            "calls": self.calls,
            "reset-counters": self.reset_counters,
            **self._ram.operations(),
            **self._parameters.operations(),
        }

        async def operate(request: web.Request) -> web.Response:
            operation = operations.get(request.match_info["operation"])
            if operation is None:
                return _json({"error": "no such operation"}, status=404)
            try:
                return _json(operation(_object(await request.read())))
            except KeyError as error:
                return _json({"error": str(error.args[0])}, status=404)
            except (TypeError, ValueError) as error:
                return _json({"error": str(error)}, status=400)

        application = web.Application(client_max_size=_MAX_BODY)
        application.router.add_post("/{operation}", operate)
        return application

    def put_secrets(self, body: dict[str, Any]) -> dict[str, Any]:
        """Give secrets a new current version each: `secrets` is a list of objects.

        `name` and `text` or `binary` (base64); optional: `account`, `region`, `type`,
        `version_id`, `stages` (by default the new version becomes the current one).
        """
        return {"versions": [self._put(entry) for entry in take(body, "secrets", list)]}

    def rotate_secret(self, body: dict[str, Any]) -> dict[str, Any]:
        """Give an existing secret a random new value."""
        secret = self._find(body)
        return {"version": secret.add(secrets.token_urlsafe(24), "", (CURRENT,), self._store.now())}

    def update_secret(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set `forbidden`, `state` or `extended_config` of a secret."""
        secret = self._find(body)
        if "forbidden" in body:
            secret.forbidden = take(body, "forbidden", bool)
        if "state" in body:
            secret.state = SecretState(body["state"])
        if "extended_config" in body:
            secret.extended_config = take(body, "extended_config", str)
        return {}

    def delete_secret(self, body: dict[str, Any]) -> dict[str, Any]:
        """Delete a secret at once."""
        self._store.delete(self._find(body))
        return {}

    def list_secrets(self, _body: dict[str, Any]) -> dict[str, Any]:
        """List secrets, without their values."""
        return {
            "secrets": [
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
        }

    def create_access_key(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a key pair; `id`, `secret` and `account` may be given."""
        key = self._store.create_access_key(
            take(body, "account", str, self._account),
            take(body, "id", str, ""),
            take(body, "secret", str, ""),
        )
        return {"id": key.id, "secret": key.secret}

    def set_access_key_active(self, body: dict[str, Any]) -> dict[str, Any]:
        """Disable or enable a key."""
        self._store.set_active(take(body, "id", str), active=take(body, "active", bool))
        return {}

    def set_fault(self, body: dict[str, Any]) -> dict[str, Any]:
        """Put a `Fault` in force."""
        check(body, _FAULT)
        fault = Fault(**{**body, "kind": FaultKind(body.get("kind"))})
        return {"id": self._faults.set(fault)}

    def clear_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take back the fault `id`, or all; what hangs on them goes on."""
        return {"cleared": self._faults.clear(take(body, "id", str, ""))}

    def update_settings(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change some `CloudSettings`; return them all."""
        check(body, _SETTINGS)
        self._store.settings = replace(self._store.settings, **body)
        return asdict(self._store.settings)

    def counters(self, _body: dict[str, Any]) -> dict[str, Any]:
        """Return the counters."""
        return self._journal.counters()

    def calls(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the `last` calls, oldest first."""
        return {"calls": [asdict(call) for call in self._journal.calls(body.get("last", 1000))]}

    def reset_counters(self, _body: dict[str, Any]) -> dict[str, Any]:
        """Forget counters and calls."""
        self._journal.reset()
        return {}

    def _put(self, entry: Mapping[str, Any]) -> str:
        value: str | bytes
        if "binary" in entry:
            try:
                value = base64.b64decode(take(entry, "binary", str), validate=True)
            except binascii.Error as error:
                raise ValueError(f"binary is not base64: {error}") from error
        else:
            value = take(entry, "text", str)
        secret = self._store.put(
            take(entry, "account", str, self._account),
            take(entry, "region", str, ANY_REGION),
            take(entry, "name", str),
            type_=take(entry, "type", str, "Generic"),
        )
        stages = tuple(take(entry, "stages", list, [CURRENT]))
        return secret.add(value, take(entry, "version_id", str, ""), stages, self._store.now())

    def _find(self, body: Mapping[str, Any]) -> Secret:
        name = take(body, "name", str)
        account = take(body, "account", str, self._account)
        secret = self._store.find(account, take(body, "region", str, ANY_REGION), name)
        if secret is None:
            raise KeyError(f"no secret {name}")
        return secret


def _object(raw: bytes) -> dict[str, Any]:
    body = orjson.loads(raw or b"{}")
    if not isinstance(body, dict):
        raise TypeError("the body is to be a JSON object")
    return body


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
