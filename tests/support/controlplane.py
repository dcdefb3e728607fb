"""The control plane of the test session: one for all, a namespace per test."""

from __future__ import annotations

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from secret_sync.local.controlplane.binaries import ensure_binaries
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.controlplane.plane import ControlPlane
from tests.support.kustomize import Kubectl
from tests.support.operator import install_crds

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager

    from secret_sync.local.controlplane.binaries import Binaries

T = TypeVar("T")

TESTS = Path(__file__).parents[1]
OPERATOR_KINDS = TESTS / "data" / "prometheus_operator.yaml"

#: The control planes that run, by the fixture's name.
_RUNNING: dict[str, ControlPlane] = {}
#: The place of each test in the order of all, and that of the last one for each fixture.
_PLACES: dict[pytest.Item, int] = {}
_LAST: dict[str, int] = {}


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
    _PLACES.update((item, place) for place, item in enumerate(session.items))
    _LAST.update((name, _PLACES[item]) for item in session.items for name in _fixtures_of(item))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Stop the control planes that no later test uses: they take of the processors all the same.

    A worker is handed tests in their order, but not each: the next one is past the last that uses
    a fixture.
    """
    following = len(_PLACES) if nextitem is None else _PLACES[nextitem]
    for name in [name for name in _RUNNING if _LAST.get(name, following) < following]:
        apart(_RUNNING.pop(name).stop())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    # What workers print is not seen, and only they know the tests.
    if not all(_is_unit(argument) for argument in config.args):
        _build_programs(config)


def _is_unit(argument: str) -> bool:
    return TESTS / "unit" in Path(argument.partition("::")[0]).resolve().joinpath("any").parents


def _build_programs(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    try:
        ensure_binaries(reporter.write_line if reporter else print, threading.Event())
    except ControlPlaneError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def programs() -> Binaries:
    """What every control plane is made of. Whoever starts one asks for it, to be counted."""
    return ensure_binaries(print, threading.Event())


class StartPlane(Protocol):
    """Starts a control plane for the tests that ask for the fixture in which it is called."""

    def __call__(
        self, request: pytest.FixtureRequest, *, audit_log: bool = False
    ) -> AbstractContextManager[ControlPlane]: ...


@pytest.fixture(scope="session")
def start_plane(programs: Binaries, tmp_path_factory: pytest.TempPathFactory) -> StartPlane:
    @contextmanager
    def start(request: pytest.FixtureRequest, *, audit_log: bool = False) -> Iterator[ControlPlane]:
        name = str(request.fixturename)
        with own_control_plane(tmp_path_factory.mktemp(name), audit_log=audit_log) as plane:
            _RUNNING[name] = plane
            yield plane
            _RUNNING.pop(name, None)

    return start


@pytest.fixture(scope="session")
def control_plane(
    request: pytest.FixtureRequest, start_plane: StartPlane
) -> Iterator[ControlPlane]:
    """Shared by all tests: leave it as it was found."""
    with start_plane(request) as plane:
        yield plane


@pytest.fixture(scope="session")
def _breakable_control_plane(
    request: pytest.FixtureRequest, start_plane: StartPlane
) -> Iterator[ControlPlane]:
    with start_plane(request) as plane:
        yield plane


@pytest.fixture
def breakable_control_plane(_breakable_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """For tests that kill the API server or compact etcd; whole again for the next one."""
    yield _breakable_control_plane
    if not _breakable_control_plane.admin.answers("/readyz"):
        apart(_breakable_control_plane.start_api_server())


@pytest.fixture(scope="session")
def audited_control_plane(
    request: pytest.FixtureRequest, start_plane: StartPlane
) -> Iterator[ControlPlane]:
    """One that writes down who asked for what, with our kinds and those of Prometheus' operator.

    Its tests may change definitions, and put them back.
    """
    with start_plane(request, audit_log=True) as plane:
        install_crds(plane)
        kubectl = Kubectl(plane)
        kubectl("apply", "--server-side", "-f", str(OPERATOR_KINDS))
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(OPERATOR_KINDS))
        # So that what goes with its owner goes at once.
        apart(plane.learn_kinds())
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the shared control plane; it goes when the test is over."""
    yield from fresh_namespace(control_plane)


@pytest.fixture
def breakable_namespace(breakable_control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the control plane that may be broken."""
    yield from fresh_namespace(breakable_control_plane)


def _needs_control_plane(item: pytest.Item) -> bool:
    return "programs" in _fixtures_of(item)


def _fixtures_of(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


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
