"""What is wrong with a template apart from its language: names, references, permissions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.controller.external_secret.rendered_metadata import name_problem
from secret_sync.resources.meta import InvalidField
from secret_sync.resources.template import ANNOTATIONS, DATA, LABELS, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.meta import FieldPath
    from secret_sync.resources.template import SecretTemplate, TemplateSource

_TEMPLATE: Final[FieldPath] = ("spec", "target", "template")
_MAX_NAME: Final = 253
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def wrong_template(es: ExternalSecret, template: SecretTemplate) -> InvalidField | None:
    """Return the first mistake in the template of an object, or ``None``."""
    return next(_mistakes(es, template), None)


def _mistakes(es: ExternalSecret, template: SecretTemplate) -> Iterator[InvalidField]:
    for number, source in enumerate(template.sources):
        path = (*_TEMPLATE, "templateFrom", number)
        if source.kind:
            yield from _wrong_reference(es, source, path)
        if source.target != DATA:
            for key in source.named_keys:
                yield from _wrong_name(path, source.target, key)
    for name, _ in template.labels:
        yield from _wrong_name((*_TEMPLATE, "metadata", "labels", name), LABELS, name)
    for name, _ in template.annotations:
        yield from _wrong_name((*_TEMPLATE, "metadata", "annotations", name), ANNOTATIONS, name)


def _wrong_reference(
    es: ExternalSecret, source: TemplateSource, path: FieldPath
) -> Iterator[InvalidField]:
    kind, name = source.kind, source.name
    where = f"spec.target.template.templateFrom[{path[-1]}]"
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        message = f"{where} names {kind} {name[:80]!r}, which no {kind} can be called"
        yield InvalidField(path, message)
    if kind == SECRET and name == es.target.name:
        message = f"{where} names the Secret that is rendered; keep its templates elsewhere"
        yield InvalidField(path, message)


def _wrong_name(path: FieldPath, target: str, name: str) -> Iterator[InvalidField]:
    if why := name_problem(target, name):
        what = f"{target.lower().removesuffix('s')} {name[:80]!r}"
        yield InvalidField(path, f"spec.target.template: {what} cannot be written: {why}")
