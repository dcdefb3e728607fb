"""Which namespace is meant where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from secret_sync.cli import cluster
from secret_sync.cli.arguments import Scope
from secret_sync.kube import namespace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _not_in_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def kubeconfig(path: Path, **context: str) -> str:
    document = {
        "current-context": "mine",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [
            {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "wrong"}},
            {"name": "mine", "context": {"cluster": "c", "user": "u", **context}},
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


async def test_named_namespace_counts(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", namespace="team-a")
    assert await cluster.namespace_of(Scope(namespace="team-b", kubeconfig=path)) == "team-b"
    assert await cluster.namespace_of(Scope(everywhere=True, kubeconfig=path)) == ""


async def test_namespace_of_the_context_comes_second(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", namespace="team-a")
    assert await cluster.namespace_of(Scope(kubeconfig=path)) == "team-a"
    # Joined as in the variable; the first one that says something counts.
    assert await cluster.namespace_of(Scope(kubeconfig=f"/nonexistent:{path}")) == "team-a"


async def test_default_namespace_comes_last(tmp_path: Path) -> None:
    assert await cluster.namespace_of(Scope(kubeconfig=kubeconfig(tmp_path / "c"))) == "default"


async def test_in_a_pod_the_namespace_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    own = tmp_path / "namespace"
    monkeypatch.setattr(namespace, "OWN_NAMESPACE", own)
    assert await cluster.namespace_of(Scope()) == "default"
    own.write_text("team-c\n")
    assert await cluster.namespace_of(Scope()) == "team-c"
