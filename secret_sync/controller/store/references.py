"""Who may refer to what, and which namespaces may use a ClusterSecretStore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from secret_sync.controller.namespace_rules import matches_regex, rules_mistake
from secret_sync.controller.sync import Problem, why_missing
from secret_sync.credentials import SecretKeyRef
from secret_sync.resources import Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION
from secret_sync.resources.secret_store import CLUSTER_KIND, KIND

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import (
        AccessKeyRef,
        Auth,
        Namespace,
        NamespaceRule,
        SecretMeta,
        SecretStore,
        ServiceAccount,
        ServiceAccountRef,
        StoreRef,
    )
    from secret_sync.resources.meta import FieldPath, InvalidField

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

    def referenced(
        self, store: SecretStore, auth: Auth
    ) -> tuple[SecretMeta | ServiceAccount | None, ...]:
        """Return all that a store refers to, as it is now; ``None`` for what is not there."""
        home, account = store.namespace, auth.service_account
        found: list[SecretMeta | ServiceAccount | None] = [
            self.secrets.get(object_key(ref.namespace or home, ref.name))
            for ref in (auth.access_key, auth.access_key_secret)
            if ref is not None
        ]
        if account is not None:
            key = object_key(account.namespace or home, account.name)
            found.append(self.service_accounts.get(key))
        return tuple(found)

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


@dataclass(frozen=True, slots=True)
class StoreReferences:
    """Finds the stores that ExternalSecrets refer to.

    Attributes:
        stores: All SecretStores in scope.
        cluster_stores: All ClusterSecretStores.
        admission: Which namespaces may use those.
        cross_namespace: Whether an ExternalSecret may use stores of any other namespace.
        no_cluster_stores: Why ClusterSecretStores are not known; ``""`` if they are watched.
    """

    stores: ReadOnlyStore[SecretStore]
    cluster_stores: ReadOnlyStore[SecretStore]
    admission: Admission
    cross_namespace: bool
    no_cluster_stores: str = ""

    def get(self, home: str, ref: StoreRef) -> SecretStore | None:
        """Return the store of either kind that an object of a namespace refers to."""
        if ref.kind == CLUSTER_KIND:
            return self.cluster_stores.get(ref.name)
        return self.stores.get(object_key(ref.namespace or home, ref.name))

    def find(self, home: str, where: str, ref: StoreRef) -> SecretStore | Problem:
        """Return the store that a reference means, if it may be used.

        Args:
            home: The namespace of the object that refers to it.
            where: Which entry refers to it, as messages begin.
            ref: The reference.
        """
        if not ref.name:
            return Problem(Reason.INVALID_SPEC, f"{where}: secretStoreRef.name is empty")
        if ref.kind == CLUSTER_KIND:
            return self._find_cluster_store(home, where, ref)
        if ref.kind != KIND:
            return Problem(
                Reason.INVALID_SPEC,
                f"{where}: secretStoreRef.kind is {ref.kind!r}; it can be {KIND} (the default) "
                f"or {CLUSTER_KIND}",
            )
        namespace = ref.namespace or home
        store = self.get(home, ref)
        near = namespace == home or self.cross_namespace
        # The same words whether it exists or not: who may not use it need not know.
        if not near and (store is None or not agrees(store.allows, home)):
            what = f"{where} refers to SecretStore {namespace}/{ref.name}"
            return refusal(what, "--enable-cross-namespace-secret-store")
        if store is None:
            return Problem(
                Reason.STORE_NOT_FOUND,
                f"{where} refers to SecretStore {namespace}/{ref.name}, "
                f"{why_missing(namespace, home)}",
            )
        return store

    def _find_cluster_store(self, home: str, where: str, ref: StoreRef) -> SecretStore | Problem:
        store = self.cluster_stores.get(ref.name)
        if store is None:
            why = self.no_cluster_stores or "which does not exist"
            return Problem(
                Reason.STORE_NOT_FOUND,
                f"{where} refers to ClusterSecretStore {ref.name}, {why}",
            )
        return self.admission.refusal(store, home) or store


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
        for auth in store.auths.values()
        for ref in (auth.access_key, auth.access_key_secret)
        if ref is not None
    ]
    return tuple({object_key(r.namespace or store.namespace, r.name) for r in refs})


def service_accounts_of(store: SecretStore) -> tuple[str, ...]:
    """Index a store by the keys of the ServiceAccounts that it refers to."""
    refs = [
        auth.service_account for auth in store.auths.values() if auth.service_account is not None
    ]
    return tuple({object_key(r.namespace or store.namespace, r.name) for r in refs})


class Admission:
    """Applies ``spec.conditions``.

    Args:
        namespaces: All namespaces, for their labels.
        unknown: Why there are none; ``""`` if they are watched.
    """

    def __init__(self, namespaces: ReadOnlyStore[Namespace], *, unknown: str = "") -> None:
        self._namespaces = namespaces
        self._unknown = unknown

    def refusal(self, store: SecretStore, namespace: str) -> Problem | None:
        """Return why a namespace may not use a store; ``None`` if it may."""
        if not store.rules or any(self._applies(rule, namespace) for rule in store.rules):
            return None
        message = f"the conditions of {store.title} do not match namespace {namespace}"
        broken = mistake(store)
        if broken is not None:
            message += f" (where {broken.message})"
        elif self._unknown and selects(store):
            message += f" (labels of namespaces are not known: {self._unknown})"
        return Problem(Reason.STORE_REFUSED, f"{message}; its author has to add it")

    def _applies(self, rule: NamespaceRule, namespace: str) -> bool:
        if namespace in rule.namespaces:
            return True
        if any(matches_regex(regex, namespace) for regex in rule.regexes):
            return True
        if rule.selector is None:
            return False
        known = self._namespaces.get(namespace)
        return known is not None and rule.selector.accepts(dict(known.labels))


def selects(store: SecretStore) -> bool:
    """Return whether the labels of namespaces make a difference to a store."""
    return any(rule.selector is not None for rule in store.rules)


def mistake(store: SecretStore) -> InvalidField | None:
    """Return the first of a store's conditions that cannot be read; ``None`` if all can."""
    return rules_mistake(store.rules)
