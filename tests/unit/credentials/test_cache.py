"""The cache under a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.clock import loop_time as now
from secret_sync.credentials import CredentialCache, CredentialKey, Credentials, Failure
from secret_sync.errors import (
    CredentialsError,
    DefiniteError,
    ReferenceChangedError,
    SecretSyncError,
    ThrottledError,
    TransientError,
)
from tests.unit.credentials.obtaining import obtain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.looptime

Outcome = Credentials | Exception


class ScriptedProvider:
    """Each fetch takes a while and then ends as the script says; its last outcome repeats."""

    base = None

    def __init__(
        self, *outcomes: Outcome | Callable[[], Outcome], takes: float = 0.1, name: str = "a"
    ) -> None:
        self.key = CredentialKey("Scripted", (name,))
        self.outcomes = list(outcomes)
        self.takes = takes
        self.started: list[float] = []
        self.cancelled = 0

    async def fetch(self, base: Credentials | None) -> Credentials:
        self.started.append(now())
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def permanent(name: str = "LTAI") -> Credentials:
    return Credentials(name, "secret")


def lasting(seconds: float) -> Callable[[], Credentials]:
    """Temporary credentials that live so long from the moment they are obtained."""
    return lambda: Credentials(f"STS.{now()}", "secret", "token", now() + seconds)


def ignore() -> None:
    pass


@pytest.fixture
async def cache(heard: Any) -> AsyncIterator[CredentialCache]:
    cache = CredentialCache(heard)
    yield cache
    await cache.close()


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


async def test_renewals_are_observed(cache: CredentialCache, heard: Any) -> None:
    provider = ScriptedProvider(lasting(900.0), TransientError("away"), lasting(900.0))
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    await asyncio.sleep(700.0)
    assert heard == [("Scripted", r) for r in ("ok", "unavailable", "ok")]


@pytest.mark.parametrize(
    ("lifetime", "earliest", "latest"),
    # 5 minutes before the end, a fifth of the lifetime if that is more; jittered by a tenth
    [(900.0, 570.0, 600.0), (3600.0, 2808.0, 2880.0), (300.0, 150.0, 150.0)],
)
async def test_expiring_ones_are_renewed_ahead(
    cache: CredentialCache, lifetime: float, earliest: float, latest: float
) -> None:
    provider = ScriptedProvider(lasting(lifetime), takes=0.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(earliest - 1.0)
    assert cache.peek(provider.key) is first
    await asyncio.sleep(latest - earliest + 2.0)
    assert len(provider.started) == 2
    assert earliest - 0.1 <= provider.started[1] <= latest + 0.1
    second = cache.peek(provider.key)
    assert isinstance(second, Credentials)
    assert second is not first


async def test_credentials_obtained_together_are_not_renewed_together(
    cache: CredentialCache,
) -> None:
    providers = [ScriptedProvider(lasting(3600.0), takes=0.0, name=str(n)) for n in range(50)]
    for provider in providers:
        cache.hold("store", provider)
        cache.request(provider.key, ignore)
    await asyncio.sleep(2900)
    times = {round(provider.started[1]) for provider in providers}
    assert len(times) > 20


async def test_old_credentials_are_returned_until_their_last_minute_while_renewal_fails(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(900.0), TransientError("away"), takes=0.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(839.0)
    assert cache.request(provider.key, ignore) is first
    tries = len(provider.started) - 1
    assert 18 <= tries <= 22, "1, 2, 4, ... 15 s apart for 270 s"
    await asyncio.sleep(2.0)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    tries = len(provider.started)
    await asyncio.sleep(600.0)
    assert len(provider.started) <= tries + 1, "nothing is left to lose: the users come back"


async def test_renewal_does_not_affect_concurrent_callers(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0), takes=5.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(569.0)
    for _ in range(40):
        if len(provider.started) == 2:
            break
        await asyncio.sleep(1.0)
    assert len(provider.started) == 2
    assert cache.request(provider.key, ignore) is first
    assert await obtain(cache, provider.key) is first


async def test_forgotten_identity_is_not_renewed(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0))
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    cache.release("store", provider.key)
    await asyncio.sleep(2000.0)
    assert len(provider.started) == 1


async def test_credentials_about_to_expire_are_refused_at_once(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(30.0))
    cache.hold("store", provider)
    with pytest.raises(SecretSyncError, match="less than a minute"):
        await obtain(cache, provider.key)


async def test_refused_credentials_are_replaced_once_for_all_callers(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0))
    cache.hold("store", provider)
    refused = await obtain(cache, provider.key)
    await asyncio.sleep(120.0)
    assert all(cache.invalidate(provider.key, refused) for _ in range(100))
    assert cache.peek(provider.key) is None
    renewed = await obtain(cache, provider.key)
    assert renewed is not refused
    assert cache.invalidate(provider.key, refused), "whoever comes late: there are newer ones"
    assert cache.peek(provider.key) is renewed
    assert len(provider.started) == 2


async def test_fresh_ones_that_are_refused_are_replaced_once(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(3600.0))
    cache.hold("store", provider)
    revoked = await obtain(cache, provider.key)
    assert cache.invalidate(provider.key, revoked)
    for _ in range(100):
        assert not cache.invalidate(provider.key, await obtain(cache, provider.key))
    assert len(provider.started) == 2


async def test_credentials_accepted_meanwhile_are_replaced_soon_again(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    for _ in range(600):
        found = await obtain(cache, provider.key)
        cache.accepted(provider.key, found)
        cache.invalidate(provider.key, found)
        await asyncio.sleep(1.0)
    assert 58 <= len(provider.started) <= 62, "every ten seconds"


async def test_acceptance_of_other_credentials_does_not_count(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    former = await obtain(cache, provider.key)
    for _ in range(600):
        cache.accepted(provider.key, former)
        cache.invalidate(provider.key, await obtain(cache, provider.key))
        await asyncio.sleep(1.0)
    assert len(provider.started) <= 14


async def test_permanently_refused_credentials_are_replaced_once_a_minute(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    for _ in range(600):
        cache.invalidate(provider.key, await obtain(cache, provider.key))
        await asyncio.sleep(1.0)
    assert 12 <= len(provider.started) <= 14, "after 10, 20, 40 and then every 60 s"


async def test_renewals_ahead_do_not_keep_a_refused_one(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0), takes=0.0)
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    await asyncio.sleep(610.0)
    assert len(provider.started) == 2, "renewed a moment ago, but not for a refusal"
    assert cache.invalidate(provider.key, await obtain(cache, provider.key))


async def test_permanent_ones_are_not_replaced(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent())
    cache.hold("store", provider)
    refused = await obtain(cache, provider.key)
    await asyncio.sleep(1000.0)
    assert not cache.invalidate(provider.key, refused)
    assert cache.peek(provider.key) is refused
    assert len(provider.started) == 1


async def test_credentials_without_a_user_cannot_be_invalidated(cache: CredentialCache) -> None:
    assert not cache.invalidate(CredentialKey("None", ()), lasting(3600.0)())


async def test_500_users_of_one_identity_cause_one_fetch(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=2.0)
    for n in range(500):
        cache.hold(f"store-{n}", provider)
    found = await asyncio.gather(*(obtain(cache, provider.key) for _ in range(500)))
    assert len(set(map(id, found))) == 1
    assert len(provider.started) == 1


@pytest.mark.slow
async def test_ten_minutes_without_sts_lose_nothing(cache: CredentialCache) -> None:
    down = [TransientError("away")] * 100

    def away_or_back() -> Credentials:
        if 2700.0 < now() < 3300.0:
            raise down.pop()
        return lasting(3600.0)()

    provider = ScriptedProvider(away_or_back, takes=0.0)
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    for _ in range(7200):
        await asyncio.sleep(1.0)
        assert isinstance(cache.request(provider.key, ignore), Credentials)
    assert len(down) < 100, "it was away when the renewal was due"


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
