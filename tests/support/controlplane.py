"""The control plane of the test session: one for all, a namespace per test."""

from __future__ import annotations

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from secret_sync.local.controlplane.binaries import ensure_binaries
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.controlplane.plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")

UNIT = Path(__file__).parents[1] / "unit"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _needs_control_plane(item):
            item.add_marker("controlplane")


def pytest_collection_finish(session: pytest.Session) -> None:
    # Here and not in the fixture: a first build takes longer than any test may, and what it
    # reports on its way is to be seen.
    if not session.config.option.collectonly and any(map(_needs_control_plane, session.items)):
        _build_programs(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    # What workers print is not seen, and only they know the tests.
    if not all(_is_unit(argument) for argument in config.args):
        _build_programs(config)


def _is_unit(argument: str) -> bool:
    return UNIT in Path(argument.partition("::")[0]).resolve().joinpath("any").parents


def _build_programs(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    try:
        ensure_binaries(reporter.write_line if reporter else print, threading.Event())
    except ControlPlaneError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Shared by all tests: leave it as it was found."""
    with own_control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def _breakable_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with own_control_plane(tmp_path_factory.mktemp("breakable-control-plane")) as plane:
        yield plane


@pytest.fixture
def breakable_control_plane(_breakable_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """For tests that kill the API server or compact etcd; whole again for the next one."""
    yield _breakable_control_plane
    if not _breakable_control_plane.admin.answers("/readyz"):
        apart(_breakable_control_plane.start_api_server())


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the shared control plane; it goes when the test is over."""
    yield from fresh_namespace(control_plane)


@pytest.fixture
def breakable_namespace(breakable_control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the control plane that may be broken."""
    yield from fresh_namespace(breakable_control_plane)


def _needs_control_plane(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return not {"control_plane", "breakable_control_plane", "kubectl_program"}.isdisjoint(names)


@contextmanager
def own_control_plane(directory: Path, *, audit_log: bool = False) -> Iterator[ControlPlane]:
    """One that nobody else uses.

    Args:
        directory: For its files.
        audit_log: Whether the API server records all requests.
    """
    plane = apart(ControlPlane.start(directory, audit_log=audit_log))
    try:
        yield plane
    finally:
        apart(plane.stop())


def fresh_namespace(plane: ControlPlane) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    answer = plane.admin.request("POST", "/api/v1/namespaces", body)
    assert answer.status == 201, answer.body
    yield name
    if plane.admin.answers("/readyz"):
        plane.admin.request("DELETE", f"/api/v1/namespaces/{name}")


def apart(coroutine: Coroutine[None, None, T]) -> T:
    """What a coroutine returns, run in a loop of its own."""
    # In a thread of its own too: the tests' loop is pytest-asyncio's business.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()
