"""From what is written to the one identity it stands for; nothing else is ever tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from operator import is_
from typing import TYPE_CHECKING, Final

from secret_sync.controller.store.auth_validation import (
    ENVIRONMENT_WORDS,
    STORE_WORDS,
    Writing,
    own_auth,
)
from secret_sync.controller.sync import Problem
from secret_sync.credentials import (
    AccessKeyProvider,
    AssumedRoleProvider,
    EnvironmentKeyProvider,
    OidcRoleProvider,
    ServiceAccountToken,
    TokenFile,
    WorkerRoleProvider,
    base_of,
    is_provider_arn,
    is_role_arn,
    roles_of,
)
from secret_sync.resources import Reason
from secret_sync.resources.names import ROLE_ARN_ANNOTATION
from secret_sync.resources.secret_store import BLOCKS

if TYPE_CHECKING:
    from secret_sync.cloud.metadata import MetadataService
    from secret_sync.controller.store.references import AuthReferences
    from secret_sync.credentials import CredentialProvider, Role, SecretReader, Sts, TokenMinter
    from secret_sync.resources import Auth, SecretMeta, SecretStore, ServiceAccount
    from secret_sync.resources.meta import FieldPath
    from secret_sync.resources.secret_store import Service
    from secret_sync.settings import OwnIdentity

#: Stores whose identity is kept; each is resolved again in microseconds.
KEPT: Final = 2048

#: What STS asks of a token, and what ACK's identity providers accept.
AUDIENCE: Final = "sts.aliyuncs.com"
_DEDICATED: Final[FieldPath] = ("spec", "KMS", "dedicatedKMSAuth")


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity that was chosen.

    Attributes:
        ignored: What is written too and comes later in the order, or has no use.
        borrowed: Whether it stands on what is the controller's own.
    """

    provider: CredentialProvider
    ignored: tuple[str, ...] = ()
    borrowed: bool = False


