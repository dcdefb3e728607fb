"""The host of a call, and the quota that it counts against."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Iterable

# The region becomes part of the host name, and may come from an object of a tenant. Two letters
# first: otherwise kms-vpc.oss-cn-hangzhou.aliyuncs.com, anyone's OSS bucket, would be an endpoint.
# At most 63 characters, as in any host name.
_REGION_FORM: Final = r"(?:[a-z]{2}|rus)(?:-[a-z0-9]{1,14}){1,4}"
_REGION = re.compile(_REGION_FORM)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_ARN = re.compile(r"acs:kms:([^:]+):([^:]+):secret/(.+)", re.DOTALL)

_REGIONAL = re.compile(rf"kms(?:-vpc)?\.({_REGION_FORM})\.aliyuncs\.com")
# An instance's id is one label; two hyphens in a row would allow punycode.
_INSTANCE = re.compile(
    r"(?=[^.]{1,63}\.)[a-z0-9]+(?:-[a-z0-9]+)*\.cryptoservice\.kms\.aliyuncs\.com"
)

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_PORT: Final = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_EXACT = re.compile(rf"(?:{_NAME}|\[[0-9a-f:.]+\]){_PORT}")
# Not below a top-level domain, and not below a part of an address.
_WILDCARD = re.compile(rf"\*\.(?:{_LABEL}\.)+(?=[a-z0-9-]*[a-z]){_LABEL}{_PORT}")
_MAX_NAME: Final = 253
_MAX_PORT: Final = 65535
_MAX_SHOWN: Final = 120


class EndpointRules:
    """The hosts that an object may name besides the documented ones.

    A pattern of ``--allow-kms-endpoint`` is ``host``, ``host:port``, ``*.domain`` or
    ``*.domain:port``, in lower case. ``*`` stands for one or more labels at the beginning; the
    domain has at least two labels. Everything else is compared as a whole: without a port the
    endpoint must not have one, with a port it must have the same.
    """

    __slots__ = ("_exact", "_wildcards")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Parse the patterns.

        Args:
            patterns: As the operator wrote them.

        Raises:
            DefiniteError: A pattern is malformed.
        """
        exact = set()
        wildcards = []
        for pattern in patterns:
            below = _WILDCARD.fullmatch(pattern)
            match = below or _EXACT.fullmatch(pattern)
            if match is None or len(pattern) > _MAX_NAME or int(match["port"] or 0) > _MAX_PORT:
                raise DefiniteError(
                    f"--allow-kms-endpoint: {_shown(pattern)} is not host[:port] or"
                    " *.domain[:port] in lower case, with at least two labels in the domain",
                    code="InvalidEndpointPattern",
                )
            if below is None:
                exact.add(pattern)
            else:
                wildcards.append(re.compile(rf"(?:{_LABEL}\.)+{re.escape(pattern[2:])}"))
        self._exact = frozenset(exact)
        self._wildcards = tuple(wildcards)

    def allow(self, endpoint: str) -> bool:
        """Return whether a host[:port] matches a pattern."""
        if endpoint in self._exact:
            return True
        return len(endpoint) <= _MAX_NAME and any(w.fullmatch(endpoint) for w in self._wildcards)


DOCUMENTED_ONLY: Final = EndpointRules()


@dataclass(frozen=True, slots=True)
class KmsTarget:
    """The target of a KMS call.

    Attributes:
        host: ``host`` or ``host:port``, reached over https.
        region: The region whose quota the call counts against, and whose private CA is trusted at
            a dedicated gateway; ``""`` if unknown (only possible with a given endpoint).
        account: The account of the ARN, ``""`` if the key is not an ARN.
    """

    host: str
    region: str
    account: str


@dataclass(frozen=True, slots=True)
class OosTarget:
    """The target of an OOS call.

    Attributes:
        host: ``host`` or ``host:port``, reached over https.
        region: ``""`` if unknown (only possible with a given endpoint).
    """

    host: str
    region: str


