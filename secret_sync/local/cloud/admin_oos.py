"""The part of the admin API that is about the parameters of OOS."""

from __future__ import annotations

import secrets
from collections.abc import Mapping  # noqa: TC003  # the dispatcher reads the annotations
from typing import TYPE_CHECKING, Any

from secret_sync.local.cloud.parameters import Parameter, check_name, check_value
from secret_sync.local.cloud.regional import ANY_REGION

if TYPE_CHECKING:
    from secret_sync.local.cloud.store import CloudStore


class ParameterAdmin:
    """Operations on encrypted parameters.

    Args:
        store: Where the parameters are.
        account: The account meant where a request names none.
    """

    def __init__(self, store: CloudStore, account: str) -> None:
        self._store = store
        self._account = account

    def put_parameter(self, /, name: str, value: str, **place: str) -> int:
        """Give a parameter a new version, creating the parameter if necessary.

        Args:
            name: Of the parameter: letters, digits, `_`, `-`, `/`.
            value: Text of at most 4,096 bytes.
            **place: `account`, `region` (by default any).

        Returns:
            The number of the new version, which is the current one from now on.
        """
        check_name(name)
        check_value(value)
        account, region = self._place(**place)
        now = self._store.now()
        parameter = self._store.parameters.put(
            account,
            region,
            name,
            lambda: Parameter(name, account, region, f"p-{secrets.token_hex(10)}", now),
        )
        return parameter.add(value, now)

    def put_parameters(self, /, parameters: Mapping[str, str], **place: str) -> None:
        """Do the same for many parameters, in one request."""
        for name, value in parameters.items():
            self.put_parameter(name, value, **place)

    def update_parameter(self, /, name: str, *, forbidden: bool, **place: str) -> None:
        """Set whether reading a parameter is forbidden."""
        self._find(name, **place).forbidden = forbidden

    def delete_parameter(self, /, name: str, **place: str) -> None:
        """Delete a parameter at once."""
        self._store.parameters.delete(self._find(name, **place))

    def parameters(self) -> list[dict[str, Any]]:
        """List parameters, without their values."""
        return [
            {
                "name": parameter.name,
                "account": parameter.account,
                "region": parameter.region,
                "forbidden": parameter.forbidden,
                "versions": list(parameter.versions),
            }
            for parameter in self._store.parameters
        ]

    def _place(self, *, account: str = "", region: str = ANY_REGION) -> tuple[str, str]:
        return account or self._account, region

    def _find(self, name: str, **place: str) -> Parameter:
        parameter = self._store.parameters.find(*self._place(**place), name)
        if parameter is None:
            raise KeyError(f"no parameter {name}")
        return parameter
