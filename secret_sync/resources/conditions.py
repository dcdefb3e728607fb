"""The types of our conditions, and the documented reasons that they can carry."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

READY: Final = "Ready"
#: Of an ExternalSecret that restarts workloads; says nothing of its Secret.
RESTARTED: Final = "Restarted"
#: Of a ClusterExternalSecret, whose ``Ready`` is about creating its ExternalSecrets.
CHILDREN_READY: Final = "ExternalSecretsReady"
#: Beside a ``Ready`` that stays False until somebody changes something; kstatus gives up on it.
STALLED: Final = "Stalled"


class Reason(StrEnum):
    """One word for a machine; the condition's message says what to do about it."""

    SYNCED = "Synced"
    """The Secret holds what the ExternalSecret asks for."""
    READY = "Ready"
    """A store whose references resolve and whose credentials were obtained."""
    PENDING = "Pending"
    """Waiting for a first answer from Alibaba Cloud."""

    UNSUPPORTED = "Unsupported"
    """A field that this version does not act on; nothing was fetched or written."""
    UNKNOWN_PROVIDER = "UnknownProvider"
    """``spec.provider`` is neither ``kms`` nor ``oos``."""
    INVALID_SPEC = "InvalidSpec"
    """A field has a value that can never work."""
    NO_DATA = "NoData"
    """Nothing to write: no entries, or no keys in them."""
    INVALID_KEY = "InvalidKey"
    """A key that no Secret may have."""
    TOO_LARGE = "TooLarge"
    """The values exceed what a Secret can hold, or a document what is read."""
    INVALID_JMES_PATH = "InvalidJMESPath"
    """An invalid ``jmesPath``."""
    INVALID_REGEX = "InvalidRegex"
    """A ``replaceRule`` whose ``source`` is no regular expression, as RE2 has them."""
    NOT_A_DOCUMENT = "NotADocument"
    """Something is to be picked from a value that is neither JSON nor YAML, or no mapping."""
    DUPLICATE_KEY = "DuplicateKey"
    """The document has a key twice."""
    PATH_NOT_FOUND = "PathNotFound"
    """A ``jmesPath`` finds nothing in the document."""
    KEY_COLLISION = "KeyCollision"
    """The rules give two keys of a document one name."""
    TOO_COSTLY = "TooCostly"
    """The document or the path would take more work than one object may cause."""
    TEMPLATE_INVALID = "TemplateInvalid"
    """A template cannot be parsed, or calls a function that is unknown or refused."""
    TEMPLATE_FAILED = "TemplateFailed"
    """A template cannot be rendered from the present values."""
    TEMPLATE_SOURCE_NOT_FOUND = "TemplateSourceNotFound"
    """A ConfigMap or Secret that holds a template does not exist, or lacks the key."""
    TEMPLATE_SOURCE_FORBIDDEN = "TemplateSourceForbidden"
    """The controller may not read templates from there."""
    ENDPOINT_NOT_ALLOWED = "EndpointNotAllowed"
    """``kmsEndpoint`` is not one of the hosts that objects may name."""
    CRD_OUTDATED = "CRDOutdated"
    """The installed CRDs lack fields of ours, so objects may have lost what was written there."""

    STORE_NOT_FOUND = "StoreNotFound"
    """The referenced SecretStore or ClusterSecretStore does not exist."""
    STORE_INVALID = "StoreInvalid"
    """The referenced store says too little, or contradicts itself."""
    STORE_REFUSED = "StoreRefused"
    """The ``conditions`` of the ClusterSecretStore leave this namespace out."""
    CONDITIONS_INVALID = "ConditionsInvalid"
    """One of the ``conditions`` of the ClusterSecretStore cannot be read, so it matches nothing."""
    REFERENCE_REFUSED = "ReferenceRefused"
    """A reference into another namespace without permission."""
    IDENTITY_REFUSED = "IdentityRefused"
    """This namespace may not use the controller's own identity, or not for that role."""
    IDENTITY_INVALID = "IdentityInvalid"
    """The environment of the controller names half an identity."""

    ACCESS_KEY_NOT_FOUND = "AccessKeyNotFound"
    """The Secret with the AccessKey does not exist or may not be read."""
    ACCESS_KEY_KEY_MISSING = "AccessKeyKeyMissing"
    """The Secret with the AccessKey has no such key."""
    ACCESS_KEY_INVALID = "AccessKeyInvalid"
    """The AccessKey cannot be read as one, or Alibaba Cloud does not know it."""
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound"
    """The ServiceAccount does not exist."""
    TOKEN_FORBIDDEN = "TokenForbidden"  # noqa: S105 (a reason, not a password)
    """The controller may not create tokens of ServiceAccounts."""
    TOKEN_FILE_REFUSED = "TokenFileRefused"  # noqa: S105 (a reason, not a password)
    """``oidcTokenFilePath`` names another file than the controller's own token."""
    TOKEN_FILE_UNREADABLE = "TokenFileUnreadable"  # noqa: S105 (a reason, not a password)
    """The controller's own token is not mounted where it is expected."""
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105 (a reason, not a password)
    """STS finds the OIDC token expired."""
    TOKEN_INVALID = "TokenInvalid"  # noqa: S105 (a reason, not a password)
    """STS cannot verify the OIDC token."""
    AUDIENCE_MISMATCH = "AudienceMismatch"
    """The identity provider does not accept the audience of the OIDC token."""
    OIDC_PROVIDER_MISSING = "OIDCProviderMissing"
    """Nothing says which OIDC identity provider knows the cluster."""
    OIDC_PROVIDER_NOT_FOUND = "OIDCProviderNotFound"
    """The OIDC identity provider does not exist."""
    ROLE_MISSING = "RoleMissing"
    """The ServiceAccount names no RAM role, and neither does the store."""
    ROLE_NOT_FOUND = "RoleNotFound"
    """The RAM role does not exist."""
    ROLE_NOT_TRUSTED = "RoleNotTrusted"
    """The RAM role does not trust this identity, or this identity may not assume it."""
    SESSION_NAME_INVALID = "SessionNameInvalid"
    """A session name that STS does not take."""
    SESSION_EXPIRATION_INVALID = "SessionExpirationInvalid"
    """A session that is shorter or longer than STS allows."""
    SESSION_EXPIRED = "SessionExpired"
    """Alibaba Cloud does not accept the temporary credentials, not even new ones."""
    WORKER_ROLE_DISABLED = "WorkerRoleDisabled"
    """The operator does not let the worker RAM role be used."""
    WORKER_ROLE_MISSING = "WorkerRoleMissing"
    """The node has no RAM role."""
    WORKER_ROLE_UNAVAILABLE = "WorkerRoleUnavailable"
    """The metadata service of the node does not answer."""
    REGION_MISSING = "RegionMissing"
    """No region is known, so no endpoint can be chosen."""

    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 (a reason, not a password)
    """KMS knows no such secret or version."""
    FORBIDDEN = "Forbidden"
    """RAM or KMS does not allow this identity to read the secret."""
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105 (a reason, not a password)
    """The secret or its key is disabled or about to be deleted."""
    CLOCK_SKEW = "ClockSkew"
    """The clock of this machine is too far from Alibaba Cloud's."""
    THROTTLED = "Throttled"
    """Alibaba Cloud limits the rate of calls."""
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    """Alibaba Cloud does not answer, or answers with a fault of its own."""
    VALUE_UNUSABLE = "ValueUnusable"
    """What was fetched is empty, or is not what it says it is."""
    VERSION_MISMATCH = "VersionMismatch"
    """Another version came than the one that the entry pins; it was not written."""
    PRIVATE_CA_UNKNOWN = "PrivateCAUnknown"
    """Nothing is known by which to trust the dedicated gateway of that region."""
    REQUEST_REFUSED = "RequestRefused"
    """Alibaba Cloud refused the call for a reason not listed here; the message has its code."""

    SECRET_CONFLICT = "SecretConflict"  # noqa: S105 (a reason, not a password)
    """A Secret of that name exists and is not ours; it was not touched."""
    KEY_CONFLICT = "KeyConflict"
    """With ``Merge``: others own a key with another value; it was not touched."""
    TARGET_MISSING = "TargetMissing"
    """With ``Merge``: the Secret to write into does not exist."""
    WRITE_CONFLICT = "WriteConflict"
    """Another writer keeps reverting our writes; stop writing for a while."""
    WRITE_FORBIDDEN = "WriteForbidden"
    """The API server does not let the controller write the Secret."""
    WRITE_FAILED = "WriteFailed"
    """The API server refused the Secret, or could not be reached."""
    NOT_WRITTEN = "NotWritten"
    """This entry was fetched, but another one failed, so the Secret was left as it was."""

    RESTARTED = "Restarted"
    """The workloads restarted for the data that the Secret has."""
    RESTART_DELAYED = "RestartDelayed"
    """The data changes again and again, so the next restart waits."""
    RESTART_INVALID = "RestartInvalid"
    """What is to restart cannot be read; nothing restarts."""
    RESTART_FORBIDDEN = "RestartForbidden"
    """The controller may not restart the workload."""
    RESTART_FAILED = "RestartFailed"
    """The API server refused the restart of a workload, or the key for digests is missing."""
    WORKLOAD_NOT_FOUND = "WorkloadNotFound"
    """A workload to restart does not exist."""

    PROVISIONED = "Provisioned"
    """Each matching namespace has the ExternalSecret of the ClusterExternalSecret."""
    NAMESPACES_FAILED = "NamespacesFailed"
    """Some matching namespaces do not have it; the message names the first ones."""
    NO_NAMESPACE_MATCHES = "NoNamespaceMatches"
    """A ClusterExternalSecret selects no namespace."""
    CHILDREN_READY = "ExternalSecretsReady"
    """All ExternalSecrets of a ClusterExternalSecret are Ready."""
    CHILDREN_NOT_READY = "ExternalSecretsNotReady"
    """Some of them are not; the message has their number and names the first ones."""


