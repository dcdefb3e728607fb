"""Requests to a provider, and the values that it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from secret_sync.errors import DefiniteError, TransientError

_MAX_SHOWN = 256


class SecretRequest(Protocol):
    """A value to fetch; a source is one.

    Attributes:
        endpoint: ``host`` or ``host:port``.
        name: The KMS secret's name or ARN, or the OOS parameter's name.
        version_id: The version, ``""`` if none is set.
        version_stage: The stage, ``""`` if none is set; KMS then uses ACSCurrent. OOS has no stages
            and ignores it.
        region: The region of the endpoint, ``""`` if unknown. KMS needs it only for a dedicated
            gateway, whose certificate is from the private CA of its region.
    """

    @property
    def endpoint(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def version_id(self) -> str: ...

    @property
    def version_stage(self) -> str: ...

    @property
    def region(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value as the service has it.

    Attributes:
        data: The text in UTF-8, or the decoded bytes of a binary secret; never empty.
        version_id: The version that was returned.
        rotated: When the service rotated it last, in its own form; ``""`` if it does not say.
    """

    data: bytes = field(repr=False)
    version_id: str
    rotated: str = ""


def check_version(value: SecretValue, request: SecretRequest, what: str, hint: str = "") -> None:
    """Check that a value has the requested version, if one was requested.

    Raises:
        TransientError: The response has no version.
        DefiniteError: ``VersionMismatch``: it has another version.
    """
    wanted, found = request.version_id, value.version_id
    if wanted in ("", found):
        return
    if not found:
        raise TransientError(f"{what}: the answer does not say which version it holds")
    raise DefiniteError(
        f'{what}: version "{shown(wanted)}" was asked for, and the answer holds version '
        f'"{shown(found)}"{hint}',
        code="VersionMismatch",
    )


def shown(name: str) -> str:
    """Return a name for a message, without control characters."""
    printable = name
    if not name.isprintable():
        printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= _MAX_SHOWN else f"{printable[:_MAX_SHOWN]}..."
