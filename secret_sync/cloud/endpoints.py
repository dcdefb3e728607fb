"""Where a call goes: the host, and whose quota it draws on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from secret_sync.errors import DefiniteError

# The region becomes a part of the host name, and it may come from an object that a tenant
# wrote: anything looser would let an ARN choose where the signed request is sent.
_REGION = re.compile(r"[a-z][a-z0-9-]{0,62}")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_ARN = re.compile(r"acs:kms:([^:]*):([^:]*):secret/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KmsTarget:
    """Where to send a KMS call.

    Attributes:
        host: ``host`` or ``host:port``, reached by https.
        region: The region, ``""`` if none is known (only possible beside an operator's endpoint).
        account: The account of the ARN, ``""`` if the secret was named without one.
    """

    host: str
    region: str
    account: str


def resolve_kms(key: str, *, region: str, endpoint: str) -> KmsTarget:
    """Tell where a secret is asked for, without any call.

    Args:
        key: A KMS secret's name, or its ARN ``acs:kms:{region}:{account}:secret/{name}``,
            whose region goes before the given one.
        region: The controller's own region, or ``""``.
        endpoint: The operator's host[:port] for all KMS calls, or ``""``: then the VPC
            endpoint of the region.

    Raises:
        DefiniteError: The ARN, a region or the endpoint is malformed, or no region is known.
    """
    account = ""
    if key.startswith("acs:"):
        match = _ARN.fullmatch(key)
        if match is None or not match[2].isalnum():
            raise DefiniteError(
                f'"{key[:200]}" is not the ARN of a KMS secret: expected'
                " acs:kms:<region>:<account>:secret/<name>",
                code="InvalidARN",
            )
        region, account = match[1], match[2]
    _check_region(region)
    if endpoint:
        _check_host(endpoint, "a KMS")
        return KmsTarget(endpoint, region, account)
    if not region:
        raise DefiniteError(
            "the region is not known: write the key as an ARN, or start the controller with"
            " --region or ALIBABA_CLOUD_REGION_ID",
            code="RegionMissing",
        )
    return KmsTarget(f"kms-vpc.{region}.aliyuncs.com", region, account)


def sts_hosts(*, region: str, endpoint: str) -> tuple[str, ...]:
    """Tell where STS is reached, in the order to try.

    Args:
        region: The controller's region, or ``""``: then the global endpoint serves.
        endpoint: The operator's host[:port], or ``""``: then the VPC endpoint of the region
            and, for where that cannot be reached, the public one.

    Raises:
        DefiniteError: The region or the endpoint is malformed.
    """
    _check_region(region)
    if endpoint:
        _check_host(endpoint, "an STS")
        return (endpoint,)
    if not region:
        return ("sts.aliyuncs.com",)
    return f"sts-vpc.{region}.aliyuncs.com", f"sts.{region}.aliyuncs.com"


def is_region(text: str) -> bool:
    """Tell whether a text can be the name of a region."""
    return _REGION.fullmatch(text) is not None


def _check_region(region: str) -> None:
    if region and not is_region(region):
        raise DefiniteError(
            f'"{region[:64]}" is not the name of a region, such as cn-hangzhou',
            code="InvalidRegion",
        )


def _check_host(endpoint: str, kind: str) -> None:
    if not _HOST.fullmatch(endpoint):
        raise DefiniteError(
            f'"{endpoint[:200]}" is not {kind} endpoint: expected host or host:port',
            code="InvalidEndpoint",
        )
