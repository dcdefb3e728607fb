"""Alibaba Cloud KMS: GetSecretValue."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cloud.sdk import OpenApiRequest, Params
from secret_sync.cloud.sdk_transport import CallContext, SdkTransportAdapter
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.partial_imports import without_init
from secret_sync.providers.value import SecretValue, check_version, shown

if TYPE_CHECKING:
    from secret_sync.cloud.sdk_transport import Keys
    from secret_sync.cloud.transport import Transport
    from secret_sync.providers.value import SecretRequest

__all__ = ["KmsClient", "SecretValue", "fetch_secret"]

# Hundreds of models.
with without_init("alibabacloud_kms20160120.models"):
    from alibabacloud_kms20160120.models._get_secret_value_request import GetSecretValueRequest
    from alibabacloud_kms20160120.models._get_secret_value_response_body import (
        GetSecretValueResponseBody,
    )

_GET_SECRET_VALUE: Final = Params(
    action="GetSecretValue",
    version="2016-01-20",
    protocol="HTTPS",
    pathname="/",
    method="POST",
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)
_CURRENT: Final = "ACSCurrent"
_IGNORED_ID: Final = (
    "; KMS ignores versionId for secrets of a managed type (such as RDS, RAM and ECS credentials): "
    "omit it, or set versionStage"
)


class KmsClient(SdkTransportAdapter):
    """Calls KMS over the shared session; stateless, one for the whole process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_secret_value(self, request: Any, context: CallContext) -> Any:
        """Return the body of the response, or ``None`` if its shape is another one."""
        reply = await self.call_api_async(
            _GET_SECRET_VALUE, OpenApiRequest(query=request.to_map(), body={}), context
        )
        document = reply["body"]
        # It has two shapes; the SDK's model knows one.
        if isinstance(stages := document.get("VersionStages"), list):
            document["VersionStages"] = {"VersionStage": stages}
        try:
            return GetSecretValueResponseBody().from_map(document)
        except AttributeError:
            return None


async def fetch_secret(client: KmsClient, request: SecretRequest, credentials: Keys) -> SecretValue:
    """Fetch one secret's value: one try of at most ten seconds.

    Raises:
        TransientError: A retry may succeed; includes ``ThrottledError`` and
            ``StaleConnectionError``.
        CredentialsError: A retry with refreshed credentials may succeed.
        NotFoundError: There is no such secret or version.
        DefiniteError: Refused, an unusable value, or another version than requested.
    """
    what = f'KMS secret "{shown(request.name)}"'
    body = await client.get_secret_value(
        GetSecretValueRequest(
            secret_name=request.name,
            version_id=request.version_id or None,
            version_stage=request.version_stage or None,
        ),
        CallContext(request.endpoint, credentials, what, region=request.region),
    )
    value = _value(body, what)
    check_version(value, request, what, _IGNORED_ID)
    if not request.version_id:
        _check_stage(body, request.version_stage, what)
    return value


def _value(body: Any, what: str) -> SecretValue:
    text, kind, version = (
        (body.secret_data, body.secret_data_type or "text", body.version_id)
        if body is not None
        else (None, "text", None)
    )
    if not isinstance(text, str):
        raise TransientError(f"{what}: the answer holds no SecretData")
    if kind == "text":
        data = text.encode()
    elif kind == "binary":
        data = _decoded(text, what)
    else:
        raise DefiniteError(
            f"{what}: SecretDataType is neither text nor binary", code="UnusableValue"
        )
    if not data:
        raise DefiniteError(f"{what}: its value is empty", code="EmptyValue")
    rotated = body.last_rotation_date
    return SecretValue(
        data,
        version if isinstance(version, str) else "",
        rotated if isinstance(rotated, str) else "",
    )


def _check_stage(body: Any, stage: str, what: str) -> None:
    """Check that a version has the requested stage, if the response has its stages.

    ACSCurrent needs no check: it is what KMS returns without a stage, and it may have moved during
    the call, which the next poll finds.
    """
    found = getattr(body.version_stages, "version_stage", None)
    if stage in ("", _CURRENT) or not isinstance(found, list) or not found or stage in found:
        return
    raise DefiniteError(
        f'{what}: stage "{shown(stage)}" was asked for, and the answer holds a version with '
        f"{', '.join(shown(str(name)) for name in found[:5])}",
        code="VersionMismatch",
    )


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DefiniteError(
            f"{what}: it is binary, but its value is not base64", code="UnusableValue"
        ) from None
