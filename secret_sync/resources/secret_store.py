"""SecretStore and ClusterSecretStore: how to authenticate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from secret_sync.resources.meta import CustomObject, allowance, intent_revision, interned, text
from secret_sync.resources.names import FORCE_SYNC_ANNOTATION, LEGACY_FINALIZER
from secret_sync.resources.namespace_rule import NamespaceRule
from secret_sync.resources.status import StoreStatus

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

KIND: Final = "SecretStore"
CLUSTER_KIND: Final = "ClusterSecretStore"

#: What an identity is for; named as the providers.
Service: TypeAlias = Literal["kms", "oos"]
#: Where a store configures each service.
BLOCKS: Final[dict[Service, tuple[str, str, str]]] = {
    "kms": ("spec", "KMS", "KMSAuth"),
    "oos": ("spec", "OOS", "OOSAuth"),
}


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
        auths: The block of each service that is named; of all, empty, where ``spec`` names none.
        dedicated: Whether the client key of an old dedicated gateway is written.
        allows: Its annotation ``allow-namespaces``, or ``""``.
        rules: ``spec.conditions`` of a ClusterSecretStore; none lets every namespace use it.
    """

    auths: Mapping[Service, Auth]
    dedicated: bool
    allows: str
    rules: tuple[NamespaceRule, ...]

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SecretStore:
        """Read a SecretStore or ClusterSecretStore as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        written = {service: spec.get(block) for service, (_, block, _) in BLOCKS.items()}
        none = all(block is None for block in written.values())
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            auths={
                service: _auth((block or {}).get(BLOCKS[service][-1]))
                for service, block in written.items()
                if block is not None or none
            },
            dedicated=bool((written["kms"] or {}).get("dedicatedKMSAuth")),
            allows=allowance(metadata),
            rules=tuple(NamespaceRule.from_dict(rule) for rule in spec.get("conditions") or ()),
            legacy=LEGACY_FINALIZER in (metadata.get("finalizers") or ()),
            force_sync=text((metadata.get("annotations") or {}).get(FORCE_SYNC_ANNOTATION)),
            status=StoreStatus.from_dict(value.get("status") or {}),
        )

    @property
    def intent(self) -> Hashable:
        """All that its author has written in ``spec``."""
        return tuple(self.auths.items()), self.dedicated, self.rules

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