#: Not `Stalled`: what is in order, what time may heal, and what may lack only because an apply has
#: not come to it. Flux gives up at once on what is stalled.
_NOT_STALLED: Final = frozenset(
    {
        *(Reason.SYNCED, Reason.READY, Reason.PENDING, Reason.PROVISIONED, Reason.NOT_WRITTEN),
        *(Reason.CHILDREN_READY, Reason.CHILDREN_NOT_READY),
        *(Reason.THROTTLED, Reason.PROVIDER_UNAVAILABLE, Reason.CLOCK_SKEW, Reason.WRITE_FAILED),
        *(Reason.TOKEN_EXPIRED, Reason.SESSION_EXPIRED, Reason.WORKER_ROLE_UNAVAILABLE),
        *(Reason.STORE_NOT_FOUND, Reason.SERVICE_ACCOUNT_NOT_FOUND, Reason.TARGET_MISSING),
        *(Reason.ACCESS_KEY_NOT_FOUND, Reason.ACCESS_KEY_KEY_MISSING),
        *(Reason.TEMPLATE_SOURCE_NOT_FOUND, Reason.CRD_OUTDATED, Reason.REGION_MISSING),
        *(Reason.NAMESPACES_FAILED, Reason.NO_NAMESPACE_MATCHES),
        # The condition Restarted has them, never Ready.
        *(Reason.RESTARTED, Reason.RESTART_DELAYED, Reason.RESTART_INVALID),
        *(Reason.RESTART_FORBIDDEN, Reason.RESTART_FAILED, Reason.WORKLOAD_NOT_FOUND),
    }
)
#: The reasons of the condition ``Stalled``.
STALLED_REASONS: Final = frozenset(Reason) - _NOT_STALLED
