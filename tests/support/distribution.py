"""How ``pytest -n`` shares the tests out: what starts once for many stays with one worker.

A worker is handed a file at a time, or several that are handed out as one. It has a control plane,
a local cloud and ports of its own; they start with the first test that asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from pathlib import Path

#: What is handed out as one, for the control plane that it starts beside the worker's own.
TOGETHER = {
    # They share what they parsed of our code.
    "rules": (
        "tests/unit/controller/test_confirmation.py",
        "tests/unit/kube/test_error_classes.py",
        "tests/unit/test_class_names.py",
        "tests/unit/test_maps.py",
        "tests/unit/test_one_of_each.py",
        "tests/unit/test_private_parts.py",
        "tests/unit/test_reference.py",
        "tests/unit/test_tls.py",
        "tests/unit/test_waiting_for_others.py",
    ),
    "ha": ("tests/integration/ha/",),
    "deploy": ("tests/integration/deploy/",),
    "migration": ("tests/integration/migration/",),
    "takeover": ("tests/integration/takeover/",),
    "breakable": (
        "tests/e2e/test_run.py::test_missing_kinds_are_named",
        "tests/integration/test_controlplane.py",
        "tests/integration/controller/test_backup_and_restore.py",
        "tests/integration/controller/test_faults.py::test_an_api_server_that_comes_back",
        "tests/integration/controller/test_life_outdated.py",
        "tests/integration/controller/test_newer_crds.py",
        "tests/integration/controller/test_definitions.py",
        "tests/integration/kube/test_informer.py",
    ),
}
#: What is begun first, so that no worker is left with something long at the end.
FIRST = (
    "tests/e2e/test_image.py",
    "ha",
    "deploy",
    "migration",
    "takeover",
    "breakable",
    "tests/chaos/",
    "tests/e2e/",
    "tests/integration/",
    "rules",
)

#: What states how quick something is in real seconds, or needs both processors: it runs when the
#: others have ended, in one process.
ALONE = (
    "tests/chaos/test_chaos.py",
    "tests/e2e/test_bench.py",
    "tests/e2e/test_hanging_dns.py",
    "tests/e2e/test_unread_log.py",
    "tests/integration/controller/test_faults.py::test_a_hung_cloud_delays_nobody_else",
    "tests/integration/controller/test_many_events.py",
    "tests/integration/controller/test_turns.py",
    "tests/unit/cloud/test_tunnel.py",
)

#: What takes minutes and seldom notices a change of the controller: `make test` leaves it out,
#: `make test-all` and CI run it.
LONG = (
    "tests/e2e/test_bench.py",
    "tests/e2e/test_image.py",
)


def portion_of(nodeid: str) -> str:
    """What a test is handed out with: a name of ``TOGETHER``, or its file."""
    for name, places in TOGETHER.items():
        if nodeid.startswith(places):
            return name
    return nodeid.partition("::")[0]


class ByPlane(LoadScopeScheduling):  # type: ignore[misc]  # the package has no types
    """Hands out the portions in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return portion_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPlane:
    # It would begin with the file that has the most tests: those are the quickest of all.
    config.option.loadscopereorder = False
    return ByPlane(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # To import all the others for the few that run alone takes ten seconds, of one processor.
    if not config.option.markexpr.startswith("alone") or collection_path.is_dir():
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    return path not in {place.partition("::")[0] for place in ALONE} or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Before ``-m`` selects.
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker(pytest.mark.alone)
        if item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.long)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(portion_of(item.nodeid)))


def _rank(portion: str) -> int:
    places = (rank for rank, begin in enumerate(FIRST) if portion.startswith(begin))
    return next(places, len(FIRST))
