"""CloudOps Orchestration Service, API of 2019-06-01: reading an encrypted parameter.

Documented are the form of the answer, that a value comes only with decryption, and that a
reader needs oos:GetSecretParameter and kms:GetSecretValue. Not documented are the codes of a
refusal and what a version that is absent gives; those here are assumed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.regional import ANY_REGION
from secret_sync.local.cloud.services import LocalService

if TYPE_CHECKING:
    from secret_sync.local.cloud.parameters import Parameter
    from secret_sync.local.cloud.services import ServiceCall
    from secret_sync.local.cloud.store import CloudStore

_NUMBER = re.compile(r"[0-9]{1,9}")


def get_secret_parameter(store: CloudStore, call: ServiceCall) -> dict[str, Any]:
    """Return one version of a parameter: the one named, else the current one."""
    name = call.parameters.get("Name")
    if not name:
        raise CloudApiError(
            "MissingParameter",
            'The parameter "Name" that is mandatory for this request is not supplied.',
        )
    decrypt = call.parameters.get("WithDecryption", "").lower() == "true"
    parameter = _find(store, call, name, decrypt=decrypt)
    number = _select(parameter, call.parameters.get("ParameterVersion", ""))
    return {"Parameter": _describe(parameter, number, decrypt=decrypt)}


def _find(store: CloudStore, call: ServiceCall, name: str, *, decrypt: bool) -> Parameter:
    if call.principal is None:
        raise CloudApiError("NoPermission")
    permissions = call.principal.permissions
    if not permissions.reads_parameter(name):
        raise CloudApiError("NoPermission")
    region = call.region
    if region == ANY_REGION:
        region = call.parameters.get("RegionId") or ANY_REGION
    parameter = store.parameters.find(call.principal.account, region, name)
    if parameter is None:
        raise CloudApiError("EntityNotExists.Parameter")
    if parameter.forbidden:
        raise CloudApiError("NoPermission")
    if decrypt and not permissions.decrypts:
        raise CloudApiError("Forbidden.NoPermission")
    return parameter


def _select(parameter: Parameter, version: str) -> int:
    if not version:
        return parameter.current
    if not _NUMBER.fullmatch(version):
        raise CloudApiError("InvalidParameter", "The specified ParameterVersion is not valid.")
    if int(version) not in parameter.versions:
        raise CloudApiError("EntityNotExists.Parameter")
    return int(version)


def _describe(parameter: Parameter, number: int, *, decrypt: bool) -> dict[str, Any]:
    value = parameter.versions[number]
    who = f"root({parameter.account})"
    return {
        "Id": parameter.id,
        "Name": parameter.name,
        "Type": "Secret",
        "Value": value.text if decrypt else None,
        "ParameterVersion": number,
        "KeyId": "",
        "ShareType": "Private",
        "Description": "",
        "Constraints": "",
        "Tags": {},
        "CreatedBy": who,
        "CreatedDate": _timestamp(parameter.created),
        "UpdatedBy": who,
        "UpdatedDate": _timestamp(value.created),
    }


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


OOS: Final = LocalService(
    version="2019-06-01",
    host=re.compile(r"oos(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com"),
    actions={"GetSecretParameter": get_secret_parameter},
    subject="Name",
)
