"""Kubernetes, by hand: client, reflector, store, informer, apply writer.

Nothing here knows the kinds of this project, nor Alibaba Cloud.
"""

from secret_sync.kube.access import ClusterAccess
from secret_sync.kube.answers import Answer, converted
from secret_sync.kube.apply import ApplyWriter
from secret_sync.kube.client import KubeClient, WriteGuard
from secret_sync.kube.errors import (
    ApiConflictError,
    ApiError,
    ApiExpiredError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
)
from secret_sync.kube.events import About, EventObserver, EventRecorder, EventType
from secret_sync.kube.informer import ALL_NAMESPACES, Change, Informer, WatchedNamespaces
from secret_sync.kube.lease import (
    Election,
    LeaseLostError,
    LeaseObserver,
    LeaseTimes,
    new_identity,
)
from secret_sync.kube.managed_fields import data_keys, owned_fields, string_data_keys, without_keys
from secret_sync.kube.namespace import current_namespace
from secret_sync.kube.observe import ReflectorObserver, RequestObserver
from secret_sync.kube.preflight import Preflight, RequiredPermission, retry_until_available
from secret_sync.kube.reflector import Reflector
from secret_sync.kube.refs import ConfirmedOwner, Ref
from secret_sync.kube.resource import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    LEASES,
    METADATA,
    METADATA_LIST,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from secret_sync.kube.secrets import SingleSecretReader
from secret_sync.kube.store import Store, key_of
from secret_sync.kube.tokens import ServiceAccountTokenMinter, read_token_user
from secret_sync.kube.write_errors import (
    AlreadyExistsError,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
)

__all__ = [
    "ALL_NAMESPACES",
    "CONFIG_MAPS",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "EVENTS",
    "LEASES",
    "METADATA",
    "METADATA_LIST",
    "NAMESPACES",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "About",
    "AlreadyExistsError",
    "Answer",
    "ApiConflictError",
    "ApiError",
    "ApiExpiredError",
    "ApiNotFoundError",
    "ApiRefusedError",
    "ApiUnavailableError",
    "ApplyWriter",
    "Change",
    "ClusterAccess",
    "ConfirmedOwner",
    "Election",
    "EventObserver",
    "EventRecorder",
    "EventType",
    "ImmutableError",
    "Informer",
    "KubeClient",
    "LeaseLostError",
    "LeaseObserver",
    "LeaseTimes",
    "OutdatedError",
    "OwnedByOthersError",
    "Preflight",
    "Ref",
    "Reflector",
    "ReflectorObserver",
    "RequestObserver",
    "RequiredPermission",
    "Resource",
    "ServiceAccountTokenMinter",
    "SingleSecretReader",
    "Store",
    "WatchedNamespaces",
    "WriteGuard",
    "converted",
    "current_namespace",
    "data_keys",
    "key_of",
    "new_identity",
    "owned_fields",
    "read_token_user",
    "retry_until_available",
    "string_data_keys",
    "without_keys",
]
