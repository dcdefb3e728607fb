"""Alibaba Cloud KMS: GetSecretValue."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from alibabacloud_tea_openapi.utils_models import Config

from secret_sync.cloud.sdk import import_client
from secret_sync.cloud.sdk_transport import CallContext, SdkTransportAdapter
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.providers.value import SecretRequest, SecretValue, check_version, shown

if TYPE_CHECKING:
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params

    from secret_sync.cloud.sdk_transport import Keys
    from secret_sync.cloud.transport import Transport

__all__ = ["KmsClient", "SecretRequest", "SecretValue", "fetch_secret"]

_sdk = import_client(
    "alibabacloud_kms20160120",
    ("get_secret_value_request", "get_secret_value_response", "get_secret_value_response_body"),
)


_CURRENT: Final = "ACSCurrent"
_IGNORED_ID: Final = (
    "; KMS ignores versionId for secrets of a managed type (such as RDS, RAM and ECS credentials): "
    "omit it, or set versionStage"
)


class KmsClient(SdkTransportAdapter, _sdk.Client):  # type: ignore[misc,name-defined] # the SDK is untyped
    """The SDK's KMS client over the shared session; stateless, one for the whole process."""

    def __init__(self, transport: Transport) -> None:
        # Each call has its own endpoint; this one only keeps the SDK from deriving another.
        super().__init__(Config(endpoint="kms.aliyuncs.com"))
        self._transport = transport

    async def call_api_async(
        self, params: Params, request: OpenApiRequest, runtime: CallContext
    ) -> dict[str, Any]:
        """Make the call like ``SdkTransportAdapter``.

        ``VersionStages`` has two shapes. For the plain list the SDK's model would silently stop
        parsing, and lose the value.
        """
        reply = await super().call_api_async(params, request, runtime)
        if isinstance(stages := reply["body"].get("VersionStages"), list):
            reply["body"]["VersionStages"] = {"VersionStage": stages}
        return reply


async def fetch_secret(client: KmsClient, credentials: Keys, request: SecretRequest) -> SecretValue:
    """Fetch one secret's value: one try of at most ten seconds.

    Raises:
        TransientError: A retry may succeed; includes ``ThrottledError`` and
            ``StaleConnectionError``.
        CredentialsError: A retry with refreshed credentials may succeed.
        NotFoundError: There is no such secret or version.
        DefiniteError: Refused, an unusable value, or another version than requested.
    """
    what = f'KMS secret "{shown(request.name)}"'
    response = await client.get_secret_value_with_options_async(
        _sdk.main_models.GetSecretValueRequest(
            secret_name=request.name,
            version_id=request.version_id or None,
            version_stage=request.version_stage or None,
        ),
        CallContext(request.endpoint, credentials, what, region=request.region),
    )
    value = _value(response.body, what)
    check_version(value, request, what, _IGNORED_ID)
    if not request.version_id:
        _check_stage(response.body, request.version_stage, what)
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
    return SecretValue(data, version if isinstance(version, str) else "")


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
