"""What makes Secrets of values, beside the control loops: documents, templates and hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from secret_sync.controller.external_secret.document_processor import DocumentProcessor
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.controller.external_secret.password_hashes import PasswordHashes
from secret_sync.controller.external_secret.template_inputs import TemplateInputs
from secret_sync.controller.external_secret.template_references import (
    TemplateReferences,
    TemplateSources,
)
from secret_sync.queue import TimeSlicedWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.app.watched import Watched
    from secret_sync.kube import KubeClient
    from secret_sync.queue import Priority
    from secret_sync.settings import Settings


class Processing(NamedTuple):
    """The parts, connected.

    Attributes:
        parsing: The worker that parses and renders.
        hashing: The worker that hashes passwords.
        expressions: The compiled ones of each object.
        references: What templates are read from.
        processor: Extracts and renders.
    """

    parsing: TimeSlicedWorker
    hashing: TimeSlicedWorker
    expressions: ExpressionCompiler
    references: TemplateReferences
    processor: DocumentProcessor


def make_processing(
    settings: Settings,
    client: KubeClient,
    watched: Watched,
    enqueue: Callable[[Iterable[str], Priority], None],
) -> Processing:
    """Build the parts.

    Args:
        settings: For what may be a template.
        client: Reads templates.
        watched: The ConfigMaps and Secrets that hold them.
        enqueue: Called with objects for which something is done.
    """
    parsing, hashing = TimeSlicedWorker(), TimeSlicedWorker()
    expressions = ExpressionCompiler(parsing, enqueue)
    references = TemplateReferences(
        TemplateSources(
            client,
            watched.secrets.store,
            watched.config_maps,
            watched.watch_config_maps,
            granted=settings.template_secrets == "granted",
        )
    )
    inputs = TemplateInputs(PasswordHashes(hashing, enqueue), references)
    processor = DocumentProcessor(parsing, expressions, enqueue, inputs)
    return Processing(parsing, hashing, expressions, references, processor)
