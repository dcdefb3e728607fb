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
    from secret_sync.resources.template import SecretTemplate

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
        where = f"spec.target.template.templateFrom[{number}]"
        if source.kind:
            name = source.name
            if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
                message = (
                    f"{where} names {source.kind} {name[:80]!r}, which no {source.kind} can be"
                )
                yield InvalidField(path, message)
            if source.kind == SECRET and name == es.target.name:
                message = f"{where} names the Secret that is rendered; write templates elsewhere"
                yield InvalidField(path, message)
        if source.target == DATA:
            continue
        for item in source.items:
            if not item.lines and (why := name_problem(source.target, item.key)):
                yield _wrong(path, source.target, item.key, why)
    for target, field, written in (
        (LABELS, "labels", template.labels),
        (ANNOTATIONS, "annotations", template.annotations),
    ):
        for name, _ in written:
            if why := name_problem(target, name):
                yield _wrong((*_TEMPLATE, "metadata", field, name), target, name, why)


def _wrong(path: FieldPath, target: str, name: str, why: str) -> InvalidField:
    what = target.lower().removesuffix("s")
    return InvalidField(
        path, f"spec.target.template: {what} {name[:80]!r} cannot be written: {why}"
    )
