"""The check of an OIDC token against the provider it is said to come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from secret_sync.local.cloud.errors import CloudApiError

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
        header = jwt.get_unverified_header(token)
        payload = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise CloudApiError("AuthenticationFail.OIDCToken.Invalid") from None
    # A token may choose among the provider's keys, but not what a key is good for.
    if header.get("alg") not in {"RS256", "ES256"}:
        raise CloudApiError("AuthenticationFail.OIDCToken.Invalid")
    if not any(
        _is_signed(token, key) for kid, key in provider.keys if header.get("kid", "") in {"", kid}
    ):
        raise CloudApiError("AuthenticationFail.OIDCToken.InvalidSignature")
    return _check_claims(payload, provider, now)


def _is_signed(token: str, key: jwt.PyJWK) -> bool:
    try:
        jwt.PyJWS().decode(token, key)
    except jwt.PyJWTError:
        return False
    return True


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
