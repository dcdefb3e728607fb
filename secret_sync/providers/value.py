"""What is asked of a provider, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from secret_sync.errors import DefiniteError, TransientError

_MAX_SHOWN = 256


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """Which value to fetch from where.

    Attributes:
        endpoint: ``host`` or ``host:port``.
        name: The KMS secret's name or ARN, or the OOS parameter's name.
        version_id: The version, ``""`` if none was written.
        version_stage: The stage, ``""`` if none was written; KMS then takes ACSCurrent. OOS has
            no stages and pays no heed to it.
        region: Where the endpoint is, ``""`` if that is not known. KMS needs it of a dedicated
            gateway only, for whose certificate the private CA of its region vouches.
    """

    endpoint: str
    name: str
    version_id: str = ""
    version_stage: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value as the service holds it.

    Attributes:
        data: The text in UTF-8, or the decoded bytes of a binary secret; never empty.
        version_id: The version that was returned.
    """

    data: bytes = field(repr=False)
    version_id: str


def check_version(value: SecretValue, request: SecretRequest, what: str, hint: str = "") -> None:
    """Check that a value is of the version that was asked for, if one was.

    Raises:
        TransientError: The answer does not say of which version it is.
        DefiniteError: ``VersionMismatch``: it is of another one.
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
    """Return a name as it can stand in a message, whatever it is made of."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= _MAX_SHOWN else f"{printable[:_MAX_SHOWN]}..."
