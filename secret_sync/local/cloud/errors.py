"""The errors of the service, and their two formats."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from xml.sax.saxutils import escape

import orjson

# code -> (HTTP status, message). What has no row here is spelled out where it is raised.
_TABLE: Final[dict[str, tuple[int, str]]] = {
    "AuthenticationFail.NoPermission": (401, "The role does not trust the subject of the token."),
    "AuthenticationFail.OIDCToken.AudienceNotMatch": (401, "The token is meant for others."),
    "AuthenticationFail.OIDCToken.Expired": (401, "This OIDC token is expired."),
    "AuthenticationFail.OIDCToken.Invalid": (401, "The OIDC token is not valid."),
    "AuthenticationFail.OIDCToken.InvalidSignature": (
        401,
        "The signature of the OIDC token is not one of its provider.",
    ),
    "EntityNotExist.OIDCProvider": (404, "The specified OIDC provider does not exist."),
    "EntityNotExist.Role": (404, "The specified role does not exist."),
    "EntityNotExists.Parameter": (404, "The specified parameter does not exist."),
    "Forbidden.DKMSInstanceNotFound": (403, "The specified KMS instance is not found."),
    "Forbidden.DKMSInstanceStateInvalid": (403, "The state of the KMS instance is invalid."),
    "Forbidden.KeyNotFound": (404, "The specified Key is not found."),
    "Forbidden.NoPermission": (403, "This operation is forbidden by permission system."),
    "Forbidden.ResourceNotFound": (404, "Resource not found."),
    "IllegalTimestamp": (400, "The time stamp is missing or malformed."),
    "IncompleteSignature": (400, "The signature does not cover what it has to cover."),
    "InternalFailure": (500, "Internal Failure"),
    "InvalidAccessKeyId.Inactive": (400, "Specified access key is disabled."),
    "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
    "InvalidAction.NotFound": (
        404,
        "Specified api is not found, please check your url and method.",
    ),
    "InvalidParameter": (400, "The specified parameter is not valid."),
    "InvalidParameter.DurationSeconds": (
        400,
        "DurationSeconds is to be from 900 to the maximum of the role.",
    ),
    "InvalidParameter.RoleArn": (400, "The parameter RoleArn is wrongly formed."),
    "InvalidParameter.RoleSessionName": (
        400,
        "The parameter RoleSessionName is to be 2 to 64 of A-Z a-z 0-9 . @ _ -",
    ),
    "InvalidSecurityToken.Expired": (400, "Specified security token is expired."),
    "InvalidSecurityToken.Malformed": (
        400,
        "Specified security token is not the one of this access key.",
    ),
    "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
    "InvalidVersion": (400, "Specified parameter Version is not valid."),
    "MissingParameter": (400, "A parameter that is mandatory for this request is not supplied."),
    "NoPermission": (
        403,
        "You are not authorized to do this action. You should be authorized by RAM.",
    ),
    "Rejected.Disabled": (409, "The request was rejected because the resource is disabled."),
    "Rejected.PendingDeletion": (409, "The resource is in the state of pending deletion."),
    "Rejected.ResourceInDeleteWindow": (409, "The resource waits for its deletion."),
    "Rejected.Throttling": (429, "QPS Limit Exceeded"),
    "Rejected.Unavailable": (409, "The resource is unavailable."),
    "Rejected.UnsupportedOperation": (400, "The operation is not supported for this resource."),
    # The live service spells it both ways.
    "SerivceUnvailableTemporary": (503, "Service Unavailable Temporary"),
    "ServiceUnavailableTemporary": (503, "Service Unavailable Temporary"),
    "SignatureDoesNotMatch": (400, "Specified signature does not match our calculation."),
    "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
    "Throttling.Api": (400, "Request was denied due to api flow control."),
    "Throttling.User": (400, "Request was denied due to user flow control."),
    "UnsupportedOperation": (400, "The operation is not supported."),
}


class CloudApiError(Exception):
    """An answer of the service that is not a success.

    Args:
        code: What clients decide by, such as "Forbidden.ResourceNotFound".
        message: Text for people; by default the table's.
        status: HTTP status; by default the table's, 400 for a code without a row.
        retry_after_ms: Sent as `x-acs-retry-after`, in milliseconds.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        default_status, default_message = _TABLE.get(code, (HTTPStatus.BAD_REQUEST.value, code))
        self.code = code
        self.message = message or default_message
        self.status = status or default_status
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{self.status} {code}: {self.message}")

    def body(self, request_id: str, *, xml: bool) -> tuple[bytes, str]:
        """Return the body and its content type."""
        fields = {
            "HttpStatus": self.status,
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
        }
        if not xml:
            return orjson.dumps(fields), "application/json;charset=utf-8"
        inner = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in fields.items())
        text = f'<?xml version="1.0" encoding="UTF-8"?><KMS>{inner}</KMS>'
        return text.encode(), "text/xml;charset=utf-8"
