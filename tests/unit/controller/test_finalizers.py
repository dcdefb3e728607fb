"""``LegacyFinalizers``: the finalizer of ack-secret-manager goes, without endless attempts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.controller.legacy_finalizers import LegacyFinalizers
from secret_sync.kube import ApiError, ApiRefusedError, ApiUnavailableError, OutdatedError
from tests.unit.controller.fakes import PlayedFinalizerWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"


@pytest.fixture
def api() -> PlayedFinalizerWriter:
    return PlayedFinalizerWriter()


@pytest.fixture
def finalizers(api: PlayedFinalizerWriter) -> LegacyFinalizers:
    writer: Any = api
    return LegacyFinalizers(writer, EXTERNAL_SECRETS)


@pytest.fixture
def state() -> SyncState:
    return SyncState()


@pytest.fixture
def es(make_es: MakeES) -> ExternalSecret:
    return make_es(metadata={"finalizers": [FINALIZER]})


async def test_legacy_finalizer_is_removed(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    assert await finalizers.remove(es, state) is True
    assert api.asked == [("ExternalSecret", "ns/some", "es-uid", FINALIZER)]


async def test_object_without_a_finalizer_costs_no_call(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, make_es: MakeES
) -> None:
    assert await finalizers.remove(make_es(), state) is False
    assert not api.asked


async def test_object_that_is_gone_is_not_reported(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    api.gone = True
    assert await finalizers.remove(es, state) is False


async def test_after_three_times_it_is_left_alone_for_ten_minutes(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    # ack-secret-manager is still running, and puts it back.
    assert [await finalizers.remove(es, state) for _ in range(5)] == [True] * 3 + [False] * 2
    assert len(api.asked) == 3
    await asyncio.sleep(599)
    assert await finalizers.remove(es, state) is False
    await asyncio.sleep(2)
    assert await finalizers.remove(es, state) is True


async def test_each_object_has_its_own_three_times(
    finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    other = replace(es, name="other")
    for _ in range(3):
        assert await finalizers.remove(es, state)
    assert await finalizers.remove(other, SyncState()) is True
    assert await finalizers.remove(es, state) is False
    # Created again, it starts again.
    state.renew("newer")
    assert await finalizers.remove(es, state) is True


async def test_an_object_that_goes_is_let_go_of_however_often(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    for _ in range(3):
        await finalizers.remove(es, state)
    going = replace(es, deleting=True)
    assert [await finalizers.remove(going, state) for _ in range(3)] == [True] * 3
    assert len(api.asked) == 6


@pytest.mark.parametrize("deleting", [False, True])
async def test_a_refusal_holds_up_only_what_cannot_go_without_it(
    api: PlayedFinalizerWriter,
    finalizers: LegacyFinalizers,
    state: SyncState,
    es: ExternalSecret,
    *,
    deleting: bool,
) -> None:
    api.fault = ApiRefusedError("no such right", status=403)
    if deleting:
        with pytest.raises(ApiError):
            await finalizers.remove(replace(es, deleting=True), state)
    else:
        assert await finalizers.remove(es, state) is False


@pytest.mark.parametrize("deleting", [False, True])
async def test_of_another_object_by_that_name_nothing_is_taken(
    api: PlayedFinalizerWriter,
    finalizers: LegacyFinalizers,
    state: SyncState,
    es: ExternalSecret,
    *,
    deleting: bool,
) -> None:
    api.fault = OutdatedError("another one by now")
    assert await finalizers.remove(replace(es, deleting=deleting), state) is False


async def test_an_api_server_that_is_away_is_asked_again(
    api: PlayedFinalizerWriter, finalizers: LegacyFinalizers, state: SyncState, es: ExternalSecret
) -> None:
    api.fault = ApiUnavailableError("away", status=503)
    for _ in range(3):
        with pytest.raises(ApiUnavailableError):
            await finalizers.remove(es, state)
    # And that was no write conflict.
    api.fault = None
    assert await finalizers.remove(es, state) is True
