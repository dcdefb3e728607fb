"""The check of an OIDC token against the provider it is said to come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.jwks import unpad

if TYPE_CHECKING:
    from secret_sync.local.cloud.ram import OidcProvider


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a genuine token says.

    Attributes:
        subject: Such as "system:serviceaccount:<namespace>:<name>".
        audiences: Whom it is meant for.
    """

    subject: str
    audiences: tuple[str, ...]


def verify(token: str, provider: OidcProvider, now: float) -> TokenClaims:
    """Return what a token says, once it is known to be genuine, current and meant for us.

    Args:
        token: A JWT in compact form.
        provider: Whose keys, issuer and audiences count.
        now: Seconds since the epoch.

    Raises:
        CloudApiError: `AuthenticationFail.OIDCToken.*`, 401; no part of the token is quoted.
    """
    try:
        signed, _, encoded_signature = token.rpartition(".")
        encoded_header, encoded_payload = signed.split(".")
        header, payload = _object(encoded_header), _object(encoded_payload)
        signature = unpad(encoded_signature)
    except ValueError:
        raise CloudApiError("AuthenticationFail.OIDCToken.Invalid") from None
    _check_signature(header, signed.encode(), signature, provider)
    return _check_claims(payload, provider, now)


def _object(encoded: str) -> dict[str, Any]:
    content = orjson.loads(unpad(encoded))
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004 - joins the other ways of being no JWT
    return content


def _check_signature(
    header: dict[str, Any], signed: bytes, signature: bytes, provider: OidcProvider
) -> None:
    algorithm, kid = header.get("alg"), header.get("kid", "")
    # A token may choose among the provider's keys, but not what a key is good for.
    if algorithm not in {"RS256", "ES256"}:
        raise CloudApiError("AuthenticationFail.OIDCToken.Invalid")
    for key in provider.keys:
        if (
            key.algorithm == algorithm
            and (not kid or key.kid == kid)
            and key.verifies(signature, signed)
        ):
            return
    raise CloudApiError("AuthenticationFail.OIDCToken.InvalidSignature")


def _check_claims(payload: dict[str, Any], provider: OidcProvider, now: float) -> TokenClaims:
    expires, not_before = payload.get("exp"), payload.get("nbf", 0)
    subject, audience = payload.get("sub"), payload.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if (
        payload.get("iss") != provider.issuer
        or not isinstance(subject, str)
        or not isinstance(expires, int | float)
        or not isinstance(not_before, int | float)
        or not isinstance(audiences, list)
        or not_before > now
    ):
        raise CloudApiError("AuthenticationFail.OIDCToken.Invalid")
    if expires <= now:
        raise CloudApiError("AuthenticationFail.OIDCToken.Expired")
    if not any(audience in provider.audiences for audience in audiences):
        raise CloudApiError("AuthenticationFail.OIDCToken.AudienceNotMatch")
    return TokenClaims(subject, tuple(map(str, audiences)))
