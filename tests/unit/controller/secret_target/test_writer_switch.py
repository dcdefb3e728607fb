"""Writing the Secret: from Owner to Merge and back, and takeovers that were interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.sync import Changed, Refused
from secret_sync.kube import ApiConflictError, ApiRefusedError, ApiUnavailableError
from secret_sync.kube.errors import Cause
from secret_sync.resources import Reason
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.writing import MERGE, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime


async def test_a_secret_of_its_own_is_given_up_and_its_keys_are_kept(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    harness = WriterHarness(make_es(target=MERGE), own(OURS, merged, version="21"), secret(merged))
    harness.holds(own())
    remembered = state(fingerprint=b"older")
    assert isinstance(await harness.ensure(remembered), Changed)
    take, leave = harness.client.sent
    # At no time are the keys without an owner.
    assert (take.manager, take.force) == ("secret-sync-merge-es-uid", True)
    assert (leave.manager, leave.force) == ("secret-sync", True)
    assert (take.version, leave.version) == ("secret-uid/20", "secret-uid/21")
    assert "data" in take.body
    assert set(leave.body) == {"apiVersion", "kind", "metadata", "type"}
    assert "ownerReferences" not in leave.body["metadata"]
    assert remembered.written == b"wanted"


async def test_owned_secret_is_not_given_up_on_a_stale_version(make_es: MakeES) -> None:
    harness = WriterHarness(make_es(target=MERGE), ApiConflictError("changed", status=409))
    harness.holds(own())
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(state(fingerprint=b"older"))
    assert len(harness.client.sent) == 1


async def test_from_merge_to_owner_is_a_conflict(make_es: MakeES) -> None:
    # Somebody's Secret, into which a key was merged; then the author leaves creationPolicy out.
    theirs = managed("kubectl", "username")
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    replies = [own(OURS, theirs, version="21"), own(OURS, version="22")]
    harness = WriterHarness(make_es(), *replies)
    harness.holds(secret(theirs, merged))
    refused = await harness.ensure(state(fingerprint=b"older", merge=True))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert not harness.client.sent


FROZEN = ApiRefusedError(
    "immutable", status=422, causes=(Cause("immutable", "FieldValueForbidden"),)
)


async def test_an_immutable_one_is_given_up_as_one(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    replies = [own(OURS, merged, version="21"), FROZEN, secret(merged, version="22")]
    harness = WriterHarness(make_es(target=MERGE), *replies)
    harness.holds(own())
    assert isinstance(await harness.ensure(state(fingerprint=b"older")), Changed)
    *_, refused, leave = harness.client.sent
    # No apply can take that away, so it has to go on being said.
    assert leave.body == {**refused.body, "immutable": True}


async def test_refusal_by_a_proxy_is_reported(make_es: MakeES) -> None:
    harness = WriterHarness(make_es(target=MERGE), FROZEN)
    harness.holds(own())
    refused = await harness.ensure(state(fingerprint=b"older"))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.WRITE_FAILED


@pytest.mark.parametrize("finalizer", [False, True])
async def test_a_takeover_that_was_interrupted_is_finished_before_the_finalizer_goes(
    make_es: MakeES, *, finalizer: bool
) -> None:
    theirs = managed("ack-secret-manager", "password", "old")
    held = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]} if finalizer else {}
    handed = secret(managed("secret-sync", "password", "old", operation="Apply"), version="22")
    rest = [handed, own(version="23")] if finalizer else [own(version="22")]
    harness = WriterHarness(make_es(metadata=held), own(OURS, theirs, version="21"), *rest)
    harness.holds(own(OURS, theirs))
    assert isinstance(await harness.ensure(state(fingerprint=b"older")), Changed)
    if finalizer:
        assert harness.client.sent[1].body[-1]["path"] == "/metadata/managedFields"
    else:
        # What it owns beside our keys goes all the same.
        assert list(harness.client.sent[1].body[-1]["value"]) == ["password"]
