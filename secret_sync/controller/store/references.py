"""Who may refer to what: an object of another namespace has to agree, or the operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from secret_sync.controller.problem import Problem, why_missing
from secret_sync.credentials import SecretKeyRef
from secret_sync.resources import Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import (
        AccessKeyRef,
        SecretMeta,
        SecretStore,
        ServiceAccount,
        ServiceAccountRef,
    )
    from secret_sync.resources.meta import FieldPath

EVERYBODY = "*"


def agrees(allows: str, namespace: str) -> bool:
    """Return whether an object lets a namespace refer to it.

    Args:
        allows: Its annotation ``allow-namespaces``: names by comma, ``*`` for all.
        namespace: Of who refers to it.
    """
    named = {name.strip() for name in allows.split(",")}
    return EVERYBODY in named or namespace in named


def refusal(what: str, flag: str, field: FieldPath = ()) -> Problem:
    """Return the problem of a reference that is not allowed."""
    return Problem(
        Reason.REFERENCE_REFUSED,
        f"{what} in another namespace; the annotation {ALLOW_NAMESPACES_ANNOTATION} on it would "
        f"allow that, and so would the controller's flag {flag}",
        field,
    )


@dataclass(frozen=True, slots=True)
class AuthReferences:
    """Finds the Secrets and ServiceAccounts that stores refer to.

    Attributes:
        secrets: Metadata of all Secrets in scope.
        service_accounts: All ServiceAccounts in scope.
        cross_namespace: Whether stores may refer to any of them.
    """

    secrets: ReadOnlyStore[SecretMeta]
    service_accounts: ReadOnlyStore[ServiceAccount]
    cross_namespace: bool

    def secret_key(
        self, store: SecretStore, field: FieldPath, ref: AccessKeyRef
    ) -> SecretKeyRef | Problem:
        """Return the Secret that holds one half of an AccessKey.

        Args:
            store: Who refers to it.
            field: The path of the reference.
            ref: The reference, with a name and a key.
        """
        namespace = ref.namespace or store.namespace
        if not namespace:
            return _homeless(store, field)
        what = f"{_where(store, field)} refers to Secret {namespace}/{ref.name}"
        found = self.secrets.get(object_key(namespace, ref.name))
        refused = self._refused(store, field, namespace, found, what)
        if refused is not None:
            return refused
        if found is None:
            missing = why_missing(namespace, store.namespace)
            return Problem(Reason.ACCESS_KEY_NOT_FOUND, f"{what}, {missing}", field)
        return SecretKeyRef(namespace, ref.name, ref.key, found.uid, found.resource_version)

    def service_account(
        self, store: SecretStore, field: FieldPath, ref: ServiceAccountRef
    ) -> ServiceAccount | Problem:
        """Return the ServiceAccount that a store acts as."""
        namespace, name = ref.namespace or store.namespace, ref.name
        if not namespace:
            return _homeless(store, field)
        what = f"{_where(store, field)} refers to ServiceAccount {namespace}/{name}"
        found = self.service_accounts.get(object_key(namespace, name))
        refused = self._refused(store, field, namespace, found, what)
        if refused is not None:
            return refused
        if found is None:
            missing = why_missing(namespace, store.namespace)
            return Problem(Reason.SERVICE_ACCOUNT_NOT_FOUND, f"{what}, {missing}", field)
        return found

    def _refused(
        self,
        store: SecretStore,
        field: FieldPath,
        namespace: str,
        found: SecretMeta | ServiceAccount | None,
        what: str,
    ) -> Problem | None:
        # A ClusterSecretStore is written by who administers the cluster.
        if namespace == store.namespace or not store.namespace or self.cross_namespace:
            return None
        if found is not None and agrees(found.allows, store.namespace):
            return None
        # The same words whether it exists or not: who may not refer to it need not know.
        return refusal(what, "--enable-cross-namespace-auth-ref", field)


def _where(store: SecretStore, field: FieldPath) -> str:
    return f"{store.title}: {'.'.join(map(str, field))}"


def _homeless(store: SecretStore, field: FieldPath) -> Problem:
    return Problem(
        Reason.STORE_INVALID,
        f"{_where(store, field)}.namespace is empty, and a ClusterSecretStore has no namespace of "
        "its own",
        field,
    )


def secrets_of(store: SecretStore) -> tuple[str, ...]:
    """Index a store by the keys of the Secrets that it refers to."""
    refs = [
        ref
        for auth in (store.kms, store.oos)
        if auth is not None
        for ref in (auth.access_key, auth.access_key_secret)
        if ref is not None
    ]
    return tuple({object_key(r.namespace or store.namespace, r.name) for r in refs})


def service_accounts_of(store: SecretStore) -> tuple[str, ...]:
    """Index a store by the keys of the ServiceAccounts that it refers to."""
    refs = [
        auth.service_account
        for auth in (store.kms, store.oos)
        if auth is not None and auth.service_account is not None
    ]
    return tuple({object_key(r.namespace or store.namespace, r.name) for r in refs})
