"""Credentials for Alibaba Cloud: one module per method, and the cache that they share."""

from secret_sync.credentials.access_key import AccessKeyProvider, SecretKeyRef, SecretReader
from secret_sync.credentials.assumed import AssumedRoleProvider, OidcRoleProvider
from secret_sync.credentials.cache import CredentialCache, CredentialObserver, Failure
from secret_sync.credentials.chain import base_of, roles_of
from secret_sync.credentials.environment import EnvironmentKeyProvider
from secret_sync.credentials.roles import (
    SESSION_NAME,
    Role,
    account_of,
    check_session_name,
    is_provider_arn,
    is_role_arn,
    read_duration,
)
from secret_sync.credentials.sts import Sts
from secret_sync.credentials.tokens import (
    ServiceAccountToken,
    TokenFile,
    TokenMinter,
    TokenSource,
)
from secret_sync.credentials.types import METHODS, CredentialKey, CredentialProvider, Credentials
from secret_sync.credentials.worker_role import WorkerRoleProvider

__all__ = [
    "METHODS",
    "SESSION_NAME",
    "AccessKeyProvider",
    "AssumedRoleProvider",
    "CredentialCache",
    "CredentialKey",
    "CredentialObserver",
    "CredentialProvider",
    "Credentials",
    "EnvironmentKeyProvider",
    "Failure",
    "OidcRoleProvider",
    "Role",
    "SecretKeyRef",
    "SecretReader",
    "ServiceAccountToken",
    "Sts",
    "TokenFile",
    "TokenMinter",
    "TokenSource",
    "WorkerRoleProvider",
    "account_of",
    "base_of",
    "check_session_name",
    "is_provider_arn",
    "is_role_arn",
    "read_duration",
    "roles_of",
]
