"""What a processor needs for templates, with nothing that they could refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.controller.external_secret.password_hashes import PasswordHashes
from secret_sync.controller.external_secret.template_inputs import TemplateInputs
from secret_sync.controller.external_secret.template_references import (
    TemplateReferences,
    TemplateSources,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.queue import Priority, TimeSlicedWorker


def template_inputs(
    worker: TimeSlicedWorker, enqueue: Callable[[Iterable[str], Priority], None]
) -> TemplateInputs:
    """Return what templates need where they refer to no other object."""
    unused: Any = None
    sources = TemplateSources(unused, unused, unused, unused)
    return TemplateInputs(PasswordHashes(worker, enqueue), TemplateReferences(sources))
