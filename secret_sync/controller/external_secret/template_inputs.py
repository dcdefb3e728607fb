"""What templates are rendered with, beside the fetched values."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from secret_sync.controller.external_secret.rendering import TemplateInput

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.password_hashes import PasswordHashes
    from secret_sync.controller.external_secret.template_references import TemplateReferences
    from secret_sync.controller.sync import SyncContext
    from secret_sync.resources.template import SecretTemplate


class TemplateInputs:
    """Gathers them.

    Attributes:
        hashes: Computes those of passwords.
        references: Reads templates from other objects.
    """

    def __init__(self, hashes: PasswordHashes, references: TemplateReferences) -> None:
        self.hashes = hashes
        self.references = references

    def of(self, ctx: SyncContext, template: SecretTemplate) -> TemplateInput:
        """Return what the template of an object is rendered with now."""
        told = ctx.state.rendered_at
        return TemplateInput(
            template,
            uid=ctx.es.uid,
            versions=self.references.versions(ctx.es, template),
            synced_at=seconds_of(ctx.es.status.last_sync_time) if told is None else told,
            now=int(time.time()),
            written=ctx.state.written,
            hashes=self.hashes.known,
        )


def seconds_of(written: str) -> int:
    """Return a time of a status in seconds since the epoch; 0 if it is none."""
    try:
        return int(datetime.fromisoformat(written).timestamp())
    except (ValueError, OverflowError):
        return 0