def resolve_kms(
    key: str,
    *,
    region: str,
    endpoint: str,
    entry_endpoint: str = "",
    allowed: EndpointRules = DOCUMENTED_ONLY,
) -> KmsTarget:
    """Return the target for a secret, without any call.

    The first that is set is used: the entry's endpoint, the operator's, the VPC endpoint of the
    region. If an endpoint names a region, the call counts against the quota of that region,
    whatever region an ARN names.

    Args:
        key: A KMS secret's name, or its ARN ``acs:kms:{region}:{account}:secret/{name}``,
            whose region takes precedence.
        region: The controller's own region, or ``""``.
        endpoint: The operator's host[:port] for all KMS calls, or ``""``.
        entry_endpoint: The object's ``kmsEndpoint``, or ``""``. The request with its token is sent
            there, so it must be a documented host or one that the operator allows.
        allowed: The additional hosts that the operator allows.

    Raises:
        DefiniteError: The ARN, a region or an endpoint is malformed, the entry's endpoint is
            not allowed (code ``EndpointNotAllowed``), or no region is known.
    """
    account = ""
    if key.startswith("acs:"):
        match = _ARN.fullmatch(key)
        if match is None or not match[2].isalnum():
            raise DefiniteError(
                f"{_shown(key)} is not the ARN of a KMS secret: expected"
                " acs:kms:<region>:<account>:secret/<name>",
                code="InvalidARN",
            )
        region, account = match[1], match[2]
    _check_region(region)
    if entry_endpoint:
        _check_entry(entry_endpoint, allowed)
        endpoint = entry_endpoint
    elif endpoint:
        _check_host(endpoint, "a KMS")
    elif not region:
        raise _no_region("write the key as an ARN, or start the controller with")
    else:
        return KmsTarget(f"kms-vpc.{region}.aliyuncs.com", region, account)
    named = _REGIONAL.fullmatch(_name_of(endpoint))
    return KmsTarget(endpoint, named[1] if named else region, account)


def resolve_oos(name: str, *, region: str, endpoint: str = "") -> OosTarget:
    """Return the target for a parameter of OOS, without any call.

    Args:
        name: The parameter's name.
        region: The controller's own region, or ``""``.
        endpoint: A host[:port] for all OOS calls, or ``""``: then the VPC endpoint.

    Raises:
        DefiniteError: The name is an ARN, the region or the endpoint is malformed, or no
            region is known.
    """
    if name.startswith("acs:"):
        raise DefiniteError(
            f"{_shown(name)} is an ARN: a parameter of OOS is referred to by its name, in the"
            " controller's region",
            code="InvalidARN",
        )
    _check_region(region)
    if endpoint:
        _check_host(endpoint, "an OOS")
        return OosTarget(endpoint, region)
    if not region:
        raise _no_region("start the controller with")
    return OosTarget(f"oos-vpc.{region}.aliyuncs.com", region)


def sts_hosts(*, region: str, endpoint: str) -> tuple[str, ...]:
    """Return the hosts of STS, in the order to try.

    Args:
        region: The controller's region, or ``""`` for the global endpoint.
        endpoint: The operator's host[:port], or ``""`` for the VPC endpoint of the region and, if
            that cannot be reached, the public one.

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
    """Return whether a string can be the name of a region."""
    return _REGION.fullmatch(text) is not None


def is_dedicated(endpoint: str) -> bool:
    """Return whether a host[:port] is a dedicated KMS gateway, which has a private CA."""
    return _INSTANCE.fullmatch(_name_of(endpoint)) is not None


@lru_cache(maxsize=1024)
def endpoint_class(endpoint: str) -> str:
    """Return the key of the quota that a host counts against.

    That is the region of a shared KMS gateway, whose public and VPC hosts share a quota; otherwise
    the host: a dedicated instance, a gateway of OOS, or another one that the operator allows.
    """
    regional = _REGIONAL.fullmatch(_name_of(endpoint))
    return regional[1] if regional else endpoint.lower()


def _name_of(endpoint: str) -> str:
    """Return a host's name in lower case, without the port; nothing useful for an IPv6 address."""
    return endpoint.partition(":")[0].lower()


def _check_entry(endpoint: str, allowed: EndpointRules) -> None:
    documented = _REGIONAL.fullmatch(endpoint) or _INSTANCE.fullmatch(endpoint)
    if not documented and not allowed.allow(endpoint):
        raise DefiniteError(
            f"kmsEndpoint {_shown(endpoint)} is not allowed: write kms.<region>.aliyuncs.com,"
            " kms-vpc.<region>.aliyuncs.com or <instance>.cryptoservice.kms.aliyuncs.com, bare"
            " and in lower case; any other host has to be allowed by the controller's flag"
            " --allow-kms-endpoint",
            code="EndpointNotAllowed",
        )


def _check_region(region: str) -> None:
    if region and not is_region(region):
        raise DefiniteError(
            f"{_shown(region)} is not the name of a region, such as cn-hangzhou",
            code="InvalidRegion",
        )


def _no_region(how: str) -> DefiniteError:
    return DefiniteError(
        f"the region is not known: {how} --region or ALIBABA_CLOUD_REGION_ID",
        code="RegionMissing",
    )


def _check_host(endpoint: str, kind: str) -> None:
    if not _HOST.fullmatch(endpoint):
        raise DefiniteError(
            f"{_shown(endpoint)} is not {kind} endpoint: expected host or host:port",
            code="InvalidEndpoint",
        )


def _shown(text: str) -> str:
    """Quote a string in ASCII, so that letters of other alphabets are visible as such."""
    quoted = ascii(text[:_MAX_SHOWN])[1:-1]
    return f'"{quoted}..."' if len(text) > _MAX_SHOWN else f'"{quoted}"'
