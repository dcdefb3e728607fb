"""Templates: parsed without a cluster, and rendered from samples."""

from __future__ import annotations

import base64
import binascii
import difflib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from secret_sync.cli.check.entries import static_keys
from secret_sync.cli.check.findings import CheckReason, Severity
from secret_sync.controller.external_secret.desired import Desired, build_extracted
from secret_sync.controller.external_secret.extraction import ExtractionError
from secret_sync.controller.external_secret.rendering import (
    TemplateInput,
    render_steps,
    template_problem,
    where_of,
)
from secret_sync.parse import run_to_end
from secret_sync.resources import Reason
from secret_sync.resources.template import CONFIG_MAP, template_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from secret_sync.cli.check.external_secrets import Usable
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.controller.external_secret.extraction import ExtractedData, ExtractionInput
    from secret_sync.controller.external_secret.rendering import NeedsHashes, TextKey
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.meta import FieldPath
    from secret_sync.resources.template import SecretTemplate
    from secret_sync.templates.rendering import HashRequest

_SOURCES: FieldPath = ("spec", "target", "template", "templateFrom")


class TemplateFiles:
    """The ConfigMaps and Secrets of the files, from which templates are taken."""

    def __init__(self, objects: Iterable[dict[str, Any]]) -> None:
        self._texts: dict[str, dict[str, bytes]] = {}
        for value in objects:
            if value["kind"] in ("ConfigMap", "Secret"):
                metadata = value["metadata"]
                key = template_key(value["kind"], metadata["namespace"], metadata["name"])
                self._texts[key] = dict(_texts(value))

    def texts(
        self, obj: CheckedObject, template: SecretTemplate, findings: Findings
    ) -> dict[TextKey, bytes] | None:
        """Return the templates of other objects; ``None`` if one is not in the files."""
        found: dict[TextKey, bytes] = {}
        whole = True
        for number, source in enumerate(template.sources):
            if not source.kind:
                continue
            key = template_key(source.kind, obj.ref.namespace, source.name)
            named = f"{source.kind} {obj.ref.namespace}/{source.name}"
            path = (*_SOURCES, number)
            texts = self._texts.get(key)
            if texts is None:
                message = f"{named} is not in the files; its templates were not checked"
                reason = Reason.TEMPLATE_SOURCE_NOT_FOUND
                findings.add(Severity.NOTE, obj, path, message, reason)
                whole = False
                continue
            for item in source.items:
                if item.key not in texts:
                    message = f"{named} has no key {item.key!r}"
                    findings.add_problem(obj, path, message, Reason.TEMPLATE_SOURCE_NOT_FOUND)
                    whole = False
                else:
                    found[source.kind, source.name, item.key] = texts[item.key]
        return found if whole else None


def check_template(
    obj: CheckedObject,
    es: ExternalSecret,
    usable: Sequence[Usable],
    files: TemplateFiles,
    findings: Findings,
) -> dict[TextKey, bytes] | None:
    """Report what is wrong with the templates of an object, as far as no value is needed.

    Returns:
        The templates that come from other objects; ``None`` if not all of them are known.
    """
    from secret_sync.templates.engine import parse  # noqa: PLC0415 (few objects need it)
    from secret_sync.templates.errors import TemplateError  # noqa: PLC0415

    if es.template is None or es.invalid:
        return None
    texts = files.texts(obj, es.template, findings)
    known = [key for u in usable for key in static_keys(u.entry)]
    # What documents have is not known, and an entry with an error may have had the key.
    complete = len(usable) == len(es.entries) and all(static_keys(u.entry) for u in usable)
    for path, where, source in _sources(es.template, texts or {}):
        try:
            template = parse(source)
        except TemplateError as error:
            problem = template_problem(error, where, path)
            findings.add_problem(obj, path, without_path(problem.message, path), problem.reason)
            continue
        for field in sorted(template.fields - set(known)) if complete else ():
            close = difflib.get_close_matches(field, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            message = f"{where} reads {field!r}, which no entry produces{hint}"
            message = without_path(message, path)
            findings.add(Severity.WARNING, obj, path, message, CheckReason.UNKNOWN_KEY)
    return texts


def without_path(message: str, path: FieldPath) -> str:
    """Return a message about a template without its beginning, which the line shows as field."""
    where = where_of(path)
    for end in (", ", ": ", " "):
        # What follows a space may be the name of a ConfigMap, which belongs to the path.
        if message.startswith(where + end) and not message.startswith(f"{where} ("):
            return message.removeprefix(where + end)
    return message


def render(
    inputs: ExtractionInput,
    extracted: ExtractedData,
    es: ExternalSecret,
    texts: Mapping[TextKey, bytes],
) -> Desired | ExtractionError:
    """Render the Secret of an object from samples."""
    from secret_sync.templates.hashing import bcrypt_hash  # noqa: PLC0415 (few objects need it)

    if es.template is None:
        raise AssertionError  # the caller's
    make = partial(build_extracted, inputs, secret=b"check")
    hashes: dict[HashRequest, bytes] = {}
    template = TemplateInput(es.template, es.uid, texts=texts, now=int(time.time()), hashes=hashes)
    made: Desired | ExtractionError | NeedsHashes = run_to_end(
        render_steps(template, extracted, make)
    )
    while not isinstance(made, (Desired, ExtractionError)):
        hashes.update((request, bcrypt_hash(request)) for request in made.requests)
        made = run_to_end(render_steps(replace(template, hashes=hashes), extracted, make))
    return made


def _sources(
    template: SecretTemplate, texts: Mapping[TextKey, bytes]
) -> Iterator[tuple[FieldPath, str, str]]:
    """Yield path, name and text of each template that is known."""
    for path, source in template.written():
        yield path, where_of(path), source
    for number, origin in enumerate(template.sources):
        path = (*_SOURCES, number)
        for item in origin.items if origin.kind else ():
            text = texts.get((origin.kind, origin.name, item.key))
            if text is not None:
                where = f"{where_of(path)} ({origin.kind} {origin.name}, key {item.key!r})"
                yield path, where, text.decode(errors="replace")


def _texts(value: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and values of a ConfigMap or Secret, as far as they are sound."""
    plain = ("data",) if value["kind"] == CONFIG_MAP else ("stringData",)
    coded = ("binaryData",) if value["kind"] == CONFIG_MAP else ("data",)
    for field in (*coded, *plain):
        held = value.get(field)
        for key, text in held.items() if isinstance(held, dict) else ():
            if not isinstance(text, str):
                continue
            try:
                yield key, base64.b64decode(text) if field in coded else text.encode()
            except (binascii.Error, ValueError):
                continue
