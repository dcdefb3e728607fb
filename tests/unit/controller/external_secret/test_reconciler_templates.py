"""The control loop of ExternalSecrets whose templates are in other objects: what is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret import document_processor
from secret_sync.controller.external_secret.template_references import TemplateReferences
from tests.unit.controller.extracting import an_es
from tests.unit.controller.looping import Loop

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.rendering import TextKey
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.template import SecretTemplate

pytestmark = pytest.mark.looptime

REFERRING = an_es(
    data=[{"key": "a"}],
    target={
        "template": {"templateFrom": [{"configMap": {"name": "texts", "items": [{"key": "k"}]}}]}
    },
)


class AskedReferences(TemplateReferences):
    """References to an object that has one text; remembers what was asked for."""

    def __init__(self) -> None:
        self.looked_up = self.read_texts = 0

    def versions(self, _es: ExternalSecret, _template: SecretTemplate) -> tuple[str, ...]:
        return ("ConfigMap/texts/",)

    async def look_up(self, _es: ExternalSecret, _template: SecretTemplate) -> None:
        self.looked_up += 1

    async def read(self, _es: ExternalSecret, _template: SecretTemplate) -> dict[TextKey, bytes]:
        self.read_texts += 1
        return {("ConfigMap", "texts", "k"): b"text"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> AskedReferences:
    found = AskedReferences()
    for name in ("versions", "look_up", "read"):
        wanted = getattr(found, name)
        monkeypatch.setattr(
            TemplateReferences, name, lambda _self, *args, wanted=wanted: wanted(*args)
        )
    return found


async def test_references_are_looked_up_once_in_each_generation(asked: AskedReferences) -> None:
    loop = Loop(REFERRING)
    loop.knows(a=b"1")
    for _ in range(3):
        await loop.settle()
    assert loop.writer.written
    assert asked.looked_up == 1
    await loop.reconcile(replace(REFERRING, generation=REFERRING.generation + 1))
    assert asked.looked_up == 2


async def test_texts_are_not_read_for_an_object_that_is_parked(
    asked: AskedReferences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_processor, "CAPACITY", -1)
    loop = Loop(REFERRING)
    loop.knows(a=b"1")
    await loop.reconcile()
    await loop.reconcile()
    assert asked.read_texts == 0
    assert len(loop.processor) == 1
