"""Whether the kind ClusterExternalSecret is served at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from secret_sync.app.cluster_external_secrets import ClusterExternalSecrets
from secret_sync.app.watched import Capabilities
from secret_sync.settings import Settings


class Definitions:
    """An informer that remembers its handlers."""

    def __init__(self, *names: str) -> None:
        self.handlers: list[Any] = []
        self.store = dict.fromkeys(names)

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)


@pytest.mark.parametrize(
    ("settings", "capabilities", "why"),
    [
        (Settings(), Capabilities(), ""),
        (Settings(), Capabilities(definitions="no rule"), ""),
        (
            Settings(process_cluster_external_secret=False),
            Capabilities(),
            "--process-cluster-external-secret is false",
        ),
        # Namespaced mode.
        (Settings(), Capabilities(namespaces="no rule for namespaces"), "no rule for namespaces"),
    ],
)
def test_kind_is_served_unless_it_is_off_or_namespaces_are_unknown(
    settings: Settings, capabilities: Capabilities, why: str
) -> None:
    definitions = Definitions()
    parts: Any = SimpleNamespace(watched=SimpleNamespace(definitions=definitions))
    made = ClusterExternalSecrets(settings, capabilities, parts)
    assert made.why_not == why
    assert len(definitions.handlers) == (0 if why else 1)
    assert made.queues == []
    # Before there is anything to enqueue.
    made.everything_changed()


DEFINITION = "clusterexternalsecrets.alibabacloud.com"


@pytest.mark.parametrize(
    ("definitions", "capabilities", "settled"),
    [
        (Definitions(), Capabilities(), True),
        # It is asked for rights and listed in a moment.
        (Definitions(DEFINITION), Capabilities(), False),
        (Definitions(), Capabilities(definitions="no rule"), False),
        (Definitions(DEFINITION), Capabilities(namespaces="no rule for namespaces"), True),
    ],
)
def test_objects_are_known_once_the_kind_is_listed_or_not_served(
    definitions: Definitions,
    capabilities: Capabilities,
    settled: bool,  # noqa: FBT001 - a parameter
) -> None:
    watched = SimpleNamespace(definitions=definitions, cluster_external_secrets=None)
    parts: Any = SimpleNamespace(watched=watched)
    made = ClusterExternalSecrets(Settings(dry_run=True), capabilities, parts)
    assert made.settled is settled
    assert made.plans() == {}
    watched.cluster_external_secrets = SimpleNamespace(synced=True)
    assert made.settled
