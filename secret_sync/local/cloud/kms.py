"""Key Management Service, API of 2016-01-20: reading a secret's value."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.services import LocalService
from secret_sync.local.cloud.store import CURRENT, PREVIOUS, SecretState

if TYPE_CHECKING:
    from secret_sync.local.cloud.services import ServiceCall
    from secret_sync.local.cloud.store import CloudStore, Secret, Version

_ARN = re.compile(r"acs:kms:(?P<region>[^:]*):(?P<account>[^:]*):secret/(?P<name>.+)")
_STATES: Final = {
    SecretState.DISABLED: "Rejected.Disabled",
    SecretState.PENDING_DELETION: "Rejected.PendingDeletion",
}


def get_secret_value(store: CloudStore, call: ServiceCall) -> dict[str, Any]:
    """Return one version of a secret: the one named, else the one at a stage."""
    name = call.parameters.get("SecretName")
    if not name:
        raise CloudApiError(
            "MissingParameter",
            'The parameter "SecretName" that is mandatory for this request is not supplied.',
        )
    secret = _find(store, call, name)
    version = _select(secret, call.parameters)
    return _answer(store, secret, version, call)


def _find(store: CloudStore, call: ServiceCall, name: str) -> Secret:
    if call.principal is None:
        raise CloudApiError("Forbidden.NoPermission")
    account, region = call.principal.account, call.region
    if name.startswith("acs:"):
        arn = _ARN.fullmatch(name)
        if arn is None:
            raise CloudApiError(
                "InvalidParameter", "The specified parameter SecretName is not valid."
            )
        region, name = arn["region"], arn["name"]
        if arn["account"] != account:
            raise CloudApiError("Forbidden.NoPermission")
    if not call.principal.permissions.reads(name):
        raise CloudApiError("Forbidden.NoPermission")
    secret = store.find(account, region, name)
    if secret is None:
        raise CloudApiError("Forbidden.ResourceNotFound")
    if secret.forbidden:
        raise CloudApiError("Forbidden.NoPermission")
    if secret.state in _STATES:
        raise CloudApiError(_STATES[secret.state])
    return secret


def _select(secret: Secret, parameters: Any) -> Version:
    version_id = parameters.get("VersionId", "")
    if version_id and not secret.managed:
        if version_id not in secret.versions:
            raise CloudApiError("Forbidden.ResourceNotFound")
        return secret.versions[version_id]
    stage = parameters.get("VersionStage") or CURRENT
    if secret.managed and stage not in {CURRENT, PREVIOUS}:
        raise CloudApiError(
            "InvalidParameter", "The specified parameter VersionStage is not valid."
        )
    holder = secret.stages.get(stage)
    if holder is None:
        raise CloudApiError("Forbidden.ResourceNotFound")
    return secret.versions[holder]


def _answer(
    store: CloudStore, secret: Secret, version: Version, call: ServiceCall
) -> dict[str, Any]:
    binary = isinstance(version.value, bytes)
    stages = secret.stages_of(version.id)
    answer: dict[str, Any] = {
        "SecretName": secret.name,
        "SecretType": secret.type,
        "SecretData": base64.b64encode(version.value).decode()
        if isinstance(version.value, bytes)
        else version.value,
        "SecretDataType": "binary" if binary else "text",
        "VersionId": version.id,
        "VersionStages": stages
        if store.settings.version_stages_as_list
        else {"VersionStage": stages},
        "CreateTime": _timestamp(secret.created),
    }
    if secret.managed:
        answer["AutomaticRotation"] = "Disabled"
        answer["LastRotationDate"] = _timestamp(version.created)
        if call.parameters.get("FetchExtendedConfig", "").lower() == "true":
            answer["ExtendedConfig"] = secret.extended_config
    return answer


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


KMS: Final = LocalService(
    version="2016-01-20",
    host=re.compile(
        r"kms(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com"
        r"|[a-z0-9-]+\.cryptoservice\.kms\.aliyuncs\.com"
    ),
    actions={"GetSecretValue": get_secret_value},
    subject="SecretName",
)
