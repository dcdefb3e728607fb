"""Stores with ``provider.alibaba``, and what the objects that use them need to know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.fields import ReadFields
from secret_sync.resources.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.inputs import EsoDocument

CLUSTER_KIND: Final = "ClusterSecretStore"
KINDS: Final = ("SecretStore", CLUSTER_KIND)
PROVIDER: Final = "alibaba"
_AUTH: Final = ("spec", "KMS", "KMSAuth")
_WHOLE: Final = re.compile(r"\^[^|]*\$")


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What is known of a store.

    Attributes:
        provider: The name of its provider; ``""`` if the store is not in the files.
        region: The region that it calls; ``""`` if it is not known.
    """

    provider: str = ""
    region: str = ""


class StoreIndex:
    """The stores of the files."""

    def __init__(self, sources: Iterable[EsoDocument]) -> None:
        self._stores: list[tuple[EsoDocument, StoreFacts]] = [
            (source, _facts(source)) for source in sources if source.kind in KINDS
        ]

    def find(self, kind: str, name: str, namespace: str | None) -> StoreFacts:
        """Return what is known of a store.

        Args:
            kind: SecretStore or ClusterSecretStore.
            name: Its name.
            namespace: Of the object that refers to it; ``None`` for any.
        """
        found = {
            facts
            for source, facts in self._stores
            if (source.kind, source.name) == (kind, name)
            and (kind == CLUSTER_KIND or _may_be(namespace, source.namespace))
        }
        # If namespaces differ, nothing is certain.
        return found.pop() if len(found) == 1 else StoreFacts()


def _may_be(wanted: str | None, namespace: str) -> bool:
    return not (wanted and namespace) or wanted == namespace


def provider_of(source: EsoDocument) -> str:
    """Return the name of a store's provider; ``""`` if it has none."""
    spec = source.value.get("spec")
    provider = spec.get("provider") if isinstance(spec, dict) else None
    return next(iter(provider), "") if isinstance(provider, dict) else ""


def _facts(source: EsoDocument) -> StoreFacts:
    name = provider_of(source)
    if name != PROVIDER:
        return StoreFacts(name)
    alibaba = source.value["spec"]["provider"][PROVIDER]
    region = alibaba.get("regionID") if isinstance(alibaba, dict) else ""
    return StoreFacts(name, region if isinstance(region, str) else "")


def convert_store(source: EsoDocument, comments: Comments) -> dict[str, Any]:
    """Return our store."""
    spec = ReadFields(source.value.get("spec") or {}, "spec")
    alibaba = spec.section("provider").section(PROVIDER)
    # It becomes the endpoint of each entry that uses the store.
    if not alibaba.text("regionID"):
        comments.add(Effect.LOST, ("spec",), "regionID is missing")
    auth = _auth(alibaba.section("auth"), clustered=source.kind == CLUSTER_KIND, comments=comments)
    ours: dict[str, Any] = {"KMS": {"KMSAuth": auth}}
    if conditions := [_condition(c) for c in spec.sections("conditions")]:
        ours["conditions"] = conditions
    if controller := spec.text("controller"):
        comments.add(
            Effect.LOST,
            ("spec",),
            f"controller {controller!r}: secret-sync serves every store",
        )
    for name in ("retrySettings", "refreshInterval"):
        if spec.has(name):
            spec.plain(name)
            comments.add(
                Effect.DIFFERS,
                ("spec",),
                f"{name}: secret-sync retries with growing delays and checks a store when "
                "something about it changes",
            )
    for path in spec.unread():
        comments.add(Effect.LOST, (), f"{path} is unknown")
    return {
        "apiVersion": API_VERSION,
        "kind": source.kind,
        "metadata": source.metadata(),
        "spec": ours,
    }


def _auth(auth: ReadFields, *, clustered: bool, comments: Comments) -> dict[str, Any]:
    # The operator looks for RRSA first.
    if auth.has("rrsa"):
        if auth.has("secretRef"):
            auth.plain("secretRef")
            comments.add(Effect.DIFFERS, _AUTH, "secretRef: not used, because there is rrsa")
        return _rrsa(auth.section("rrsa"), comments)
    if auth.has("secretRef"):
        refs = auth.section("secretRef")
        return {
            ours: _key_ref(refs.section(theirs), ours, clustered=clustered, comments=comments)
            for ours, theirs in (
                ("accessKey", "accessKeyIDSecretRef"),
                ("accessKeySecret", "accessKeySecretSecretRef"),
            )
        }
    comments.add(Effect.INCOMPLETE, _AUTH, "auth is missing; without it the worker role is used")
    return {}


def _rrsa(rrsa: ReadFields, comments: Comments) -> dict[str, Any]:
    provider, role, session = (rrsa.text(n) for n in ("oidcProviderArn", "roleArn", "sessionName"))
    if rrsa.text("oidcTokenFilePath"):
        comments.add(
            Effect.DIFFERS,
            (*_AUTH, "oidcProviderARN"),
            "oidcTokenFilePath: secret-sync uses the token of its own ServiceAccount, which the "
            "trust policy of the role has to name",
        )
    given = {"oidcProviderARN": provider, "ramRoleARN": role, "ramRoleSessionName": session}
    for name in ("oidcProviderARN", "ramRoleARN"):
        if not given[name]:
            comments.add(Effect.INCOMPLETE, _AUTH, f"{name} is missing")
    return {name: value for name, value in given.items() if value}


def _key_ref(ref: ReadFields, field: str, *, clustered: bool, comments: Comments) -> dict[str, Any]:
    namespace, path = ref.text("namespace"), (*_AUTH, field)
    found = {"name": ref.text("name"), "namespace": namespace, "key": ref.text("key")}
    if clustered and not namespace:
        comments.add(
            Effect.INCOMPLETE,
            path,
            "namespace is missing: the operator reads the Secret of the namespace that uses the "
            "store, secret-sync one Secret; use a SecretStore in each namespace, or set it",
        )
    if not clustered:
        # It can only be the store's own.
        del found["namespace"]
    if not (found["name"] and found["key"]):
        comments.add(Effect.INCOMPLETE, path, "name or key is missing")
    return {name: value for name, value in found.items() if value}


def _condition(condition: ReadFields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if condition.has("namespaceSelector"):
        found["namespaceSelector"] = condition.plain("namespaceSelector")
    if namespaces := condition.texts("namespaces"):
        found["namespaces"] = namespaces
    if regexes := condition.texts("namespaceRegexes"):
        found["namespaceRegexes"] = [whole_name(regex) for regex in regexes]
    return found


def whole_name(regex: str) -> str:
    """Return an expression for the whole name: the operator is content with a part of it."""
    return regex if _WHOLE.fullmatch(regex) else f".*(?:{regex}).*"
