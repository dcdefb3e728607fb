"""Everything that a store holds has the one metadata base, in slots."""

from __future__ import annotations

import pytest

from secret_sync.resources import (
    Definition,
    ExternalSecret,
    ForeignSecret,
    ManagedSecret,
    Namespace,
    SecretStore,
    ServiceAccount,
)
from secret_sync.resources.meta import CustomObject, ObjectMeta
from secret_sync.resources.schema import Crd

KINDS = (
    Crd,
    Definition,
    ExternalSecret,
    ForeignSecret,
    ManagedSecret,
    Namespace,
    SecretStore,
    ServiceAccount,
)
METADATA = {"namespace", "name", "uid", "resource_version"}


@pytest.mark.parametrize("kind", KINDS)
def test_object_of_a_store_is_metadata_in_slots(kind: type[ObjectMeta]) -> None:
    assert issubclass(kind, ObjectMeta)
    # A class without slots anywhere on the way would bring a dict of 100 bytes for each object.
    assert kind.__dictoffset__ == 0
    assert METADATA.isdisjoint(kind.__annotations__)


@pytest.mark.parametrize("kind", [ExternalSecret, SecretStore])
def test_custom_kinds_share_one_base(kind: type[ObjectMeta]) -> None:
    assert issubclass(kind, CustomObject)
    assert set(CustomObject.__annotations__).isdisjoint(kind.__annotations__)
