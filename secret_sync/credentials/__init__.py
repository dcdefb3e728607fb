"""Who calls Alibaba Cloud: one module per method, and the cache that they all share."""

from secret_sync.credentials.access_key import AccessKeyProvider, SecretKeyRef, SecretReader
from secret_sync.credentials.cache import CredentialCache, Failure
from secret_sync.credentials.types import CredentialKey, Credentials, Provider

__all__ = [
    "AccessKeyProvider",
    "CredentialCache",
    "CredentialKey",
    "Credentials",
    "Failure",
    "Provider",
    "SecretKeyRef",
    "SecretReader",
]
