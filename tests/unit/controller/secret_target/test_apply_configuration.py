"""What is sent of a Secret: all that we want, and nothing empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.secret_target.apply_configuration import (
    empty_apply_configuration,
    is_applied,
    merge_apply_configuration,
    owner_apply_configuration,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

DESIRED = Desired(b"f", frozenset("ab"), {"a": b"\x00\xff", "b": b""}, (), ())
BARE = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns", "name": "some"}}
MARK = {"secret-sync.alibabacloud.com/owner": "some/es-uid"}
MANAGED = {"app.kubernetes.io/managed-by": "secret-sync"}
REFERENCE = {
    "apiVersion": "alibabacloud.com/v1alpha1",
    "kind": "ExternalSecret",
    "name": "some",
    "uid": "es-uid",
    "controller": True,
}
DATA = {"a": "AP8=", "b": ""}


@pytest.mark.parametrize(
    ("spec", "metadata", "rest"),
    [
        ({}, {"ownerReferences": [REFERENCE]}, {"type": "Opaque"}),
        (
            {"type": "kubernetes.io/tls"},
            {"ownerReferences": [REFERENCE]},
            {"type": "kubernetes.io/tls"},
        ),
        ({"target": {"deletionPolicy": "Retain"}}, {}, {"type": "Opaque"}),
        (
            {"target": {"immutable": True, "deletionPolicy": "Retain"}},
            {},
            {"type": "Opaque", "immutable": True},
        ),
        (
            {"target": {"name": "other"}},
            {"name": "other", "ownerReferences": [REFERENCE]},
            {"type": "Opaque"},
        ),
    ],
)
def test_a_secret_of_its_own(
    make_es: MakeES, spec: dict[str, Any], metadata: dict[str, Any], rest: dict[str, Any]
) -> None:
    assert owner_apply_configuration(make_es(**spec), DESIRED) == {
        **BARE,
        "metadata": {
            "namespace": "ns",
            "name": "some",
            "annotations": MARK,
            "labels": MANAGED,
            **metadata,
        },
        "data": DATA,
        **rest,
    }


def test_keys_in_an_unmanaged_secret(make_es: MakeES) -> None:
    es = make_es(target={"creationPolicy": "Merge"}, type="kubernetes.io/tls")
    assert merge_apply_configuration(es, DESIRED) == {**BARE, "data": DATA}


def test_nothing_at_all(make_es: MakeES) -> None:
    assert empty_apply_configuration(make_es()) == BARE
    assert empty_apply_configuration(make_es(), "former")["metadata"] == {
        "namespace": "ns",
        "name": "former",
    }


def test_missing_values_are_not_written(make_es: MakeES) -> None:
    absent = Desired(b"f", frozenset("ab"), None, (), ())
    with pytest.raises(AssertionError):
        owner_apply_configuration(make_es(), absent)


def test_label_of_another_writer_is_not_applied(make_es: MakeES) -> None:
    whole = owner_apply_configuration(make_es(), DESIRED, labelled=True)
    assert "labels" not in whole["metadata"]


@pytest.mark.parametrize("labels", [None, {}, MANAGED, {**MANAGED, "a": "b"}])
def test_secret_without_the_label_needs_no_write(
    make_es: MakeES, labels: dict[str, str] | None
) -> None:
    """Otherwise an upgrade would write each Secret of an older version."""
    whole = owner_apply_configuration(make_es(), DESIRED)
    assert is_applied(whole, {**whole, "metadata": {**whole["metadata"], "labels": labels}})
