"""ConfigMaps and Secrets that hold templates: watched by metadata, read when rendering is due.

Of ConfigMaps only those are kept to which an ExternalSecret refers.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.sync import Problem
from secret_sync.kube import CONFIG_MAPS, METADATA, SECRETS, ApiNotFoundError, ApiRefusedError
from secret_sync.resources import ConfigMap, Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import TEMPLATE_ANNOTATION
from secret_sync.resources.template import (
    CONFIG_MAP,
    MAX_TEMPLATE_CHARACTERS,
    MAX_TEMPLATES_CHARACTERS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.rendering import TextKey
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Informer, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta
    from secret_sync.resources.template import SecretTemplate

#: What to add where ConfigMaps may not be read.
COMPONENT: Final = "template-config-maps"
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class TemplateSources:
    """Where templates are read from.

    Attributes:
        kube: Reads them, one at a time.
        secrets: Metadata of all Secrets in scope.
        config_maps: Those that are referred to; nothing of others.
        watch: Starts the watch of ConfigMaps; may be called again.
        granted: Whether a Secret has to agree by an annotation.
    """

    kube: KubeClient
    secrets: ReadOnlyStore[SecretMeta]
    config_maps: Informer[ConfigMap]
    watch: Callable[[], None]
    granted: bool = False


class TemplateReferences:
    """What the templates of ExternalSecrets refer to."""

    def __init__(self, sources: TemplateSources) -> None:
        self._sources = sources

    def versions(self, es: ExternalSecret, template: SecretTemplate) -> tuple[str, ...]:
        """Return the versions of the objects with templates; one that is not known has none."""
        return tuple(self._version(es.namespace, *ref) for ref in template.references)

    def _version(self, namespace: str, kind: str, name: str) -> str:
        sources, key = self._sources, object_key(namespace, name)
        store: ReadOnlyStore[Any]
        store = sources.config_maps.store if kind == CONFIG_MAP else sources.secrets
        found = store.get(key)
        version = "" if found is None else f"{found.uid}/{found.resource_version}"
        return f"{kind}/{name}/{version}"

    async def look_up(self, es: ExternalSecret, template: SecretTemplate) -> None:
        """Find the ConfigMaps of an object of which the watch has not told.

        It does of those only to which something referred when they changed.

        Raises:
            ApiError: The API server did not answer.
        """
        maps = [name for kind, name in template.references if kind == CONFIG_MAP]
        if not maps:
            return
        informer = self._sources.config_maps
        self._sources.watch()
        for name in maps:
            if informer.store.get(object_key(es.namespace, name)) is not None:
                continue
            path = CONFIG_MAPS.path(es.namespace, name)
            try:
                found = await self._sources.kube.request("GET", path, accept=METADATA)
            except ApiRefusedError:
                # Reported when it is to be read.
                continue
            informer.learn(ConfigMap.from_metadata(found))

    async def read(
        self, es: ExternalSecret, template: SecretTemplate
    ) -> dict[TextKey, bytes] | Problem:
        """Return the templates of other objects; they are not to be kept.

        Raises:
            ApiError: The API server did not answer.
        """
        texts: dict[TextKey, bytes] = {}
        left = MAX_TEMPLATES_CHARACTERS - sum(len(text) for _, text in template.written())
        for kind, name in template.references:
            keys = {
                item.key: number
                for number, source in enumerate(template.sources)
                for item in source.items
                if (source.kind, source.name) == (kind, name)
            }
            found = await self._content(es, kind, name, min(keys.values()))
            if isinstance(found, Problem):
                return found
            for key, number in keys.items():
                if key not in found:
                    what = f"{kind} {es.namespace}/{name} has no key {key!r}"
                    return _problem(Reason.TEMPLATE_SOURCE_NOT_FOUND, number, what)
                text = texts[kind, name, key] = found[key]
                left -= len(text)
                if len(text) > MAX_TEMPLATE_CHARACTERS or left < 0:
                    what = (
                        f"the template in {kind} {es.namespace}/{name}, key {key!r}, is too long: "
                        f"{MAX_TEMPLATE_CHARACTERS} bytes are allowed, "
                        f"{MAX_TEMPLATES_CHARACTERS} for all of an object"
                    )
                    return _problem(Reason.TOO_COSTLY, number, what)
        return texts

    async def _content(
        self, es: ExternalSecret, kind: str, name: str, number: int
    ) -> dict[str, bytes] | Problem:
        where = f"{kind} {es.namespace}/{name}"
        resource = CONFIG_MAPS if kind == CONFIG_MAP else SECRETS
        try:
            found = await self._sources.kube.request("GET", resource.path(es.namespace, name))
        except ApiNotFoundError:
            return _problem(
                Reason.TEMPLATE_SOURCE_NOT_FOUND, number, f"{where} does not exist; create it"
            )
        except ApiRefusedError as error:
            if error.status != _FORBIDDEN:
                raise
            advice = f"; add the component {COMPONENT}" if kind == CONFIG_MAP else ""
            what = f"the controller may not read {where}{advice}"
            return _problem(Reason.TEMPLATE_SOURCE_FORBIDDEN, number, what)
        annotations = found["metadata"].get("annotations") or {}
        if kind == CONFIG_MAP:
            texts = {k: v.encode() for k, v in (found.get("data") or {}).items()}
            return texts | _decoded(found.get("binaryData"))
        if self._sources.granted and annotations.get(TEMPLATE_ANNOTATION) != "true":
            what = (
                f"{where} may not be used as a template: the controller has "
                "--template-secrets=granted, which requires its annotation "
                f'{TEMPLATE_ANNOTATION}: "true"'
            )
            return _problem(Reason.TEMPLATE_SOURCE_FORBIDDEN, number, what)
        return _decoded(found.get("data"))


def _decoded(data: dict[str, str] | None) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value) for key, value in (data or {}).items()}
    except (binascii.Error, ValueError):
        # The API server stores no such thing.
        return {}


def _problem(reason: Reason, number: int, what: str) -> Problem:
    where = f"target.template.templateFrom[{number}]"
    path = ("spec", "target", "template", "templateFrom", number)
    return Problem(reason, f"{where}: {what}", path)
