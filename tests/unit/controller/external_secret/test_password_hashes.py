"""Hashes of passwords: each computed once, beside everything else, one object after the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret import password_hashes as module
from secret_sync.controller.external_secret.password_hashes import KnownHashes, PasswordHashes
from secret_sync.queue import TimeSlicedWorker
from secret_sync.templates import hashing
from secret_sync.templates.rendering import HashRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.queue import Priority


def request(number: int) -> HashRequest:
    return HashRequest(b"password %d" % number, bytes(16), 4)


class Hashing:
    """Hashes at work, and the objects that were enqueued."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.computed: list[HashRequest] = []
        self.worker = TimeSlicedWorker()
        self.enqueued: list[str] = []
        self.hashes = PasswordHashes(self.worker, self.enqueue)
        monkeypatch.setattr(hashing, "bcrypt_hash", self.compute)

    def compute(self, wanted: HashRequest) -> bytes:
        self.computed.append(wanted)
        return b"hash of %s" % wanted.password

    def enqueue(self, keys: Iterable[str], _: Priority) -> None:
        self.enqueued += keys

    async def finish(self) -> None:
        running = asyncio.create_task(self.worker.run())
        async with asyncio.timeout(10):
            while len(self.worker):  # noqa: ASYNC110 (the worker has no event for that)
                await asyncio.sleep(0.001)
        running.cancel()


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    return Hashing(monkeypatch)


async def test_a_hash_is_computed_once_and_the_object_enqueued(at_work: Hashing) -> None:
    requests = (request(1), request(2))
    at_work.hashes.compute("ns/a", requests)
    # Reconciled again meanwhile.
    at_work.hashes.compute("ns/a", requests)
    assert len(at_work.worker) == 1
    await at_work.finish()
    assert (at_work.computed, at_work.enqueued) == ([*requests], ["ns/a"])
    assert at_work.hashes.known[request(1)] == b"hash of password 1"
    at_work.hashes.compute("ns/b", (request(2), request(3)))
    await at_work.finish()
    assert (at_work.computed[2:], at_work.enqueued) == ([request(3)], ["ns/a", "ns/b"])
    assert len(at_work.hashes) == 0


async def test_nothing_is_computed_for_an_object_that_is_gone(at_work: Hashing) -> None:
    at_work.hashes.compute("ns/a", (request(1),))
    at_work.hashes.cancel("ns/a")
    at_work.hashes.cancel("ns/a")
    await at_work.finish()
    assert (at_work.computed, at_work.enqueued, len(at_work.hashes)) == ([], [], 0)


async def test_another_password_takes_the_place_of_the_former(at_work: Hashing) -> None:
    at_work.hashes.compute("ns/a", (request(1),))
    at_work.hashes.compute("ns/a", (request(2),))
    await at_work.finish()
    assert (at_work.computed, at_work.enqueued) == ([request(2)], ["ns/a"])


async def test_failure_to_hash_is_not_followed_by_the_same_request_at_once(
    at_work: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_AGAIN_AFTER", 0.05)

    def fail(_: HashRequest) -> bytes:
        raise ValueError

    monkeypatch.setattr(hashing, "bcrypt_hash", fail)
    at_work.hashes.compute("ns/a", (request(1),))
    await at_work.finish()
    assert (at_work.enqueued, len(at_work.hashes)) == ([], 0)
    async with asyncio.timeout(10):
        while not at_work.enqueued:  # noqa: ASYNC110 (a timer of another has no event)
            await asyncio.sleep(0.01)


def test_known_hashes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 2)
    known = KnownHashes()
    for number in range(4):
        known.add(request(number), b"x")
    assert len(known) == 2
    assert [request(n) in known for n in range(4)] == [False, False, True, True]
    assert "password" not in repr(known)
    assert list(known) == []


def test_known_hashes_depend_on_password_salt_and_cost() -> None:
    known = KnownHashes()
    password, salt, cost = request(1)
    known.add(request(1), b"x")
    assert HashRequest(password, salt, cost) in known
    assert HashRequest(password, salt, cost + 1) not in known
    assert HashRequest(password, bytes(15) + b"1", cost) not in known
    assert HashRequest(b"other", salt, cost) not in known
