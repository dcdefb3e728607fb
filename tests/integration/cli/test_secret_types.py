"""What `check` believes of Kubernetes' own types, held against a real API server."""

from __future__ import annotations

import base64
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.cli.check import types

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane


def is_accepted(plane: ControlPlane, kind: str, values: dict[str, str]) -> bool:
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "some"},
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()},
    }
    path = "/api/v1/namespaces/default/secrets?dryRun=All"
    answer = plane.admin.request("POST", path, secret)
    assert answer.status in {HTTPStatus.CREATED, HTTPStatus.UNPROCESSABLE_ENTITY}, answer.body
    return answer.status == HTTPStatus.CREATED


@pytest.mark.parametrize("kind", types.REQUIRED)
def test_each_group_needs_one_key_and_no_more(control_plane: ControlPlane, kind: str) -> None:
    groups = types.REQUIRED[kind]
    for chosen in product(*groups):
        assert is_accepted(control_plane, kind, dict.fromkeys(chosen, "{}"))
    for left_out in groups:
        others = [key for group in groups if group is not left_out for key in group]
        assert not is_accepted(control_plane, kind, dict.fromkeys(others, "{}"))


@pytest.mark.parametrize(
    "value", ["null", "{}", '{"a": [1]}', "[]", '"a"', "1", "e30=", "", "{", "NaN"]
)
@pytest.mark.parametrize("key", types.JSON_OBJECTS)
def test_json_objects(control_plane: ControlPlane, key: str, value: str) -> None:
    kind = next(kind for kind, groups in types.REQUIRED.items() if (key,) in groups)
    assert is_accepted(control_plane, kind, {key: value}) is types.is_object(value.encode())
