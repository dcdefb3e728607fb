"""SecretStore and ClusterSecretStore: how to authenticate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.meta import CustomObject, allowance, intent_revision, interned, text
from secret_sync.resources.names import FORCE_SYNC_ANNOTATION, LEGACY_FINALIZER
from secret_sync.resources.namespace_rule import NamespaceRule
from secret_sync.resources.status import StoreStatus

if TYPE_CHECKING:
    from collections.abc import Hashable

KIND: Final = "SecretStore"
CLUSTER_KIND: Final = "ClusterSecretStore"


@dataclass(frozen=True, slots=True)
class AccessKeyRef:
    """A reference to one key of a Secret; fields are ``""`` where nothing is written."""

    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class ServiceAccountRef:
    """A reference to a ServiceAccount; ``audiences`` is empty where none is written."""

    namespace: str
    name: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Auth:
    """The block ``KMSAuth`` or ``OOSAuth``; ``None`` and ``""`` are what is not written."""

    access_key: AccessKeyRef | None = None
    access_key_secret: AccessKeyRef | None = None
    service_account: ServiceAccountRef | None = None
    role_arn: str = ""
    session_name: str = ""
    session_expiration: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = ""
    remote_role_arn: str = ""
    remote_session_name: str = ""


@dataclass(frozen=True, slots=True)
class SecretStore(CustomObject[StoreStatus]):
    """A store of either kind, as the informer keeps it.

    Attributes:
        namespace: ``""`` for a ClusterSecretStore.
        kms: ``spec.KMS.KMSAuth``; an empty one where ``spec`` names no service at all, ``None``
            where it names only the other.
        oos: ``spec.OOS.OOSAuth``, likewise.
        dedicated: Whether the client key of an old dedicated gateway is written.
        allows: Its annotation ``allow-namespaces``, or ``""``.
        rules: ``spec.conditions`` of a ClusterSecretStore; none lets every namespace use it.
    """

    kms: Auth | None
    oos: Auth | None
    dedicated: bool
    allows: str
    rules: tuple[NamespaceRule, ...]

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SecretStore:
        """Read a SecretStore or ClusterSecretStore as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        kms, oos = spec.get("KMS"), spec.get("OOS")
        neither = kms is None and oos is None
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            kms=_auth((kms or {}).get("KMSAuth")) if kms is not None or neither else None,
            oos=_auth((oos or {}).get("OOSAuth")) if oos is not None or neither else None,
            dedicated=bool((kms or {}).get("dedicatedKMSAuth")),
            allows=allowance(metadata),
            rules=tuple(NamespaceRule.from_dict(rule) for rule in spec.get("conditions") or ()),
            legacy=LEGACY_FINALIZER in (metadata.get("finalizers") or ()),
            force_sync=text((metadata.get("annotations") or {}).get(FORCE_SYNC_ANNOTATION)),
            status=StoreStatus.from_dict(value.get("status") or {}),
        )

    @property
    def intent(self) -> Hashable:
        """All that its author has written in ``spec``."""
        return self.kms, self.oos, self.dedicated, self.rules

    @property
    def kind(self) -> str:
        """``SecretStore`` or ``ClusterSecretStore``."""
        return KIND if self.namespace else CLUSTER_KIND

    @property
    def title(self) -> str:
        """What a message calls it."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"


def _auth(value: dict[str, Any] | None) -> Auth:
    written = value or {}
    return Auth(
        access_key=_reference(written.get("accessKey")),
        access_key_secret=_reference(written.get("accessKeySecret")),
        service_account=_service_account(written.get("serviceAccountRef")),
        role_arn=interned(written.get("ramRoleARN")),
        session_name=interned(written.get("ramRoleSessionName")),
        session_expiration=text(written.get("roleSessionExpiration")),
        oidc_provider_arn=interned(written.get("oidcProviderARN")),
        oidc_token_file=interned(written.get("oidcTokenFilePath")),
        remote_role_arn=interned(written.get("remoteRamRoleARN")),
        remote_session_name=interned(written.get("remoteRamRoleSessionName")),
    )


def _reference(value: dict[str, Any] | None) -> AccessKeyRef | None:
    # An empty one is written, too: half a method, not none.
    if value is None:
        return None
    return AccessKeyRef(
        namespace=interned(value.get("namespace")),
        name=interned(value.get("name")),
        key=interned(value.get("key")),
    )


def _service_account(value: dict[str, Any] | None) -> ServiceAccountRef | None:
    if value is None:
        return None
    return ServiceAccountRef(
        namespace=interned(value.get("namespace")),
        name=interned(value.get("name")),
        audiences=tuple(interned(audience) for audience in value.get("audiences") or ()),
    )
