"""Fetched values, and the batch that they make with what is written of them."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

from secret_sync.controller.external_secret.desired import digest_of
from secret_sync.controller.external_secret.expressions import extraction_spec_of
from secret_sync.controller.external_secret.extraction import collect_inputs
from secret_sync.controller.external_secret.planner import Plan, PlannedEntry
from secret_sync.credentials import CredentialKey
from secret_sync.resources import ExternalSecret
from secret_sync.sources import Source, SourceRequest, SourceSnapshot

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.extraction import ExtractionInput
    from secret_sync.credentials import CredentialProvider
    from secret_sync.errors import SecretSyncError


def an_es(**spec: Any) -> ExternalSecret:
    """An ExternalSecret ``ns/some``; keyword arguments are fields of its spec."""
    metadata = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "1"}
    return ExternalSecret.from_dict({"metadata": metadata, "spec": spec})


def plan_of(es: ExternalSecret) -> Plan:
    """A plan without mistakes, whose sources are called after the keys."""
    entries = []
    for entry in es.entries:
        identity = CredentialKey("AccessKey", ())
        source = Source(identity, "kms", "host", entry.key, "", entry.version_id)
        wanted = SourceRequest(source, cast("CredentialProvider", None))
        entries.append(PlannedEntry(entry, extraction_spec_of(entry), wanted, None))
    return Plan(tuple(entries), 120.0, digest=digest_of((e.entry, e.spec) for e in entries))


def reading(
    value: bytes, *, in_hand: bool = True, error: SecretSyncError | None = None
) -> SourceSnapshot:
    """What is known of a source that was read."""
    digest = blake2b(value, key=b"of the registry").digest()
    return SourceSnapshot(digest, value if in_hand else None, "v1", error, pending=False)


#: What is known of a source before its first answer.
UNREAD = SourceSnapshot(None, None, "", None, pending=True)


def batch_of(es: ExternalSecret, *values: bytes) -> ExtractionInput:
    """The values of the entries, all of them there, in their order."""
    inputs = collect_inputs(es, plan_of(es), [reading(value) for value in values])
    assert inputs is not None
    return inputs


def pick(key: str = "db", **paths: str) -> dict[str, Any]:
    """An entry of ``spec.data``; keyword arguments are an alias and its path."""
    return {
        "key": key,
        "jmesPath": [{"path": path, "objectAlias": alias} for alias, path in paths.items()],
    }


def extract(key: str = "db", *rules: tuple[str, str], **more: Any) -> dict[str, Any]:
    """An item of ``spec.dataProcess``."""
    renamed = [{"source": source, "target": target} for source, target in rules]
    return {"extract": {"key": key, **more}, "replaceRule": renamed}
