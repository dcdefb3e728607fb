"""The desired Secret: what it holds, and a digest that tells it from others."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secret_sync.controller.external_secret.extraction import ExtractedData, ExtractionInput
    from secret_sync.parse import ExtractionSpec
    from secret_sync.resources import DataEntry, ExternalSecret
    from secret_sync.resources.template import SecretTemplate
    from secret_sync.sources import Source

_DIGEST_BYTES: Final = 16


class Overwritten(NamedTuple):
    """A key of the Secret that two entries write; the later one wins."""

    key: str
    loser: str
    winner: str


class RenderedMetadata(NamedTuple):
    """Labels and annotations that a template has rendered."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def __repr__(self) -> str:
        """Show names, never values."""
        return f"RenderedMetadata({sorted(self.fields())})"

    def fields(self) -> dict[str, str]:
        """Return the values by ``labels/<name>`` and ``annotations/<name>``."""
        labels = {f"labels/{name}": value for name, value in self.labels.items()}
        return labels | {f"annotations/{name}": v for name, v in self.annotations.items()}


NO_METADATA: Final = RenderedMetadata({}, {})


class Clock(NamedTuple):
    """The time that a template was told.

    Attributes:
        now: Seconds since the epoch.
        provisional: Whether it is that of the last sync although nothing shows yet that all else is
            as it was then: the first rendering after a start.
    """

    now: int
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Desired:
    """The Secret to be.

    Attributes:
        fingerprint: Keyed digest of type, keys and values; equal ones need no write.
        keys: All keys of the Secret.
        data: The values, or ``None`` while they are not cached or not parsed.
        absent: The sources whose values are not in memory.
        overwritten: Keys that more than one entry writes; the later entry wins.
        metadata: Rendered labels and annotations; known if ``data`` is.
        named: What they are called: ``labels/<name>``, ``annotations/<name>``.
        clock: Of a template that asks for the time: what it was told, and whether that was asked.
    """

    fingerprint: bytes
    keys: frozenset[str]
    data: dict[str, bytes] | None
    absent: tuple[Source, ...]
    overwritten: tuple[Overwritten, ...]
    metadata: RenderedMetadata = NO_METADATA
    named: frozenset[str] = frozenset()
    clock: Clock | None = None

    @property
    def fields(self) -> frozenset[str]:
        """All that is written: keys, and what ``named`` has."""
        return self.keys | self.named if self.named else self.keys

    def __repr__(self) -> str:
        """Show keys, never values."""
        return f"Desired(keys={sorted(self.keys)})"


def build_plain(inputs: ExtractionInput) -> Desired:
    """Build the Secret from values that are written as they are."""
    digests: dict[str, bytes] = {}
    values: dict[str, bytes] = {}
    writers: dict[str, str] = {}
    overwritten = []
    for entry, _, digest, data in inputs.entries:
        name = entry.name
        if name in digests:
            overwritten.append(Overwritten(name, writers[name], entry.key))
        writers[name] = entry.key
        digests[name] = digest
        if data is not None:
            values[name] = data
    return Desired(
        # The digests are keyed already.
        fingerprint=joint_digest(_flat(inputs.shape, digests)),
        keys=frozenset(digests),
        data=None if inputs.absent else values,
        absent=inputs.absent,
        overwritten=tuple(overwritten),
    )


def build_extracted(inputs: ExtractionInput, extracted: ExtractedData, secret: bytes) -> Desired:
    """Build the Secret from extracted values.

    Args:
        inputs: The values and what to do with them.
        extracted: What was extracted.
        secret: Keys the digest of the values.
    """
    values = extracted.data
    digests = {
        key: blake2b(value, key=secret, digest_size=_DIGEST_BYTES).digest()
        for key, value in values.items()
    }
    rendered = extracted.metadata.fields() if inputs.template is not None else {}
    for field, text in rendered.items():
        digests[field] = blake2b(text.encode(), key=secret, digest_size=_DIGEST_BYTES).digest()
    return Desired(
        fingerprint=joint_digest(_flat(inputs.shape, digests)),
        keys=frozenset(values),
        data=values,
        absent=(),
        overwritten=extracted.overwritten,
        metadata=extracted.metadata,
        named=frozenset(rendered),
    )


def shape_of(es: ExternalSecret) -> bytes:
    """Return what makes a Secret another one beside its values."""
    target = es.target
    return f"{es.secret_type}/{target.merge}/{target.retain}/{target.immutable}".encode()


def _flat(shape: bytes, digests: dict[str, bytes]) -> list[bytes]:
    parts = [shape]
    for key in sorted(digests):
        parts += (key.encode(), digests[key])
    return parts


def digest_of(
    entries: Iterable[tuple[DataEntry, ExtractionSpec]], template: SecretTemplate | None = None
) -> bytes:
    """Return a digest of what entries are called and what is made of their values."""
    parts = [part for e, spec in entries for part in (e.key.encode(), repr(spec).encode())]
    if template is not None:
        parts.append(repr(template).encode(errors="surrogatepass"))
    return joint_digest(parts)


def joint_digest(parts: Iterable[bytes]) -> bytes:
    """Return a digest of parts in their order."""
    # Lengths keep neighbouring parts apart.
    whole = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        whole.update(struct.pack(">I", len(part)))
        whole.update(part)
    return whole.digest()
