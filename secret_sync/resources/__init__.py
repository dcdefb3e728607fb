"""The kinds of this project as frozen, slotted dataclasses, read from and written to dicts.

Pure data: nothing here does I/O. Converters never raise on an object that the API server let
through; what cannot work is kept as written, for the controller to name in a condition.
"""

from secret_sync.resources.conditions import Reason
from secret_sync.resources.external_secret import DataEntry, ExternalSecret, StoreRef
from secret_sync.resources.namespace_rule import NamespaceRule
from secret_sync.resources.secret import (
    ForeignSecret,
    ManagedSecret,
    SecretMeta,
    secret_from_metadata,
)
from secret_sync.resources.secret_store import (
    AccessKeyRef,
    Auth,
    SecretStore,
    ServiceAccountRef,
)
from secret_sync.resources.status import (
    ClusterExternalSecretStatus,
    Condition,
    DataSyncResult,
    ExternalSecretStatus,
    StoreStatus,
)
from secret_sync.resources.surroundings import (
    ConfigMap,
    Definition,
    Namespace,
    ServiceAccount,
)

__all__ = [
    "AccessKeyRef",
    "Auth",
    "ClusterExternalSecretStatus",
    "Condition",
    "ConfigMap",
    "DataEntry",
    "DataSyncResult",
    "Definition",
    "ExternalSecret",
    "ExternalSecretStatus",
    "ForeignSecret",
    "ManagedSecret",
    "Namespace",
    "NamespaceRule",
    "Reason",
    "SecretMeta",
    "SecretStore",
    "ServiceAccount",
    "ServiceAccountRef",
    "StoreRef",
    "StoreStatus",
    "secret_from_metadata",
]
