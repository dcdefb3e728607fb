"""What a debugger or an error report would show of our objects holds no secret."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from tests.support.operator import external_secret, secret, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

VALUE = "a-value-that-nobody-sees-1c7d"
WRONG = "wrong-access-key-secret-e05b"


def ours() -> Iterator[object]:
    """Every object of our classes in this process; the playground has its own rules."""
    for thing in gc.get_objects():
        # Some classes written in C have something else there.
        module = str(type(thing).__module__)
        if module.startswith("secret_sync.") and not module.startswith("secret_sync.local"):
            yield thing


async def test_no_representation_holds_a_secret(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    running: Running,
) -> None:
    await admin.put_secrets({"leak/one": VALUE, "leak/two": VALUE})
    await admin.update("leak/two", forbidden=True)
    await api.put(secret("wrong", {"id": cloud.access_key_id, "secret": WRONG}), home)
    await api.put(store("wrong", access_key="wrong"), home)
    ref = {"secretStoreRef": {"name": "wrong"}}
    async with running() as controller:
        await api.put(external_secret("one", {"key": "leak/one", "name": "x"}), home)
        await api.put(external_secret("two", {"key": "leak/two", "name": "x"}), home)
        await api.put(external_secret("wrong", {"key": "leak/one", "name": "x", **ref}), home)
        await api.until_ready(home, "one", "Synced")
        await api.until_ready(home, "two", "Forbidden")
        await api.until_ready(home, "wrong", "AccessKeyInvalid")
        assert controller.sources.cached_bytes > 0
        shown = [repr(thing) for thing in ours()] + [str(thing) for thing in ours()]
    assert len(shown) > 100
    hidden = (VALUE, WRONG, cloud.access_key_secret, cluster.admin_token)
    assert [text for text in shown if any(value in text for value in hidden)] == []
