"""The adapter that sends the calls of services over our session.

It has the signature of the method of the SDK's clients that comes between building a request and
parsing the response. So the SDK's models and its signing are used, but not its session per request,
its blocking retries and its lost statuses.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import orjson
from yarl import URL

from secret_sync import __version__
from secret_sync.clock import utc_text
from secret_sync.cloud.endpoints import is_dedicated
from secret_sync.cloud.errors import error_of
from secret_sync.cloud.sdk import Utils, get_canonical_query_string
from secret_sync.cloud.services import KMS
from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params

    from secret_sync.cloud.services import ServiceProfile
    from secret_sync.cloud.transport import Reply, Transport

_ALGORITHM = "ACS3-HMAC-SHA256"
USER_AGENT = f"secret-sync/{__version__}"
FORM = "application/x-www-form-urlencoded"
_OK = 200


class Keys(Protocol):
    """What a request is signed with; ``security_token`` is ``""`` for permanent credentials."""

    @property
    def access_key_id(self) -> str: ...

    @property
    def access_key_secret(self) -> str: ...

    @property
    def security_token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CallContext:
    """What differs between calls.

    So a client holds no credentials, and an immutable one serves every tenant.

    Attributes:
        endpoint: ``host`` or ``host:port``.
        keys: The credentials to sign with.
        what: What is requested; error messages begin with it.
        service: The service that is called.
        region: The region whose private CA is trusted, if the endpoint is a dedicated KMS gateway.
    """

    endpoint: str
    keys: Keys
    what: str
    service: ServiceProfile = KMS
    region: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Signable:
    """The parts of a request that its signature covers, as the SDK's helper expects them."""

    method: str
    pathname: str
    query: dict[str, str]
    headers: dict[str, str]


def sign(request: Signable, payload: bytes, keys: Keys) -> None:
    """Add the headers that authenticate a request, ACS3-HMAC-SHA256.

    Args:
        request: The request with all its other headers, named in lower case.
        payload: The body.
        keys: The credentials; the token of temporary ones is sent and signed, too.
    """
    headers = request.headers
    digest = sha256(payload).hexdigest()
    headers["x-acs-content-sha256"] = digest
    if keys.security_token:
        headers["x-acs-accesskey-id"] = keys.access_key_id
        headers["x-acs-security-token"] = keys.security_token
    headers["authorization"] = Utils.get_authorization(
        request, _ALGORITHM, digest, keys.access_key_id, keys.access_key_secret
    )


class SdkTransportAdapter:
    """Sends the calls of a service; the base class of its client."""

    _transport: Transport

    async def call_api_async(
        self, params: Params, request: OpenApiRequest, runtime: CallContext
    ) -> dict[str, Any]:
        """Make one try of a signed call with a JSON response.

        Returns:
            The input of the SDK's response models: ``body``, ``headers``, ``statusCode``.

        Raises:
            SecretSyncError: Of the class that says what to do next.
        """
        what = f"{runtime.what} at {runtime.endpoint}"
        query = request.query or {}
        payload = b""
        headers = {
            "host": runtime.endpoint,
            "accept": "application/json",
            "user-agent": USER_AGENT,
            "x-acs-action": params.action,
            "x-acs-version": params.version,
            **stamp(),
        }
        if request.body is not None:
            payload = urlencode(request.body).encode()
            headers["content-type"] = FORM
        sign(Signable(params.method, params.pathname, query, headers), payload, runtime.keys)
        url = URL(
            f"{params.protocol.lower()}://{runtime.endpoint}{params.pathname}"
            f"?{get_canonical_query_string(query)}",
            encoded=True,
        )
        send = self._transport.send
        if is_dedicated(runtime.endpoint):
            send = partial(send, region=runtime.region)
        reply = await send(params.method, url, headers, what=what, body=payload)
        if reply.status != _OK:
            keys = runtime.keys
            raise error_of(
                reply,
                what=what,
                temporary=bool(keys.security_token),
                hide=(keys.security_token, keys.access_key_secret, keys.access_key_id),
                service=runtime.service,
            )
        return {
            "body": document_of(reply, what, runtime.service),
            "headers": reply.headers,
            "statusCode": _OK,
        }


def stamp() -> dict[str, str]:
    """Return the headers that make a request unique: its time and a nonce."""
    return {
        "x-acs-date": utc_text(),
        "x-acs-signature-nonce": secrets.token_hex(16),
    }


def document_of(reply: Reply, what: str, service: ServiceProfile) -> dict[str, Any]:
    """Parse the document of a successful response.

    Raises:
        TransientError: There is no document, so the response is not from the service.
        DefiniteError: It is too large to hold a value that fits into a Secret.
    """
    if not reply.complete and service.holds_values:
        raise DefiniteError(
            f"{what}: the answer has more than 1 MiB, which no Kubernetes Secret can hold",
            code="TooLarge",
        )
    document = _loads(reply.body) if reply.complete else None
    if not isinstance(document, dict):
        kind = "an unreadable answer" if reply.body else "an empty answer"
        raise TransientError(f"{what}: {kind} (HTTP {reply.status})")
    return document


def _loads(body: bytes) -> Any:
    # The decoder's exception contains the document, so it must not become the context of ours.
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
