"""What is asked of a provider, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

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


def shown(name: str) -> str:
    """Return a name as it can stand in a message, whatever it is made of."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= _MAX_SHOWN else f"{printable[:_MAX_SHOWN]}..."
