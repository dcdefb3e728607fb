"""From a SecretStore to the identity it stands for, chosen by what is written in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.controller.problem import Problem, why_missing
from secret_sync.credentials import AccessKeyProvider, SecretKeyRef
from secret_sync.resources import Reason
from secret_sync.resources.meta import object_key

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.credentials import Provider, SecretReader
    from secret_sync.resources import AccessKeyRef, SecretMeta, SecretStore


class IdentityResolver:
    """Finds what a store refers to; the answer changes with the objects, so it is not kept.

    Args:
        secrets: Metadata of all Secrets in scope.
        reader: Reads the one Secret that holds an AccessKey.
        cross_namespace: Whether a store may refer to Secrets of other namespaces.
    """

    def __init__(
        self,
        *,
        secrets: ReadOnlyStore[SecretMeta],
        reader: SecretReader,
        cross_namespace: bool,
    ) -> None:
        self._secrets = secrets
        self._reader = reader
        self._cross_namespace = cross_namespace

    def resolve(self, store: SecretStore) -> Provider | Problem:
        """The one identity the store asks for, or why there is none."""
        where = f"SecretStore {store.namespace}/{store.name}"
        if store.unsupported:
            return Problem(
                Reason.UNSUPPORTED,
                f"{where} sets {', '.join(store.unsupported)}, which this version does not "
                "act on yet; an AccessKey in spec.KMS.KMSAuth works",
            )
        auth = store.kms
        if auth is None or (auth.access_key is None and auth.access_key_secret is None):
            return Problem(
                Reason.UNSUPPORTED,
                f"{where} names no way to authenticate, which asks for the worker RAM role; "
                "this version needs accessKey and accessKeySecret in spec.KMS.KMSAuth",
            )
        if auth.access_key is None or auth.access_key_secret is None:
            missing = "accessKey" if auth.access_key is None else "accessKeySecret"
            return Problem(
                Reason.STORE_INVALID,
                f"{where} has half an AccessKey: spec.KMS.KMSAuth.{missing} is missing",
            )
        return self._access_key(store, auth.access_key, auth.access_key_secret)

    def _access_key(
        self, store: SecretStore, access_key: AccessKeyRef, secret: AccessKeyRef
    ) -> Provider | Problem:
        key_id = self._reference(store, "accessKey", access_key)
        if isinstance(key_id, Problem):
            return key_id
        key_secret = self._reference(store, "accessKeySecret", secret)
        if isinstance(key_secret, Problem):
            return key_secret
        return AccessKeyProvider(self._reader, key_id, key_secret)

    def _reference(
        self, store: SecretStore, field: str, ref: AccessKeyRef
    ) -> SecretKeyRef | Problem:
        where = f"SecretStore {store.namespace}/{store.name}: spec.KMS.KMSAuth.{field}"
        if not ref.name or not ref.key:
            unwritten = "name" if not ref.name else "key"
            return Problem(Reason.STORE_INVALID, f"{where}.{unwritten} is empty")
        namespace = ref.namespace or store.namespace
        if namespace != store.namespace and not self._cross_namespace:
            return Problem(
                Reason.REFERENCE_REFUSED,
                f"{where} refers to a Secret in namespace {namespace}; the controller's flag "
                "--enable-cross-namespace-auth-ref would allow that",
            )
        found = self._secrets.get(object_key(namespace, ref.name))
        if found is None:
            return Problem(
                Reason.ACCESS_KEY_NOT_FOUND,
                f"{where} refers to Secret {namespace}/{ref.name}, "
                f"{why_missing(namespace, store.namespace)}",
            )
        return SecretKeyRef(namespace, ref.name, ref.key, found.uid, found.resource_version)


def secrets_of(store: SecretStore) -> tuple[str, ...]:
    """Index function: keys of the Secrets a store refers to (S9)."""
    if store.kms is None:
        return ()
    refs = (store.kms.access_key, store.kms.access_key_secret)
    return tuple(
        {object_key(r.namespace or store.namespace, r.name) for r in refs if r is not None}
    )