@dataclass(frozen=True, slots=True)
class IdentityDependencies:
    """What identities are made of.

    Attributes:
        reader: Reads the Secrets that hold AccessKeys.
        minter: Makes tokens of ServiceAccounts.
        own: The controller's own, from its environment.
        account: ``--uid``; with ``cluster`` (``--cluster-id``) the name of the cluster's
            identity provider.
        user: Who the controller is for the API server, ``""`` if that is not known.
        token_user: Whose token the controller assumes roles with, ``""`` if it has none.
    """

    reader: SecretReader
    minter: TokenMinter
    sts: Sts
    metadata: MetadataService
    own: OwnIdentity
    account: str = ""
    cluster: str = ""
    user: str = ""
    token_user: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator lets tenants use of the controller's own rights; empty is everything.

    Attributes:
        worker_role: Whether the RAM role of the node may be used.
        namespaces: Whose objects may use the controller's own identity.
        roles: Patterns of the roles that it may assume for them.
    """

    worker_role: bool = True
    namespaces: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _KeptIdentity:
    """An identity, or why there is none, with all objects that it follows from."""

    store: SecretStore
    referenced: tuple[SecretMeta | ServiceAccount | None, ...]
    found: Identity | Problem

    def holds(
        self, store: SecretStore, referenced: tuple[SecretMeta | ServiceAccount | None, ...]
    ) -> bool:
        """Return whether they are the very same objects: what is equal may have been deleted."""
        return self.store is store and all(map(is_, self.referenced, referenced))


class IdentityResolver:
    """Chooses by what is written, again with each version of the store and what it refers to."""

    def __init__(
        self, references: AuthReferences, dependencies: IdentityDependencies, policy: Policy
    ) -> None:
        self._references = references
        self._dependencies = dependencies
        self._policy = policy
        # By namespace, name and service of the store; the oldest goes first.
        self._resolved: dict[tuple[str, str, Service], _KeptIdentity] = {}

    def resolve(self, store: SecretStore, service: Service) -> Identity | Problem:
        """Return the identity a store stands for at a service, or why there is none."""
        auth = store.auths.get(service)
        referenced = self._references.referenced(store, auth) if auth is not None else ()
        key = (store.namespace, store.name, service)
        kept = self._resolved.get(key)
        if kept is not None and kept.holds(store, referenced):
            return kept.found
        found = self._resolve(store, service, auth)
        self._resolved.pop(key, None)
        while len(self._resolved) >= KEPT:
            del self._resolved[next(iter(self._resolved))]
        self._resolved[key] = _KeptIdentity(store, referenced, found)
        return found

    def _resolve(
        self, store: SecretStore, service: Service, auth: Auth | None
    ) -> Identity | Problem:
        path = BLOCKS[service]
        where = f"{store.title}: {'.'.join(path)}"
        if service == "kms" and store.dedicated:
            return Problem(
                Reason.UNSUPPORTED,
                f"{store.title}: spec.KMS.dedicatedKMSAuth, the client key of the old dedicated "
                "gateway, is not supported; use KMSAuth and the kmsEndpoint "
                "INSTANCE.cryptoservice.kms.aliyuncs.com",
                _DEDICATED,
            )
        if auth is None:
            return Problem(
                Reason.STORE_INVALID,
                f"{store.title} has no {'.'.join(path[:-1])}, so it does not configure "
                "authentication there",
            )
        writing = Writing(where, STORE_WORDS, auth, store, path, Reason.STORE_INVALID)
        found = self._identity(writing)
        if isinstance(found, Problem) or not found.borrowed:
            return found
        return self._not_lent(store, writing, found.provider) or found

    def lent_to(self, namespace: str, store: SecretStore) -> Problem | None:
        """Return why a namespace may not use a borrowed identity; ``None`` if it may."""
        return self._not_for(namespace, f"namespace {namespace}, by way of {store.title},")

    def own(self, namespace: str) -> Identity | Problem:
        """Return the controller's own identity, for an object that names no store."""
        refused = self._not_for(namespace, f"an ExternalSecret in namespace {namespace}")
        if refused is not None:
            return refused
        where = "the controller's environment"
        auth = own_auth(self._dependencies.own)
        return self._identity(
            Writing(where, ENVIRONMENT_WORDS, auth, None, (), Reason.IDENTITY_INVALID)
        )

    def _identity(self, writing: Writing) -> Identity | Problem:
        problem = writing.mistake() or self._other_token_file(writing)
        if problem is not None:
            return problem
        chosen = self._first(writing)
        if isinstance(chosen, Problem):
            return chosen
        # Here, for every method and every way to it: what it stands on decides, and nothing else.
        borrowed = self._is_own(chosen.provider)
        if not writing.auth.remote_role_arn:
            unused = writing.written("remote_session_name")
            return replace(chosen, ignored=chosen.ignored + unused, borrowed=borrowed)
        role = writing.remote_role()
        if isinstance(role, Problem):
            return role
        provider = AssumedRoleProvider(
            self._dependencies.sts, chosen.provider, role, tenant=writing.tenant
        )
        return replace(chosen, provider=provider, borrowed=borrowed)

    def _is_own(self, provider: CredentialProvider) -> bool:
        """Return whether an identity stands on something of the controller's own."""
        match base_of(provider):
            case AccessKeyProvider():
                return False
            case OidcRoleProvider(tokens=ServiceAccountToken(user=user)):
                # Where it is not known who the controller is, it might be any account.
                return (
                    self._dependencies.user in ("", user) or self._dependencies.token_user == user
                )
            case _:
                # Its token, its environment, the role of its node; and what is added later, until
                # it is declared here to be a tenant's.
                return True

    def _first(self, writing: Writing) -> Identity | Problem:
        auth = writing.auth
        if auth.service_account is not None:
            return self._service_account(writing)
        if auth.oidc_provider_arn:
            return self._controller_role(writing)
        if auth.access_key is not None:
            return self._access_key(writing)
        return self._worker_role(writing)

    def _service_account(self, writing: Writing) -> Identity | Problem:
        store, ref = writing.store, writing.auth.service_account
        if store is None or ref is None:
            raise TypeError("only a store refers to a ServiceAccount")
        field = writing.field_of("service_account")
        account = self._references.service_account(store, field, ref)
        if isinstance(account, Problem):
            return account
        role = self._role_of(account, writing)
        if isinstance(role, Problem):
            return role
        provider_arn = self._provider_arn(writing)
        if isinstance(provider_arn, Problem):
            return provider_arn
        tokens = ServiceAccountToken(
            self._dependencies.minter,
            account.namespace,
            account.name,
            account.uid,
            ref.audiences or (AUDIENCE,),
        )
        ignored = writing.written("access_key", "access_key_secret", "oidc_token_file")
        if writing.auth.role_arn not in ("", role.arn):
            ignored += (writing.word("role_arn"),)
        provider = OidcRoleProvider(
            self._dependencies.sts, tokens, provider_arn, role, tenant=writing.tenant
        )
        return Identity(provider, ignored)

    def _role_of(self, account: ServiceAccount, writing: Writing) -> Role | Problem:
        """Return the role of a ServiceAccount: its annotation's, else the one of the store."""
        name = f"ServiceAccount {account.namespace}/{account.name}"
        arn = account.role_arn or writing.auth.role_arn
        if not arn:
            return writing.wrong(
                f"{name} has no annotation {ROLE_ARN_ANNOTATION}, and ramRoleARN is not written "
                "either",
                Reason.ROLE_MISSING,
            )
        if not is_role_arn(arn):
            return writing.wrong(
                f"the annotation {ROLE_ARN_ANNOTATION} of {name} is {arn[:128]!r}, "
                "not acs:ram::<account>:role/<name>"
            )
        return writing.role_of(arn)

    def _provider_arn(self, writing: Writing) -> str | Problem:
        dependencies = self._dependencies
        named = writing.auth.oidc_provider_arn or dependencies.own.oidc_provider_arn
        if not named and dependencies.account and dependencies.cluster:
            named = f"acs:ram::{dependencies.account}:oidc-provider/ack-rrsa-{dependencies.cluster}"
        if not named:
            return writing.wrong(
                "serviceAccountRef needs the ARN of the cluster's OIDC provider: write "
                "oidcProviderARN, or start the controller with --uid and --cluster-id",
                Reason.OIDC_PROVIDER_MISSING,
                field="service_account",
            )
        if not is_provider_arn(named):
            return writing.wrong(
                f"the controller's environment or flags make {named[:128]!r} of the OIDC "
                "provider, which is not acs:ram::<account>:oidc-provider/<name>",
                Reason.OIDC_PROVIDER_MISSING,
            )
        return named

    def _controller_role(self, writing: Writing) -> Identity | Problem:
        role = writing.role()
        if isinstance(role, Problem):
            return role
        tokens = TokenFile(self._dependencies.own.oidc_token_file)
        arn = writing.auth.oidc_provider_arn
        provider = OidcRoleProvider(
            self._dependencies.sts, tokens, arn, role, tenant=writing.tenant
        )
        ignored = writing.written("access_key", "access_key_secret")
        return Identity(provider, ignored)

    def _access_key(self, writing: Writing) -> Identity | Problem:
        pair = self._pair(writing)
        if isinstance(pair, Problem):
            return pair
        ignored = writing.written("oidc_token_file")
        if not writing.auth.role_arn:
            return Identity(pair, ignored + writing.written("session_name", "session_expiration"))
        role = writing.role()
        if isinstance(role, Problem):
            return role
        provider = AssumedRoleProvider(self._dependencies.sts, pair, role, tenant=writing.tenant)
        return Identity(provider, ignored)

    def _pair(self, writing: Writing) -> CredentialProvider | Problem:
        auth, store = writing.auth, writing.store
        if store is None:
            own = self._dependencies.own
            return EnvironmentKeyProvider(own.access_key_id, own.access_key_secret)
        if auth.access_key is None or auth.access_key_secret is None:
            raise TypeError("incomplete AccessKey was not refused")
        find = self._references.secret_key
        key_id = find(store, writing.field_of("access_key"), auth.access_key)
        if isinstance(key_id, Problem):
            return key_id
        secret = find(store, writing.field_of("access_key_secret"), auth.access_key_secret)
        if isinstance(secret, Problem):
            return secret
        return AccessKeyProvider(self._dependencies.reader, key_id, secret)

    def _worker_role(self, writing: Writing) -> Identity | Problem:
        if not self._policy.worker_role:
            if writing.store is None:
                message = (
                    "no credentials are set, and --enable-worker-role=false turns the worker RAM "
                    "role off; write secretStoreRef in the entry"
                )
            else:
                message = (
                    "no way to authenticate is written, which asks for the worker RAM role of the "
                    "node, and --enable-worker-role=false turns that off"
                )
            return writing.wrong(message, Reason.WORKER_ROLE_DISABLED)
        unused = writing.written("session_name", "session_expiration")
        return Identity(WorkerRoleProvider(self._dependencies.metadata), unused)

    def _not_lent(
        self, store: SecretStore, writing: Writing, provider: CredentialProvider
    ) -> Problem | None:
        """Return why a store may not use what is the controller's own; any tenant can write one."""
        refused = self._not_for(store.namespace, store.title) if store.namespace else None
        if refused is not None:
            return refused
        for role in roles_of(provider):
            if not self._may_assume(role):
                return writing.wrong(
                    f"the controller may not assume {role} for a store: its flag "
                    "--allow-role-arn has no pattern that matches it",
                    Reason.IDENTITY_REFUSED,
                )
        return None

    def _may_assume(self, role: str) -> bool:
        patterns = self._policy.roles
        return not patterns or any(fnmatchcase(role, pattern) for pattern in patterns)

    def _not_for(self, namespace: str, what: str) -> Problem | None:
        allowed = self._policy.namespaces
        if not allowed or namespace in allowed or "*" in allowed:
            return None
        return Problem(
            Reason.IDENTITY_REFUSED,
            f"{what} asks for the controller's own identity, which the flag "
            "--controller-identity-namespaces does not allow there; name a store with an "
            "identity of its own",
        )

    def _other_token_file(self, writing: Writing) -> Problem | None:
        path = writing.auth.oidc_token_file
        if writing.store is None or path in ("", self._dependencies.own.oidc_token_file):
            return None
        return writing.wrong(
            "oidcTokenFilePath names another file than the controller's own token "
            f"({self._dependencies.own.oidc_token_file}); leave it out",
            Reason.TOKEN_FILE_REFUSED,
            field="oidc_token_file",
        )
