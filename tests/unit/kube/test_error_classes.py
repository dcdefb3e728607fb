"""An error of the API server is a refusal or an outage; code distinguishes them by class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import secret_sync
from secret_sync.kube import ApiError, ApiRefusedError, ApiUnavailableError
from secret_sync.kube.errors import error_of
from tests.support.source import nodes_of

PACKAGE = Path(secret_sync.__file__).parent


def below(kind: type[ApiError]) -> set[type[ApiError]]:
    return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))


def test_every_class_is_a_refusal_or_an_outage() -> None:
    assert below(ApiError) - {ApiError} == below(ApiRefusedError) | below(ApiUnavailableError)
    assert not below(ApiRefusedError) & below(ApiUnavailableError)


@pytest.mark.parametrize("status", range(400, 600))
def test_every_answer_is_a_refusal_or_an_outage(status: int) -> None:
    error = error_of("GET /x", status, b"", {})
    away = status == 429 or status >= 500
    assert isinstance(error, ApiUnavailableError if away else ApiRefusedError)


def test_nothing_raises_the_base_or_passes_an_outage_on_by_hand() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in nodes_of(path):
            match node:
                case ast.Call(func=ast.Name(id="ApiError")):
                    found.append(f"{path}:{node.lineno}: ApiError is made")
                case ast.ExceptHandler(
                    type=ast.Name(id="ApiUnavailableError"), body=[ast.Raise(exc=None)]
                ):
                    found.append(f"{path}:{node.lineno}: catch ApiRefusedError instead")
    assert found == []
