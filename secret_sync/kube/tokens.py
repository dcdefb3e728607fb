"""Tokens of ServiceAccounts, asked of the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError, SecretSyncError
from secret_sync.kube.answers import Answer, section
from secret_sync.kube.errors import ApiError, ApiNotFoundError, ApiUnavailableError
from secret_sync.kube.resource import SERVICE_ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.kube.client import KubeClient

#: Seconds a token is valid: the least the API server grants. It is used at once, and only once.
_LIFETIME: Final = 600


class ServiceAccountTokenMinter:
    """Makes tokens with ``TokenRequest``; nothing is kept."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def mint(self, namespace: str, name: str, audiences: Sequence[str]) -> str:
        """A token of a ServiceAccount, valid for ten minutes.

        Raises:
            DefiniteError: ``ServiceAccountNotFound`` or ``TokenForbidden``.
            ApiUnavailableError: The API server does not answer.
        """
        outcome = await self._ask(namespace, name, audiences)
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome

    async def _ask(
        self, namespace: str, name: str, audiences: Sequence[str]
    ) -> str | SecretSyncError:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": list(audiences), "expirationSeconds": _LIFETIME},
        }
        path = SERVICE_ACCOUNTS.path(namespace, name, "token")
        where = f"ServiceAccount {namespace}/{name}"
        try:
            reply = await self._client.request("POST", path, body=body, expected=Answer.ANY)
            token = section(reply, "status", where).get("token")
        except ApiUnavailableError as error:
            return error
        except ApiNotFoundError:
            return DefiniteError(f"{where} does not exist", code="ServiceAccountNotFound")
        except ApiError as error:
            advice = "; it needs the right to create serviceaccounts/token" * error.lacks_right
            return DefiniteError(
                f"the API server gives the controller no token of {where}: {error.message}{advice}",
                code="TokenForbidden",
            )
        if not isinstance(token, str) or not token:
            return ApiUnavailableError(f"the API server's answer holds no token of {where}")
        return token
