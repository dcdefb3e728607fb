"""What several of these tests write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.controller.merging import MERGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret


@pytest.fixture
def es(make_es: Callable[..., ExternalSecret]) -> ExternalSecret:
    """One that merges, of the middle of the year."""
    return make_es(metadata={"creationTimestamp": "2026-06-01T00:00:00Z"}, target=MERGE)
