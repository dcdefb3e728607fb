"""ExternalSecrets, and the specs of those that a ClusterExternalSecret creates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.entries import EntryConverter, store_ref
from secret_sync.cli.convert.fields import InputError, ReadFields
from secret_sync.cli.convert.stores import PROVIDER
from secret_sync.cli.convert.targets import convert_target
from secret_sync.resources.names import ADOPT_ANNOTATION, API_VERSION
from secret_sync.settings.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.inputs import EsoDocument
    from secret_sync.cli.convert.stores import StoreIndex
    from secret_sync.resources.meta import FieldPath

#: The operator's default; ours is a setting of the controller.
_INTERVAL: Final = "1h0m0s"


class ForeignError(Exception):
    """No entry uses Alibaba Cloud."""


@dataclass(frozen=True, slots=True)
class ConversionContext:
    """What is known beside an object.

    Attributes:
        stores: The stores of the files.
        region: The region of the controller; ``""`` if it is not known.
        adopt: Whether the new objects take over the Secrets of the old ones.
    """

    stores: StoreIndex
    region: str = ""
    adopt: bool = False


def convert_external_secret(
    source: EsoDocument, context: ConversionContext, comments: Comments
) -> dict[str, Any]:
    """Return our ExternalSecret.

    Raises:
        ForeignError: All of its stores have other providers.
        InputError: A field has a wrong type.
    """
    fields = ReadFields(source.value.get("spec") or {}, "spec")
    metadata = source.metadata()
    spec = _spec(fields, metadata, source.namespace, context, ("spec",), comments)
    _report_unread(fields, comments)
    if context.adopt and not _merges(spec):
        metadata.setdefault("annotations", {})[ADOPT_ANNOTATION] = "true"
    return {
        "apiVersion": API_VERSION,
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": spec,
    }


def convert_cluster_external_secret(
    source: EsoDocument, context: ConversionContext, comments: Comments
) -> dict[str, Any]:
    """Return our ClusterExternalSecret; see :func:`convert_external_secret`."""
    fields = ReadFields(source.value.get("spec") or {}, "spec")
    theirs = fields.section("externalSecretMetadata")
    children = {n: v for n in ("labels", "annotations") if (v := theirs.strings(n))}
    path = ("spec", "externalSecretSpec")
    inner = fields.section("externalSecretSpec")
    spec = _spec(inner, children, None, context, path, comments)
    if context.adopt and not _merges(spec):
        children.setdefault("annotations", {})[ADOPT_ANNOTATION] = "true"
    ours: dict[str, Any] = {}
    if name := fields.text("externalSecretName"):
        ours["externalSecretName"] = name
    if children:
        ours["externalSecretMetadata"] = children
    ours |= _namespaces(fields)
    # A change of a namespace is acted on at once.
    fields.text("refreshTime")
    ours["externalSecretSpec"] = spec
    _report_unread(fields, comments)
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterExternalSecret",
        "metadata": source.metadata(),
        "spec": ours,
    }


def _report_unread(fields: ReadFields, comments: Comments) -> None:
    for path in fields.unread():
        comments.add(Effect.LOST, (), f"{path} is unknown")


def _merges(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("target", {}).get("creationPolicy") == "Merge")


def _namespaces(fields: ReadFields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    selectors = fields.plain("namespaceSelectors") or []
    if not isinstance(selectors, list):
        raise InputError("spec.namespaceSelectors must be a list")
    single = fields.plain("namespaceSelector")
    if single is not None:
        selectors = [single, *selectors]
    if names := fields.texts("namespaces"):
        found["conditions"] = [{"namespaces": names}]
    if selectors:
        found["namespaceSelectors"] = selectors
    # Without any the operator selects no namespace; ours would select all.
    return found or {"conditions": [{}]}


def _spec(
    fields: ReadFields,
    metadata: Mapping[str, Any],
    namespace: str | None,
    context: ConversionContext,
    prefix: FieldPath,
    comments: Comments,
) -> dict[str, Any]:
    entries = EntryConverter(context.stores, namespace, context.region, comments, prefix)
    default = store_ref(fields.section("secretStoreRef"))
    data = entries.data(fields.sections("data"), default)
    documents = entries.documents(fields.sections("dataFrom"), default)
    if entries.providers and not entries.providers & {"", PROVIDER}:
        raise ForeignError
    type_, target = convert_target(
        fields.section("target"), metadata, entries.decoded, prefix, comments
    )
    spec: dict[str, Any] = {}
    if type_ and "template" in target:
        target["template"] = {"type": type_, **target["template"]}
    elif type_:
        spec["type"] = type_
    spec |= _refresh(fields, prefix, comments)
    if target:
        spec["target"] = target
    if data:
        spec["data"] = data
    if documents:
        spec["dataProcess"] = documents
    if data and documents:
        comments.add(
            Effect.DIFFERS,
            (*prefix, "dataProcess"),
            "a key that is in data as well: the document wins here, data in the operator",
        )
    if any("jmesPath" in entry for entry in data):
        comments.add(
            Effect.NOTE,
            (*prefix, "data"),
            "jmesPath: null is an error, 1.10 stays 1.10, objects and lists are compact JSON.",
        )
    return spec


def _refresh(fields: ReadFields, prefix: FieldPath, comments: Comments) -> dict[str, str]:
    policy, interval = fields.text("refreshPolicy"), fields.text("refreshInterval") or _INTERVAL
    path = (*prefix, "refreshPolicy")
    if policy == "OnChange":
        comments.add(
            Effect.DIFFERS,
            path,
            "OnChange: also fetched when its store or AccessKey changes, and at every start",
        )
        return {"refreshPolicy": policy}
    try:
        seconds = parse_duration(interval)
    except ValueError as error:
        raise InputError(f"{prefix[-1]}.refreshInterval: {error}") from None
    if policy == "CreatedOnce" or seconds <= 0:
        what = policy if policy == "CreatedOnce" else f"refreshInterval {interval}"
        comments.add(
            Effect.DIFFERS,
            path,
            f"{what}: an edited Secret is not repaired, a deleted one is",
        )
        return {"refreshPolicy": "CreatedOnce"}
    if seconds < 1:
        comments.add(
            Effect.DIFFERS,
            (*prefix, "rotationInterval"),
            f"refreshInterval {interval}: at least 1s",
        )
        interval = "1s"
    return {"rotationInterval": interval} | ({"refreshPolicy": policy} if policy else {})
