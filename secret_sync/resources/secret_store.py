"""SecretStore: how to authenticate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secret_sync.resources.meta import intent_revision, interned
from secret_sync.resources.status import StoreStatus

KIND: Final = "SecretStore"

#: Ways to authenticate that the schema knows and this version does not act on.
_METHODS_TO_COME: Final = (
    "ramRoleARN",
    "oidcProviderARN",
    "oidcTokenFilePath",
    "remoteRamRoleARN",
    "serviceAccountRef",
)


@dataclass(frozen=True, slots=True)
class AccessKeyRef:
    """A reference to one key of a Secret; fields are ``""`` where nothing is written."""

    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Auth:
    """The block ``KMSAuth``: each method is ``None`` where it is not written."""

    access_key: AccessKeyRef | None = None
    access_key_secret: AccessKeyRef | None = None


@dataclass(frozen=True, slots=True)
class SecretStore:
    """A SecretStore as the informer keeps it.

    Attributes:
        kms: ``spec.KMS.KMSAuth``, or ``None`` where it is absent.
        unsupported: Paths of fields that are set and that this version does not act on.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    revision: int
    deleting: bool
    kms: Auth | None
    unsupported: tuple[str, ...]
    status: StoreStatus

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SecretStore:
        """Reads a SecretStore as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        kms = spec.get("KMS") or {}
        auth = kms.get("KMSAuth")
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            kms=_auth(auth) if auth is not None else None,
            unsupported=_unsupported(kms, auth or {}, spec),
            status=StoreStatus.from_dict(value.get("status") or {}),
        )


def _auth(value: dict[str, Any]) -> Auth:
    return Auth(
        access_key=_reference(value.get("accessKey")),
        access_key_secret=_reference(value.get("accessKeySecret")),
    )


def _reference(value: dict[str, Any] | None) -> AccessKeyRef | None:
    if not value:
        return None
    return AccessKeyRef(
        namespace=interned(value.get("namespace")),
        name=interned(value.get("name")),
        key=interned(value.get("key")),
    )


def _unsupported(
    kms: dict[str, Any], auth: dict[str, Any], spec: dict[str, Any]
) -> tuple[str, ...]:
    """Fields whose silent neglect would authenticate as somebody else."""
    paths = [f"spec.KMS.KMSAuth.{field}" for field in _METHODS_TO_COME if auth.get(field)]
    if kms.get("dedicatedKMSAuth"):
        paths.append("spec.KMS.dedicatedKMSAuth")
    if spec.get("OOS"):
        paths.append("spec.OOS")
    return tuple(paths)
