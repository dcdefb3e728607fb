"""The part of the admin API that is about the parameters of OOS."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from secret_sync.local.cloud.admin_body import take
from secret_sync.local.cloud.parameters import Parameter, check_name, check_value
from secret_sync.local.cloud.regional import ANY_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from secret_sync.local.cloud.store import CloudStore


class ParameterAdmin:
    """The operations; every one takes and returns JSON.

    Args:
        store: Where the parameters are.
        account: The account meant where a request names none.
    """

    def __init__(self, store: CloudStore, account: str) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        """Return them by name."""
        return {
            "put-parameters": self.put_parameters,
            "update-parameter": self.update_parameter,
            "delete-parameter": self.delete_parameter,
            "list-parameters": self.list_parameters,
        }

    def put_parameters(self, body: dict[str, Any]) -> dict[str, Any]:
        """Give parameters a new version each: `parameters` is a list of objects.

        `name` and `value`; optional: `account`, `region`.
        """
        return {"versions": [self._put(entry) for entry in take(body, "parameters", list)]}

    def update_parameter(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set `forbidden` of a parameter."""
        self._find(body).forbidden = take(body, "forbidden", bool)
        return {}

    def delete_parameter(self, body: dict[str, Any]) -> dict[str, Any]:
        """Delete a parameter at once."""
        self._store.parameters.delete(self._find(body))
        return {}

    def list_parameters(self, _body: dict[str, Any]) -> dict[str, Any]:
        """List parameters, without their values."""
        return {
            "parameters": [
                {
                    "name": parameter.name,
                    "account": parameter.account,
                    "region": parameter.region,
                    "forbidden": parameter.forbidden,
                    "versions": list(parameter.versions),
                }
                for parameter in self._store.parameters
            ]
        }

    def _put(self, entry: Mapping[str, Any]) -> int:
        name, value = take(entry, "name", str), take(entry, "value", str)
        check_name(name)
        check_value(value)
        account = take(entry, "account", str, self._account)
        region = take(entry, "region", str, ANY_REGION)
        now = self._store.now()
        parameter = self._store.parameters.put(
            account,
            region,
            name,
            lambda: Parameter(name, account, region, f"p-{secrets.token_hex(10)}", now),
        )
        return parameter.add(value, now)

    def _find(self, body: Mapping[str, Any]) -> Parameter:
        name = take(body, "name", str)
        account = take(body, "account", str, self._account)
        region = take(body, "region", str, ANY_REGION)
        parameter = self._store.parameters.find(account, region, name)
        if parameter is None:
            raise KeyError(f"no parameter {name}")
        return parameter
