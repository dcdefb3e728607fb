"""Tokens of ServiceAccounts, from the API server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secret_sync.errors import DefiniteError, ReferenceChangedError, SecretSyncError
from secret_sync.kube.answers import Answer, section
from secret_sync.kube.errors import (
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
)
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

    async def mint(self, namespace: str, name: str, uid: str, audiences: Sequence[str]) -> str:
        """Request a token of a ServiceAccount, valid for ten minutes.

        Raises:
            ReferenceChangedError: The ServiceAccount of that name has another uid.
            DefiniteError: ``ServiceAccountNotFound`` or ``TokenForbidden``.
            ApiUnavailableError: The API server does not answer.
        """
        outcome = await self._ask(namespace, name, uid, audiences)
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome

    async def _ask(
        self, namespace: str, name: str, uid: str, audiences: Sequence[str]
    ) -> str | SecretSyncError:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            # A precondition; servers that do not know it answer for any object of the name.
            "metadata": {"namespace": namespace, "name": name, "uid": uid},
            "spec": {"audiences": list(audiences), "expirationSeconds": _LIFETIME},
        }
        path = SERVICE_ACCOUNTS.path(namespace, name, "token")
        where = f"ServiceAccount {namespace}/{name}"
        try:
            reply = await self._client.request("POST", path, body=body, expected=Answer.ANY)
            token = section(reply, "status", where).get("token")
        except ApiUnavailableError as error:
            return error
        except ApiConflictError:
            return _recreated(where)
        except ApiNotFoundError:
            return DefiniteError(f"{where} does not exist", code="ServiceAccountNotFound")
        except ApiRefusedError as error:
            advice = "; it needs the right to create serviceaccounts/token" * error.lacks_right
            return DefiniteError(
                f"the API server refused a token for {where}: {error.message}{advice}",
                code="TokenForbidden",
            )
        if not isinstance(token, str) or not token:
            return ApiUnavailableError(f"the API server's answer holds no token of {where}")
        return token if _uid_of(token) == uid else _recreated(where)


async def read_token_user(path: str) -> str:
    """Return whose token a file holds, as the API server calls it; ``""`` if it holds none."""
    try:
        token = await asyncio.to_thread(Path(path).read_bytes)
    except (OSError, ValueError):
        return ""
    return user_of(token.decode(errors="replace"))


def user_of(token: str) -> str:
    """Return whose token it is, as the API server calls it; ``""`` if that is not in it."""
    user = _claims(token).get("sub")
    return user if isinstance(user, str) else ""


def _recreated(where: str) -> ReferenceChangedError:
    return ReferenceChangedError(
        f"{where} was recreated meanwhile; not used; its grant is checked again"
    )


def _uid_of(token: str) -> Any:
    """Return the uid of the ServiceAccount that a token of the API server is of."""
    value: Any = _claims(token)
    for part in ("kubernetes.io", "serviceaccount", "uid"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says; nothing is verified, so its source has to be trusted."""
    payload = token.partition(".")[2].partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
