"""The part of the admin API's client that is about identities."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class RamCalls(ABC):
    """Roles, OIDC providers, sessions and the metadata service: see `CloudAdmin`.

    A `role` is an ARN, or the name of a role of `account`, which is the first one by default.
    """

    async def put_role(
        self, name: str, *, trust: Sequence[Mapping[str, str]] = (), **options: Any
    ) -> str:
        """Make a role, or change it if there is one of that name.

        Args:
            name: Of the role.
            trust: Whom it trusts, any one of: `{"account": <id>}`, `{"role": <ARN>}`,
                `{"oidc_provider": <ARN>, "sub": <pattern>, "aud": <audience, optional>}`.
            **options: `account`, and as for `update_role`; a new role reads every secret and
                parameter of its account (`secrets=["*"]`), assumes no other role (`roles=[]`),
                and its sessions last for 3600 seconds at most.

        Returns:
            Its ARN.
        """
        answer = await self._call("put-role", name=name, trust=list(map(dict, trust)), **options)
        return str(answer["arn"])

    async def update_role(self, role: str, **changes: Any) -> None:
        """Change a role at once, for its running sessions too.

        Args:
            role: ARN or name.
            **changes: `trust`; `secrets` and `parameters`, patterns of what its sessions may
                read; `decrypts`, whether they have what of KMS that takes for parameters;
                `roles`, patterns of the ARNs that they may assume; `max_session_seconds` (900
                to 43200); and `account`, to find it by.
        """
        await self._call("update-role", role=role, **changes)

    async def delete_role(self, role: str, **place: str) -> None:
        """Delete a role and end its sessions."""
        await self._call("delete-role", role=role, **place)

    async def roles(self) -> list[dict[str, Any]]:
        """List roles: `arn`, `trust`, `max_session_seconds`, and what their sessions may do."""
        return list((await self._call("list-roles"))["roles"])

    async def put_oidc_provider(
        self,
        name: str,
        *,
        issuer: str,
        jwks: Mapping[str, Any] | Path | str,
        audiences: Sequence[str] = ("sts.aliyuncs.com",),
        **place: str,
    ) -> str:
        """Make a provider of OIDC tokens, or replace it.

        Args:
            name: Of the provider.
            issuer: What its tokens have as `iss`.
            jwks: The issuer's keys: the JSON Web Key Set, a file with it, or a URL to read it
                from once, without credentials.
            audiences: What its tokens may be for.
            **place: `account`.

        Returns:
            Its ARN.

        Raises:
            OSError: The file cannot be read.
        """
        answer = await self._call(
            "put-oidc-provider",
            name=name,
            issuer=issuer,
            jwks=await self._key_set(jwks),
            audiences=list(audiences),
            **place,
        )
        return str(answer["arn"])

    async def delete_oidc_provider(self, provider: str, **place: str) -> None:
        """Delete a provider, by its ARN or its name."""
        await self._call("delete-oidc-provider", provider=provider, **place)

    async def restrict_access_key(self, key_id: str, **permissions: Sequence[str] | bool) -> None:
        """Set what a key may do.

        Args:
            key_id: Of the key.
            **permissions: As for `update_role`: `secrets`, `parameters`, `decrypts`, `roles`;
                omitted ones stay (all of them "*" or true for a new key).
        """
        given = {
            name: value if isinstance(value, bool) else list(value)
            for name, value in permissions.items()
        }
        await self._call("restrict-access-key", id=key_id, **given)

    async def sessions(self) -> list[dict[str, Any]]:
        """List sessions, ended ones too: `id`, `role` (ARN), `name`, `opened_by`, `expires`."""
        return list((await self._call("list-sessions"))["sessions"])

    async def expire_sessions(self, *, role: str = "", access_key: str = "", **place: str) -> int:
        """End running sessions: all, or those that everything given fits to.

        Args:
            role: ARN or name of their role.
            access_key: Id of their own access key, or of the one that opened them.
            **place: `account`, to find the role by.

        Returns:
            How many.
        """
        answer = await self._call("expire-sessions", role=role, access_key=access_key, **place)
        return int(answer["expired"])

    async def set_metadata(
        self, *, role: str = "", region_id: str = "", mode: str = "both", **options: Any
    ) -> None:
        """Set everything that the metadata service returns; its next credentials are new.

        Args:
            role: Attached to the machine, an ARN or a name; "" for none.
            region_id: Of the machine; "" for unknown.
            mode: Value of a `MetadataMode`.
            **options: `account`, to find the role by; `session_seconds`, how long credentials
                are valid (six hours); with less than 30 minutes left they are replaced.
        """
        await self._call("set-metadata", role=role, region_id=region_id, mode=mode, **options)

    async def expire_metadata_tokens(self) -> int:
        """Make the tokens of the metadata service invalid; return how many."""
        return int((await self._call("expire-metadata-tokens"))["expired"])

    async def issued(self) -> list[str]:
        """Return the values that must not be in any log.

        That is the secrets of access keys and sessions, security tokens and tokens of the
        metadata service ever given out, and the OIDC tokens ever received.
        """
        return list((await self._call("issued"))["issued"])

    async def _key_set(self, jwks: Mapping[str, Any] | Path | str) -> dict[str, Any]:
        if isinstance(jwks, Path):
            raw = await asyncio.to_thread(jwks.read_bytes)
        elif isinstance(jwks, str):
            raw = await self._fetch(jwks)
        else:
            return dict(jwks)
        content: dict[str, Any] = orjson.loads(raw)
        return content

    @abstractmethod
    async def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        """Make one request of the admin API."""

    @abstractmethod
    async def _fetch(self, url: str) -> bytes:
        """Return what is behind a URL."""
