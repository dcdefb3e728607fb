"""After a restart a Secret that looks right is read once, and written only if it differs."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.secret_target.apply_configuration import owner_apply_configuration
from secret_sync.controller.secret_target.ownership import decide
from secret_sync.controller.sync import UNCHANGED, Changed
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import managed
from tests.unit.controller.writing import DESIRED, WriterHarness, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime


def stored(es: ExternalSecret, *, version: str = "20", **changed: Any) -> dict[str, Any]:
    """The Secret as it was written once, but for these fields."""
    written = owner_apply_configuration(es, DESIRED)
    references = changed.pop("ownerReferences", written["metadata"]["ownerReferences"])
    metadata = own(version=version, ownerReferences=references)["metadata"]
    return {**written, "metadata": metadata, **changed}


def restarted() -> SyncState:
    return SyncState(uid="es-uid", target="some")


async def test_equal_secret_is_read_and_not_written(make_es: MakeES) -> None:
    harness = WriterHarness(make_es())
    harness.holds(own())
    harness.client.answers.append(stored(harness.es))
    state = restarted()
    assert await harness.ensure(state) == UNCHANGED
    assert [sent.method for sent in harness.client.sent] == ["GET"]
    # From here on nothing is asked.
    assert await harness.ensure(state) == UNCHANGED
    assert len(harness.client.sent) == 1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"data": {"password": b64encode(b"w").decode()}}, id="another value"),
        pytest.param({"data": {}}, id="no value"),
        pytest.param(
            {"data": {"password": b64encode(b"v").decode(), "hidden": ""}}, id="a key without owner"
        ),
        pytest.param({"type": "example.org/other"}, id="another type"),
        pytest.param({"immutable": True}, id="immutable"),
        pytest.param({"ownerReferences": [{"uid": "es-uid"}]}, id="not its controller"),
    ],
)
async def test_secret_that_differs_is_written(make_es: MakeES, changed: dict[str, Any]) -> None:
    harness = WriterHarness(make_es())
    harness.holds(own())
    harness.client.answers.extend([stored(harness.es, **changed), own(version="21")])
    assert isinstance(await harness.ensure(restarted()), Changed)
    read, write = harness.client.sent
    assert (read.method, write.method, write.force) == ("GET", "PATCH", True)
    assert write.version == "secret-uid/20"


async def test_secret_that_changes_meanwhile_is_decided_on_again(make_es: MakeES) -> None:
    harness = WriterHarness(make_es())
    harness.holds(own())
    later = stored(harness.es, version="21")
    harness.client.answers.extend([later, own(version="21"), later])
    assert await harness.ensure(restarted()) == UNCHANGED
    assert {sent.method for sent in harness.client.sent} == {"GET"}


async def test_secret_whose_keys_are_not_ours_is_written_at_once(make_es: MakeES) -> None:
    harness = WriterHarness(make_es())
    harness.holds(own(*own()["metadata"]["managedFields"], ownerReferences=[]))
    harness.client.answers.extend([own(version="21")])
    assert isinstance(await harness.ensure(restarted()), Changed)
    assert [sent.method for sent in harness.client.sent] == ["PATCH"]


async def test_secret_that_holds_metadata_of_others_for_them_is_written(make_es: MakeES) -> None:
    """A recreation was interrupted before it gave them back."""
    entry = managed("secret-sync", "password", operation="Apply", mark=True)
    entry["fieldsV1"]["f:metadata"]["f:labels"] = {"f:team": {}}
    decision = decide(make_es(), DESIRED, secret_from_metadata(own(entry)), None, 0.0)
    assert (decision.carries, decision.unverified) == (True, False)
