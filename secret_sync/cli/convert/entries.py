"""Entries: ``data`` and ``dataFrom`` as ``data`` and ``dataProcess``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.gjson_paths import jmes_path
from secret_sync.cli.convert.rewrites import replace_rules
from secret_sync.cli.convert.stores import CLUSTER_KIND, PROVIDER

if TYPE_CHECKING:
    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.fields import ReadFields
    from secret_sync.cli.convert.stores import StoreFacts, StoreIndex
    from secret_sync.resources.meta import FieldPath

_PIPELINES: Final = {
    "Base64": "b64dec",
    "Base64URL": 'replace "-" "+" | replace "_" "/" | b64dec',
}


@dataclass(slots=True)
class EntryConverter:
    """Converts the entries of one object.

    Attributes:
        stores: The stores of the files.
        namespace: The namespace of the object; ``None`` for any.
        region: The region of the controller; ``""`` if it is not known.
        comments: Where to say what differs.
        prefix: The path of the spec in our manifest.
        decoded: Templates for values that the operator decodes, by key.
        providers: The providers that the entries use; ``""`` for one that is not known.
    """

    stores: StoreIndex
    namespace: str | None
    region: str
    comments: Comments
    prefix: FieldPath
    decoded: dict[str, str] = field(default_factory=dict)
    providers: set[str] = field(default_factory=set)

    def data(self, items: list[ReadFields], default: tuple[str, str]) -> list[dict[str, Any]]:
        """Convert ``data``.

        Args:
            items: The entries.
            default: Kind and name of the store of the object.
        """
        return [
            self._value(item, default, (*self.prefix, "data", n)) for n, item in enumerate(items)
        ]

    def documents(self, items: list[ReadFields], default: tuple[str, str]) -> list[dict[str, Any]]:
        """Convert ``dataFrom``; arguments as for :meth:`data`."""
        found: list[dict[str, Any]] = []
        for item in items:
            path = (*self.prefix, "dataProcess", len(found))
            if document := self._document(item, default, path):
                found.append(document)
        return found

    def _value(self, item: ReadFields, default: tuple[str, str], path: FieldPath) -> dict[str, Any]:
        key, ref = item.text("secretKey"), item.section("remoteRef")
        entry = self._reference(ref, item.section("sourceRef"), default, path)
        strategy = ref.text("decodingStrategy")
        # The operator looks at it for documents only.
        ref.text("conversionStrategy")
        if property_ := ref.text("property"):
            entry["jmesPath"] = [self._selection(property_, key, path)]
        else:
            entry = {"key": entry.pop("key"), "name": key, **entry}
        self._decode(strategy, key, path)
        return entry

    def _document(
        self, item: ReadFields, default: tuple[str, str], path: FieldPath
    ) -> dict[str, Any] | None:
        source = item.section("sourceRef")
        rewrite = item.sections("rewrite")
        if not item.has("extract"):
            self._not_a_document(item, source, path)
            for operation in rewrite:
                for name in ("regexp", "transform", "merge"):
                    operation.plain(name)
            return None
        ref = item.section("extract")
        extract = self._reference(ref, source, default, (*path, "extract"))
        if property_ := ref.text("property"):
            self.comments.add(
                Effect.INCOMPLETE,
                path,
                f"extract.property {property_!r}: the keys of a part of a document; list them in "
                "data with jmesPath, or store the part in KMS",
            )
        strategy = ref.text("decodingStrategy")
        if strategy not in {"", "None"}:
            self.comments.add(
                Effect.INCOMPLETE,
                path,
                f"extract.decodingStrategy {strategy}: decode each key in target.template",
            )
        rules = replace_rules(rewrite, ref.text("conversionStrategy"), path, self.comments)
        return {"extract": extract, **({"replaceRule": rules} if rules else {})}

    def _not_a_document(self, item: ReadFields, source: ReadFields, path: FieldPath) -> None:
        if item.has("find"):
            item.plain("find")
            why = "find: list each secret in data (the operator never had it for Alibaba Cloud)"
        else:
            what = "generatorRef" if source.has("generatorRef") else "neither extract nor find"
            why = f"{what}: create the value in KMS and list it in data"
        source.plain("generatorRef")
        source.plain("storeRef")
        self.comments.add(Effect.INCOMPLETE, path, f"dataFrom: {why}")

    def _reference(
        self, ref: ReadFields, source: ReadFields, default: tuple[str, str], path: FieldPath
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {"key": ref.text("key")}
        if version := ref.text("version"):
            entry["versionId"] = version
        if ref.text("metadataPolicy") == "Fetch":
            note = "metadataPolicy Fetch: it never had an effect with Alibaba Cloud"
            self.comments.add(Effect.NOTE, path, note)
        kind, name = self._store(source, default, path)
        if not name:
            return entry
        facts = self.stores.find(kind, name, self.namespace)
        entry |= self._endpoint(facts, kind, name, path)
        # As ours has the kind SecretStore by default.
        entry["secretStoreRef"] = {"name": name} | ({"kind": kind} if kind == CLUSTER_KIND else {})
        return entry

    def _store(
        self, source: ReadFields, default: tuple[str, str], path: FieldPath
    ) -> tuple[str, str]:
        kind, name = default
        if source.has("storeRef"):
            kind, name = store_ref(source.section("storeRef"))
        if source.plain("generatorRef") is not None:
            self.comments.add(
                Effect.INCOMPLETE, path, "sourceRef.generatorRef: create the value in KMS"
            )
        elif not name:
            self.comments.add(
                Effect.INCOMPLETE,
                path,
                "no store; without one it is the controller's own identity",
            )
        return kind, name

    def _endpoint(self, facts: StoreFacts, kind: str, name: str, path: FieldPath) -> dict[str, str]:
        self.providers.add(facts.provider)
        if facts.provider not in {"", PROVIDER}:
            self.comments.add(
                Effect.INCOMPLETE, path, f"{kind} {name} has the provider {facts.provider}"
            )
        elif not facts.region:
            self.comments.add(
                Effect.DIFFERS,
                path[: len(self.prefix) + 1],
                f"the region of {kind} {name} is not in these files: unless it is secret-sync's, "
                "convert both together, or set kmsEndpoint",
            )
        elif facts.region != self.region:
            return {"kmsEndpoint": f"kms.{facts.region}.aliyuncs.com"}
        return {}

    def _selection(self, property_: str, key: str, path: FieldPath) -> dict[str, str]:
        found = jmes_path(property_)
        if found is None:
            self.comments.add(
                Effect.INCOMPLETE,
                path,
                f"property {property_!r}: write this GJSON path as JMESPath",
            )
            return {"path": "", "objectAlias": key}
        if found.guessed:
            self.comments.add(
                Effect.DIFFERS,
                path,
                f"property {property_!r}: {found.guessed} is an index of a list here; if it is a "
                f'key of an object, write "{found.guessed}" instead of [{int(found.guessed)}]',
            )
        return {"path": found.expression, "objectAlias": key}

    def _decode(self, strategy: str, key: str, path: FieldPath) -> None:
        if strategy in {"", "None"}:
            return
        pipeline = _PIPELINES.get(strategy)
        if pipeline is None:
            self.comments.add(
                Effect.INCOMPLETE,
                path,
                f"decodingStrategy {strategy}: decide whether the value is base64, and decode it "
                "in target.template",
            )
            return
        self.decoded[key] = f'{{{{ index . "{key}" | {pipeline} }}}}'
        self.comments.add(
            Effect.DIFFERS,
            path,
            f"decodingStrategy {strategy}: decoded by target.template; remove that if the KMS "
            "secret is of type binary, which secret-sync decodes itself",
        )


def store_ref(ref: ReadFields) -> tuple[str, str]:
    """Return kind and name of a store."""
    return ref.text("kind") or "SecretStore", ref.text("name")
