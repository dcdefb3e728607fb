"""What differs between services: the meaning of their error codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLOCK = "the clock of this machine and the service's differ by more than 15 minutes"
_TRUST = "the role's trust policy"

_COMMON: Final = {
    "IllegalTimestamp": _CLOCK,
    "InvalidAccessKeyId.Inactive": "the AccessKey is disabled",
    "InvalidAccessKeyId.NotFound": "the AccessKey ID does not exist",
    "InvalidSecurityToken": "the temporary credentials were not accepted",
    "InvalidSecurityToken.Expired": "the temporary credentials have expired",
    "InvalidTimeStamp.Expired": _CLOCK,
    "SignatureDoesNotMatch": "the AccessKey secret does not belong to the AccessKey ID",
}


@dataclass(frozen=True, slots=True, eq=False)
class ServiceProfile:
    """Error codes of one service of Alibaba Cloud.

    Attributes:
        meaning: What a code means and what to do. The service's own message is quoted only for
            unknown codes. For ``A.B.C`` the longest known prefix of ``A.B.C``, ``A.B``, ``A``
            counts.
        not_found: The codes for a secret that does not exist.
        holds_values: Whether its responses contain values of a Kubernetes Secret.
    """

    meaning: Mapping[str, str]
    not_found: frozenset[str] = frozenset()
    holds_values: bool = False


KMS: Final = ServiceProfile(
    {
        **_COMMON,
        "Forbidden.ResourceNotFound": "it does not exist (in this region, account and version)",
        "Forbidden.KeyNotFound": "the KMS key that it is encrypted with does not exist",
        "Forbidden.NoPermission": (
            "RAM does not allow this identity to read it: it needs kms:GetSecretValue, and"
            " kms:Decrypt on the key it is encrypted with"
        ),
        "Rejected.Disabled": "the KMS key that it is encrypted with is disabled",
        "Rejected.PendingDeletion": "the KMS key that it is encrypted with is about to be deleted",
        "Rejected.ResourceInDeleteWindow": "it is scheduled for deletion",
    },
    not_found=frozenset({"Forbidden.ResourceNotFound"}),
    holds_values=True,
)

_MAY_NOT_READ_PARAMETER = (
    "RAM does not allow this identity to read it: it needs oos:GetSecretParameter,"
    " kms:GetSecretValue, and kms:Decrypt on the key it is encrypted with"
)

#: The codes of a refusal by RAM are not documented for it: these are the usual ones.
OOS: Final = ServiceProfile(
    {
        **_COMMON,
        "EntityNotExists.Parameter": "it does not exist (in this region, account and version)",
        "Forbidden.KeyNotFound": KMS.meaning["Forbidden.KeyNotFound"],
        "Forbidden.NoPermission": _MAY_NOT_READ_PARAMETER,
        "Forbidden.RAM": _MAY_NOT_READ_PARAMETER,
        "NoPermission": _MAY_NOT_READ_PARAMETER,
        "Rejected.Disabled": KMS.meaning["Rejected.Disabled"],
        "Rejected.PendingDeletion": KMS.meaning["Rejected.PendingDeletion"],
    },
    not_found=frozenset({"EntityNotExists.Parameter"}),
    holds_values=True,
)

_MAY_NOT_ASSUME = (
    "it may not be assumed by this identity: that needs a RAM policy with sts:AssumeRole on the"
    f" role, and {_TRUST} must name it as a principal"
)

#: Its refusals of an AccessKey or a session concern the identity that assumes the role.
STS: Final = ServiceProfile(
    {
        **_COMMON,
        "AuthenticationFail.NoPermission": (
            f"{_TRUST} does not admit this ServiceAccount: it must name the OIDC provider as a"
            " federated principal, and its conditions must fit the token: oidc:iss the issuer of"
            " the cluster, oidc:aud the audience, oidc:sub"
            " system:serviceaccount:<namespace>:<name>"
        ),
        "AuthenticationFail.OIDCToken": "the ServiceAccount's token was not accepted",
        "AuthenticationFail.OIDCToken.AudienceNotMatch": (
            "the audience of the ServiceAccount's token is not one of the client IDs of the OIDC"
            " provider: that of RRSA is sts.aliyuncs.com"
        ),
        "AuthenticationFail.OIDCToken.Expired": "the ServiceAccount's token has expired",
        "AuthenticationFail.OIDCToken.Invalid": (
            "the ServiceAccount's token is not one of the cluster that the OIDC provider stands"
            " for: check the provider's ARN and issuer"
        ),
        "AuthenticationFail.OIDCToken.InvalidSignature": (
            "the ServiceAccount's token was not signed with a key that the OIDC provider knows:"
            " check the provider's ARN; after a change of the cluster's keys, its fingerprints"
        ),
        "EntityNotExist.OIDCProvider": (
            "the OIDC provider does not exist in the role's account: check its ARN, and that RRSA"
            " is enabled for the cluster"
        ),
        "EntityNotExist.Role": (
            "the role does not exist: check its ARN, where ramRoleARN, remoteRamRoleARN or the"
            " ServiceAccount names it"
        ),
        "Forbidden.NoPermission": _MAY_NOT_ASSUME,
        "InvalidAccessKeyId.Inactive": "the AccessKey of the identity that assumes it is disabled",
        "InvalidAccessKeyId.NotFound": (
            "the AccessKey ID of the identity that assumes it does not exist"
        ),
        "InvalidParameter.DurationSeconds": (
            "the duration of the session is not between 900 seconds and the longest one that the"
            " role allows"
        ),
        "InvalidParameter.OIDCProviderArn": "the ARN of the OIDC provider is malformed",
        "InvalidParameter.OIDCToken": "the ServiceAccount's token is malformed",
        "InvalidParameter.RoleArn": "the ARN of the role is malformed",
        "InvalidParameter.RoleSessionName": (
            "the name of the session is malformed: 2 to 64 characters of A-Z a-z 0-9 . @ _ -"
        ),
        "InvalidSecurityToken": (
            "the temporary credentials of the identity that assumes it were not accepted"
        ),
        "InvalidSecurityToken.Expired": (
            "the temporary credentials of the identity that assumes it have expired"
        ),
        "NoPermission": _MAY_NOT_ASSUME,
    }
)
