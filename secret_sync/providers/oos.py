"""Encrypted parameters of Alibaba Cloud OOS: GetSecretParameter.

The SDK's package for OOS would add 6 MiB for one call of four fields, so the call is implemented
here; signature and transport are the same as for all calls.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cloud.sdk import OpenApiRequest, Params
from secret_sync.cloud.sdk_transport import CallContext, SdkTransportAdapter
from secret_sync.cloud.services import OOS
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.providers.value import SecretValue, check_version, shown

if TYPE_CHECKING:
    from secret_sync.cloud.sdk_transport import Keys
    from secret_sync.cloud.transport import Transport
    from secret_sync.providers.value import SecretRequest

_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")

_GET_SECRET_PARAMETER: Final = Params(
    action="GetSecretParameter",
    version="2019-06-01",
    protocol="HTTPS",
    pathname="/",
    method="POST",
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)


class OosClient(SdkTransportAdapter):
    """Calls OOS over the shared session; stateless, one for the whole process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


async def fetch_parameter(
    client: OosClient, request: SecretRequest, credentials: Keys
) -> SecretValue:
    """Fetch one parameter's value: one try of at most ten seconds.

    Raises:
        TransientError: A retry may succeed; includes ``ThrottledError`` and
            ``StaleConnectionError``.
        CredentialsError: A retry with refreshed credentials may succeed.
        NotFoundError: There is no such parameter.
        DefiniteError: Refused, an unusable value, an invalid version (code ``InvalidVersionId``),
            or another version than requested.
    """
    what = f'OOS parameter "{shown(request.name)}"'
    # Without decryption the response has no value.
    query = {"Name": request.name, "WithDecryption": "true"}
    if request.region:
        query["RegionId"] = request.region
    if request.version_id:
        query["ParameterVersion"] = _version(request.version_id, what)
    answer = await client.call_api_async(
        _GET_SECRET_PARAMETER,
        OpenApiRequest(query=query),
        CallContext(request.endpoint, credentials, what, OOS),
    )
    value = _value(answer["body"].get("Parameter"), what)
    check_version(value, request, what)
    return value


def _version(text: str, what: str) -> str:
    # Without it, OOS would return the current version instead of the requested one.
    if not _VERSION.fullmatch(text):
        raise DefiniteError(
            f'{what}: versionId "{shown(text)}" is not a version of a parameter, which is a'
            " number from 1 on; without it the current one is taken",
            code="InvalidVersionId",
        )
    return text


def _value(parameter: Any, what: str) -> SecretValue:
    text = parameter.get("Value") if isinstance(parameter, dict) else None
    if not isinstance(text, str):
        raise TransientError(f"{what}: the answer holds no Value")
    if not text:
        raise DefiniteError(f"{what}: its value is empty", code="EmptyValue")
    version = parameter.get("ParameterVersion")
    known = isinstance(version, int | str) and not isinstance(version, bool)
    return SecretValue(text.encode(), str(version) if known else "")
