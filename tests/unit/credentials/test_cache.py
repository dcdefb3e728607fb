"""The cache under a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.clock import loop_time as now
from secret_sync.credentials import CredentialCache, Failure
from secret_sync.errors import (
    CredentialsError,
    DefiniteError,
    ReferenceChangedError,
    ThrottledError,
    TransientError,
)
from tests.unit.credentials.caching import ScriptedProvider, ignore, lasting, permanent
from tests.unit.credentials.obtaining import obtain

if TYPE_CHECKING:
    from secret_sync.credentials import Credentials
    from secret_sync.errors import (
        SecretSyncError,
    )

pytestmark = pytest.mark.looptime


async def test_request_starts_one_fetch_and_notifies_each_caller_once(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(permanent())
    notified: list[int] = []
    cache.hold("store", provider)
    assert cache.peek(provider.key) is None
    for n in range(1000):
        assert cache.request(provider.key, lambda n=n: notified.append(n)) is None  # type: ignore[misc] # mypy cannot infer a default
    assert not notified
    await asyncio.sleep(0.2)
    assert notified == list(range(1000))
    assert len(provider.started) == 1
    assert cache.peek(provider.key) == permanent()
    assert cache.request(provider.key, lambda: notified.append(-1)) == permanent()
    await asyncio.sleep(1000)
    assert -1 not in notified
    assert len(provider.started) == 1, "what does not expire is never fetched again"


async def test_nothing_is_fetched_before_a_request(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent())
    cache.hold("store", provider)
    cache.peek(provider.key)
    await asyncio.sleep(100)
    assert not provider.started


async def test_callback_that_raises_does_not_affect_the_others(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent())
    cache.hold("store", provider)
    notified: list[str] = []
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    cache.request(provider.key, lambda: 1 // 0)  # type: ignore[arg-type] # it never returns
    cache.request(provider.key, lambda: notified.append("second"))
    await asyncio.sleep(0.2)
    assert notified == ["second"]
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_waiters_share_the_fetch_and_a_cancelled_waiter_does_not_stop_it(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(permanent())
    cache.hold("store", provider)
    waiters = [asyncio.create_task(obtain(cache, provider.key)) for _ in range(10)]
    await asyncio.sleep(0.05)
    waiters[0].cancel()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [permanent()] * 9
    assert len(provider.started) == 1
    assert not provider.cancelled


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransientError("away"), [1, 2, 4, 8, 15, 15, 15, 15, 15]),
        (DefiniteError("refused"), [1, 2, 4, 8, 16, 32, 60, 60, 60]),
    ],
)
async def test_failure_is_kept_and_retried_with_growing_delays(
    cache: CredentialCache, error: SecretSyncError, expected: list[int]
) -> None:
    provider = ScriptedProvider(error, takes=0.0)
    cache.hold("store", provider)
    waits = []
    for _ in range(9):
        cache.request(provider.key, ignore)
        await asyncio.sleep(0.001)
        failure = cache.peek(provider.key)
        assert isinstance(failure, Failure)
        waits.append(round(failure.retry_at - provider.started[-1]))
        for _ in range(1000):  # a thousand stores ask
            assert cache.request(provider.key, ignore) is failure
        await asyncio.sleep(failure.retry_at - now())
    assert waits == expected
    assert len(provider.started) == 9


async def test_success_ends_the_backoff(cache: CredentialCache) -> None:
    provider = ScriptedProvider(TransientError("away"), TransientError("away"), permanent())
    cache.hold("store", provider)
    for _ in range(3):
        cache.request(provider.key, ignore)
        await asyncio.sleep(2.5)
    assert cache.peek(provider.key) == permanent()


async def test_wait_that_was_asked_for_is_kept(cache: CredentialCache) -> None:
    provider = ScriptedProvider(ThrottledError("slow down", retry_after=30.0), takes=0.0)
    cache.hold("store", provider)
    cache.request(provider.key, ignore)
    await asyncio.sleep(0.001)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    assert failure.retry_at == pytest.approx(30.0, abs=0.01)


async def test_failed_fetch_calls_its_callers_back(cache: CredentialCache) -> None:
    provider = ScriptedProvider(DefiniteError("no such role"))
    cache.hold("store", provider)
    notified: list[object] = []
    cache.request(provider.key, lambda: notified.append(cache.peek(provider.key)))
    await asyncio.sleep(0.2)
    assert isinstance(notified[0], Failure)
    assert notified[0].error.message == "no such role"


async def test_failure_is_kept_and_not_fetched_again_before_its_time(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(DefiniteError("no such role"))
    cache.hold("store", provider)
    for _ in range(5):
        with pytest.raises(DefiniteError, match="no such role"):
            await obtain(cache, provider.key)
    assert len(provider.started) == 1


async def test_unexpected_error_is_logged_without_its_message(cache: CredentialCache) -> None:
    provider = ScriptedProvider(ValueError("holds hush"))
    cache.hold("store", provider)
    with structlog.testing.capture_logs() as logs, pytest.raises(TransientError) as caught:
        await obtain(cache, provider.key)
    assert "ValueError" in caught.value.message
    assert "hush" not in f"{logs}{caught.value!r}"
    assert caught.value.__context__ is None
    assert [entry["error"] for entry in logs] == ["ValueError"]


async def test_hung_fetch_ends(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent(), takes=1e6)
    cache.hold("store", provider)
    with pytest.raises(TransientError, match="in time"):
        await obtain(cache, provider.key)
    assert now() == pytest.approx(300.0)


async def test_identity_is_kept_until_its_last_user_releases_it(cache: CredentialCache) -> None:
    first, equal = ScriptedProvider(permanent("1")), ScriptedProvider(permanent("2"))
    cache.hold("store-a", first)
    cache.hold("store-a", first)
    cache.hold("store-b", equal)
    assert await obtain(cache, first.key) == permanent("1")
    cache.release("store-a", first.key)
    cache.release("store-a", first.key)
    assert cache.peek(first.key) == permanent("1")
    cache.release("store-b", first.key)
    assert cache.peek(first.key) is None
    cache.release("store-b", first.key)
    with pytest.raises(KeyError):
        cache.request(first.key, ignore)
    assert not equal.started


async def test_release_cancels_the_fetch_and_its_waiters(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent(), takes=5.0)
    cache.hold("store", provider)
    notified: list[str] = []
    cache.request(provider.key, lambda: notified.append("?"))
    await asyncio.sleep(0.1)
    cache.release("store", provider.key)
    await asyncio.sleep(10.0)
    assert provider.cancelled == len(provider.started) == 1
    assert cache.peek(provider.key) is None
    assert not notified


async def test_close_cancels_and_awaits_all_fetches(heard: Any) -> None:
    cache = CredentialCache(heard)
    providers = [ScriptedProvider(permanent(), takes=5.0, name=str(n)) for n in range(3)]
    for provider in providers:
        cache.hold("store", provider)
        cache.request(provider.key, ignore)
    await asyncio.sleep(0.1)
    await cache.close()
    assert [provider.cancelled for provider in providers] == [1, 1, 1]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await cache.close()
    assert heard == []


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (permanent(), "ok"),
        (lasting(900.0), "ok"),
        (ThrottledError("slow down"), "throttled"),
        (TransientError("away"), "unavailable"),
        (CredentialsError("revoked"), "credentials"),
        (DefiniteError("no such role"), "refused"),
        (ValueError("hush"), "unavailable"),
        # Too short to be of use.
        (lasting(59.0), "refused"),
    ],
)
async def test_every_attempt_is_observed(
    cache: CredentialCache, heard: Any, outcome: Any, result: str
) -> None:
    provider = ScriptedProvider(outcome)
    cache.hold("store", provider)
    for _ in range(10):
        cache.request(provider.key, ignore)
    await asyncio.sleep(0.2)
    assert heard == [("Scripted", result)]


async def test_500_users_of_one_identity_cause_one_fetch(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=2.0)
    for n in range(500):
        cache.hold(f"store-{n}", provider)
    found = await asyncio.gather(*(obtain(cache, provider.key) for _ in range(500)))
    assert len(set(map(id, found))) == 1
    assert len(provider.started) == 1


async def test_error_is_kept_without_frames_and_without_other_errors(
    cache: CredentialCache,
) -> None:
    def fails() -> Credentials:
        try:
            int("holds hush")
        except ValueError as error:
            raise DefiniteError("no such role") from error
        return permanent()

    provider = ScriptedProvider(fails)
    cache.hold("store", provider)
    cache.request(provider.key, ignore)
    await asyncio.sleep(1.0)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    error = failure.error
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


async def test_changed_reference_fails_only_after_the_change_had_time_to_arrive(
    cache: CredentialCache,
) -> None:
    changed = ReferenceChangedError("Secret team/ak changed while it was read")
    before, after = ScriptedProvider(changed), ScriptedProvider(permanent(), name="b")
    notified: list[str] = []
    cache.hold("store", before)
    cache.request(before.key, lambda: notified.append("before"))
    await asyncio.sleep(0.5)
    assert cache.peek(before.key) is None
    # The watch event arrived: another identity replaces it.
    cache.hold("store", after)
    cache.release("store", before.key)
    cache.request(after.key, lambda: notified.append("after"))
    await asyncio.sleep(5)
    assert notified == ["after"]
    assert cache.peek(after.key) == permanent()


async def test_reference_that_keeps_changing_is_retried_and_never_used(
    cache: CredentialCache,
) -> None:
    changed = ReferenceChangedError("Secret team/ak changed while it was read")
    provider = ScriptedProvider(changed)
    cache.hold("store", provider)
    for _ in range(60):
        cache.request(provider.key, ignore)
        await asyncio.sleep(1)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    assert failure.error is changed
    assert 4 <= len(provider.started) <= 10
