"""The control loop of ExternalSecrets: what is taken over, fetched once, outdated, or gone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.reconciler import REFUSED_AGAIN_AFTER
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.secret_target.cleanup import PrunedTargets
from secret_sync.controller.sync import UNCHANGED, Problem, Refused
from secret_sync.errors import DefiniteError
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.queue import Done, RequeueAfter, Retry
from secret_sync.resources import Condition, ExternalSecretStatus, Reason
from tests.unit.controller.extracting import an_es, extract, reading
from tests.unit.controller.looping import CHANGED, KEY, Loop

if TYPE_CHECKING:
    from secret_sync.kube import ApiError
    from secret_sync.resources import ExternalSecret

pytestmark = pytest.mark.looptime

NAME = "externalsecrets.alibabacloud.com"


def one(**spec: Any) -> ExternalSecret:
    return an_es(data=[{"key": "a"}], **spec)


def legacy(es: ExternalSecret, *, deleting: bool = False) -> ExternalSecret:
    return replace(es, legacy=True, deleting=deleting)


def knowing(es: ExternalSecret) -> Loop:
    """A loop to which all is known."""
    loop = Loop(es)
    loop.knows(a=b"1")
    return loop


# -- Taking over --------------------------------------------------------------------------


async def test_with_the_secret_in_place_the_finalizer_of_ack_secret_manager_goes() -> None:
    loop = knowing(legacy(one()))
    assert await loop.reconcile() == Done()
    assert loop.writer.written
    assert [asked[1] for asked in loop.api.asked] == [KEY]
    assert loop.events.reasons == ["Synced", "FinalizerRemoved"]


async def test_legacy_finalizer_stays_until_the_secret_is_in_place() -> None:
    loop = Loop(legacy(one()))
    await loop.reconcile()
    assert not loop.api.asked


async def test_the_former_secret_goes_after_the_new_one_is_there() -> None:
    loop = knowing(one(target={"name": "target"}))
    loop.secret_cleanup.former = PrunedTargets(("former",))
    assert await loop.reconcile() == Done()
    assert loop.events.take()[1:] == [
        ("Normal", "SecretDeleted", "Secret former was deleted: the target is target now")
    ]


async def test_secret_changed_meanwhile_is_checked_again() -> None:
    loop = knowing(one(target={"name": "target"}))
    loop.secret_cleanup.former = PrunedTargets(changed=True)
    assert await loop.reconcile() == RequeueAfter(5.0)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (ApiUnavailableError("away", status=503), Retry()),
        (ApiRefusedError("no such right", status=403), RequeueAfter(60.0)),
    ],
)
async def test_failed_finalizer_removal_is_retried_and_the_secret_is_in_sync(
    fault: ApiError, outcome: Any
) -> None:
    loop = knowing(legacy(one()))
    loop.secret_cleanup.fault = fault
    assert await loop.reconcile() == outcome
    assert loop.reported == ("True", "Synced")
    assert not loop.api.asked


# -- Fetched once -------------------------------------------------------------------------

ONCE = one(refreshPolicy="CreatedOnce")


async def test_an_object_that_is_fetched_once_is_let_rest_after_the_write() -> None:
    loop = knowing(ONCE)
    assert await loop.reconcile() == Done()
    assert loop.sources.log == ["register", "rest"]
    loop.writer.there = True
    for _ in range(2):
        assert await loop.reconcile() == Done()
    # Neither fetched nor looked after.
    assert "register" not in loop.sources.log[1:]
    assert len(loop.writer.written) == 1
    assert loop.events.reasons == ["Synced"]


async def test_after_a_restart_that_is_said() -> None:
    loop = Loop(ONCE)
    loop.writer.there = True
    assert await loop.reconcile() == Done()
    assert loop.sources.log == ["rest"]
    assert loop.ready is not None
    assert loop.ready.message == (
        "Secret some was created; it is not fetched again (refreshPolicy CreatedOnce)"
    )


async def test_continued_secret_is_not_fetched_whatever_its_backup_requested() -> None:
    loop = knowing(replace(ONCE, force_sync="long ago"))
    loop.writer.continued = CHANGED
    assert await loop.reconcile() == Done()
    assert loop.sources.log == ["rest"]
    assert loop.writer.written == []
    assert loop.statuses.held[KEY].forced == "long ago"
    # A later wish is one.
    loop.writer.continued, loop.writer.there = UNCHANGED, True
    await loop.reconcile(replace(ONCE, force_sync="now"))
    assert len(loop.writer.written) == 1


async def test_refused_continuation_is_reported_without_a_fetch() -> None:
    loop = knowing(ONCE)
    loop.writer.continued = Refused(Problem(Reason.SECRET_CONFLICT, "belongs to App a"))
    assert await loop.reconcile() == RequeueAfter(REFUSED_AGAIN_AFTER)
    assert "register" not in loop.sources.log
    assert loop.ready is not None
    assert loop.ready.reason == "SecretConflict"


async def test_another_controller_is_named_as_long_as_there_is_one() -> None:
    loop = knowing(one())
    loop.writer.controller = "App a"
    await loop.reconcile()
    assert loop.ready is not None
    assert loop.ready.reason == "Synced"
    assert loop.ready.message.endswith("; its controller is App a, which may change or delete it")
    loop.writer.controller = ""
    await loop.reconcile()
    assert "controller" not in loop.ready.message


async def test_created_once_object_is_fetched_again_if_its_secret_is_gone() -> None:
    loop = knowing(ONCE)
    await loop.reconcile()
    assert await loop.reconcile() == Done()
    assert loop.sources.log == ["register", "rest", "register", "rest"]
    assert len(loop.writer.written) == 2


async def test_created_once_object_is_fetched_again_on_a_force_sync() -> None:
    loop = knowing(ONCE)
    await loop.reconcile()
    loop.writer.there = True
    for wish in ("monday", "monday", "tuesday"):
        await loop.reconcile(replace(ONCE, force_sync=wish))
    assert loop.sources.log.count("register") == 3


async def test_forced_sync_does_not_accept_a_cached_value() -> None:
    loop = knowing(ONCE)
    await loop.reconcile()
    loop.writer.there = True
    await loop.reconcile(replace(ONCE, force_sync="monday"))
    assert "forced" in loop.sources.log


def reported(es: ExternalSecret, **status: Any) -> ExternalSecret:
    """As the status of a former leader has it."""
    ready = Condition("Ready", "True", "Synced", "message", "then", es.generation)
    known = ExternalSecretStatus(ready, es.generation, (), "then", es.target.name, **status)
    return replace(es, status=known)


async def test_a_wish_that_was_written_while_nobody_led_is_answered() -> None:
    for before in ("", "monday"):
        loop = knowing(reported(replace(ONCE, force_sync="tuesday"), forced=before))
        loop.writer.there = True
        await loop.reconcile()
        assert loop.sources.log[0] == "register"
        assert len(loop.writer.written) == 1
        assert loop.statuses.held[KEY].forced == "tuesday"
        # Once.
        await loop.reconcile()
        assert loop.sources.log.count("register") == 1


async def test_answered_force_sync_is_not_answered_again() -> None:
    for wish in ("", "monday"):
        loop = knowing(reported(replace(ONCE, force_sync=wish), forced=wish))
        loop.writer.there = True
        await loop.reconcile()
        assert loop.sources.log == ["rest"]
        assert not loop.statuses.changes


async def test_status_of_an_older_version_is_reported_without_a_fetch() -> None:
    loop = knowing(reported(replace(ONCE, force_sync="monday")))
    loop.writer.there = True
    await loop.reconcile()
    assert loop.sources.log == ["rest"]
    # So that the next wish counts, whoever leads then.
    assert loop.statuses.held[KEY].forced == "monday"
    assert loop.statuses.changes == 1
    assert loop.events.reasons == []


async def test_a_wish_that_came_with_the_policy_is_answered() -> None:
    # Fetched at intervals until now, of which the status does not tell what was answered.
    es = replace(reported(ONCE), generation=ONCE.generation + 1, force_sync="monday")
    loop = knowing(es)
    loop.writer.there = True
    await loop.reconcile()
    assert loop.sources.log[0] == "register"
    assert loop.statuses.held[KEY].forced == "monday"


async def test_leader_that_ended_before_its_report_leaves_the_force_sync_open() -> None:
    loop = knowing(replace(ONCE, force_sync="monday"))
    loop.writer.there = True
    await loop.reconcile()
    assert len(loop.writer.written) == 1


async def test_a_failure_leaves_the_wish_open() -> None:
    es = reported(replace(ONCE, force_sync="tuesday"), forced="monday")
    loop = knowing(es)
    loop.writer.there = True
    loop.knows(a=reading(b"1", error=DefiniteError("no", code="Forbidden.NoPermission")))
    await loop.reconcile()
    assert loop.statuses.held[KEY].forced == "monday"


async def test_legacy_created_once_object_is_taken_over_like_any_other() -> None:
    loop = Loop(legacy(ONCE))
    loop.writer.there = True
    await loop.reconcile()
    assert loop.events.reasons == ["Synced", "FinalizerRemoved"]


# -- An outdated CRD ----------------------------------------------------------------------


async def test_nothing_is_fetched_written_or_deleted_on_the_word_of_an_outdated_crd() -> None:
    loop = knowing(legacy(one()))
    await loop.reconcile()
    loop.schemas.put(NAME, ("spec.target",))
    written, asked = len(loop.writer.written), len(loop.api.asked)
    loop.secret_cleanup.log.clear()
    assert await loop.reconcile() == Done()
    assert loop.reported == ("Unknown", "CRDOutdated")
    assert loop.sources.log[-1] == "suspend"
    assert (len(loop.writer.written), loop.secret_cleanup.log) == (written, [])
    assert len(loop.api.asked) == asked


async def test_secret_of_a_deleted_object_is_not_touched_on_the_word_of_an_outdated_crd() -> None:
    # Its deletionPolicy may have been Retain.
    loop = Loop(legacy(one(), deleting=True))
    loop.schemas.put(NAME, ("spec.target",))
    assert await loop.reconcile() == RequeueAfter(60.0)
    assert loop.secret_cleanup.log == []
    assert not loop.api.asked


# -- Ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("deleting", [False, True])
async def test_of_an_object_that_is_gone_nothing_is_kept(*, deleting: bool) -> None:
    loop = Loop(an_es(dataProcess=[extract("a")]))
    loop.knows(a=b'{"x": 1}')
    await loop.reconcile()
    if deleting:
        loop.objects.put(KEY, replace(one(), deleting=True))
    else:
        loop.objects.remove(KEY)
    assert await loop.reconcile() == Done()
    assert loop.sources.log[-1] == "release"
    assert loop.state == SyncState()
    # The garbage collector deletes the Secret.
    assert "bury" not in loop.secret_cleanup.log


async def test_object_that_waits_for_its_finalizer_is_finalized_first() -> None:
    loop = Loop(legacy(one(), deleting=True))
    assert await loop.reconcile() == Done()
    assert loop.secret_cleanup.log == ["bury"]
    assert len(loop.api.asked) == 1


@pytest.mark.parametrize(
    "fault", [ApiUnavailableError("away", status=503), ApiRefusedError("no such right", status=403)]
)
@pytest.mark.parametrize("of", ["secret_cleanup", "api"])
async def test_finalizer_stays_until_the_object_is_finalized(fault: ApiError, of: str) -> None:
    loop = Loop(legacy(one(), deleting=True))
    getattr(loop, of).fault = fault
    assert await loop.reconcile() == Retry()
    assert len(loop.api.asked) == (of == "api")


async def test_recreated_object_starts_afresh() -> None:
    loop = Loop(an_es(dataProcess=[extract("a")]))
    loop.knows(a=b'{"x": 1}')
    await loop.reconcile()
    # Deleted and created again before anybody looked.
    newer = replace(an_es(dataProcess=[extract("a")]), uid="newer")
    await loop.reconcile(newer)
    assert loop.state.uid == "newer"
    assert loop.writer.written == [{"x": b"1"}] * 2


async def test_no_finalizer_is_remembered_of_what_is_gone() -> None:
    loop = knowing(legacy(one()))
    await loop.reconcile()
    await loop.reconcile(legacy(one(), deleting=True))
    loop.objects.remove(KEY)
    await loop.reconcile()
    assert loop.states.of(KEY) == SyncState()
