"""Tokens and signatures, their rotation, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from secret_sync.errors import DefiniteError
from secret_sync.refresh import authentication
from secret_sync.refresh.authentication import (
    EVENTBRIDGE_HEADER,
    READ_EVERY,
    REPLAY_WINDOW,
    SIGNATURE_HEADER,
    Authentication,
    sign,
)

if TYPE_CHECKING:
    from pathlib import Path

TOKEN, OTHER, KEY = "t" * 40, "o" * 40, b"k" * 40
BODY = b'{"secrets": ["a"]}'


async def started(tmp_path: Path) -> Authentication:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "hmac").write_bytes(KEY)
    found = Authentication(str(tmp_path))
    await found.start()
    return found


@pytest.fixture
async def auth(tmp_path: Path) -> Authentication:
    return await started(tmp_path)


def bearer(token: str) -> CIMultiDict[str]:
    return CIMultiDict({"Authorization": f"Bearer {token}"})


def signed(at: float, key: bytes = KEY, body: bytes = BODY) -> CIMultiDict[str]:
    sent = str(int(at))
    return CIMultiDict({SIGNATURE_HEADER: f"t={sent},v1={sign(key, sent, body)}"})


def basic(text: bytes) -> CIMultiDict[str]:
    return CIMultiDict({"Authorization": f"Basic {base64.b64encode(text).decode()}"})


def test_token_is_taken_from_each_header_that_senders_can_set(auth: Authentication) -> None:
    assert auth.has_token(bearer(TOKEN))
    assert auth.has_token(CIMultiDict({"authorization": f"BEARER  {TOKEN} "}))
    assert auth.has_token(basic(f"anyone:{TOKEN}".encode()))
    assert auth.has_token(CIMultiDict({EVENTBRIDGE_HEADER: TOKEN}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "t"),
        bearer("ü" * 40),
        basic(TOKEN.encode()),
        {"Authorization": "Basic %%%"},
        {"Authorization": f"Digest {TOKEN}"},
        {"Authorization": TOKEN},
        {EVENTBRIDGE_HEADER: ""},
        # A key for signatures is no token.
        bearer(KEY.decode()),
    ],
)
def test_other_tokens_are_refused(auth: Authentication, headers: dict[str, str]) -> None:
    assert not auth.has_token(CIMultiDict(headers))


async def test_signature_covers_the_raw_body_and_the_time(auth: Authentication) -> None:
    now = time.time()
    assert await auth.is_signed(signed(now), BODY)
    assert not await auth.is_signed(signed(now), BODY + b" ")
    assert not await auth.is_signed(signed(now, TOKEN.encode()), BODY)
    other = signed(now)[SIGNATURE_HEADER].replace(f"t={int(now)}", f"t={int(now) + 1}")
    assert not await auth.is_signed({SIGNATURE_HEADER: other}, BODY)


@pytest.mark.parametrize("off", [-REPLAY_WINDOW - 2, REPLAY_WINDOW + 2])
async def test_signature_outside_of_the_window_is_a_replay(auth: Authentication, off: int) -> None:
    assert not await auth.is_signed(signed(time.time() + off), BODY)
    inside = off - 4 if off > 0 else off + 4
    assert await auth.is_signed(signed(time.time() + inside), BODY)


@given(st.text(max_size=80) | st.builds(lambda t, v: f"t={t},v1={v}", st.text(), st.text()))
def test_signature_of_any_form_is_refused(text: str) -> None:
    assert not Authentication("none").may_be_signed({SIGNATURE_HEADER: text})
    assert not asyncio.run(Authentication("none").is_signed({SIGNATURE_HEADER: text}, BODY))
    assert not Authentication("none").has_token({"Authorization": text})


async def test_body_is_hashed_with_one_key_in_a_turn_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hmac").write_text("\n".join(f"{n}-{TOKEN}" for n in range(8)))
    auth = Authentication(str(tmp_path))
    await auth.start()
    turn = 0
    hashed: Counter[int] = Counter()

    def count(*args: Any) -> str:
        hashed[turn] += 1
        return sign(*args)

    monkeypatch.setattr(authentication, "sign", count)
    senders = [
        asyncio.create_task(auth.is_signed(signed(time.time()), b" " * 64 * 1024))
        for _ in range(20)
    ]
    while not all(sender.done() for sender in senders):
        await asyncio.sleep(0)
        turn += 1
    assert hashed.total() == 20 * 8
    assert max(hashed.values()) <= 20


@pytest.mark.looptime
async def test_two_tokens_are_valid_while_they_are_rotated(tmp_path: Path) -> None:
    auth = await started(tmp_path)
    (tmp_path / "token").write_text(f"{OTHER}\n{TOKEN}\n")
    await auth.reread()
    assert not auth.has_token(bearer(OTHER)), "the files were read a moment ago"
    await asyncio.sleep(READ_EVERY)
    await auth.reread()
    assert auth.has_token(bearer(OTHER))
    assert auth.has_token(bearer(TOKEN))
    (tmp_path / "token").write_text(OTHER)
    await asyncio.sleep(READ_EVERY)
    await auth.reread()
    assert auth.has_token(bearer(OTHER))
    assert not auth.has_token(bearer(TOKEN))


@pytest.mark.looptime
async def test_removed_or_weak_tokens_end_what_was_valid(tmp_path: Path) -> None:
    auth = await started(tmp_path)
    (tmp_path / "token").write_text("short")
    await asyncio.sleep(READ_EVERY)
    await auth.reread()
    assert not auth.has_token(bearer(TOKEN))
    assert not auth.has_token(bearer("short"))
    assert not await auth.is_signed(signed(time.time()), BODY)
    (tmp_path / "token").unlink()
    await asyncio.sleep(READ_EVERY)
    await auth.reread()
    assert await auth.is_signed(signed(time.time()), BODY)


@pytest.mark.parametrize(
    "content", [None, "", "\n \n", "short", f"{TOKEN}\nshort", f"{TOKEN}\n" * 9, "t" * 20_000]
)
async def test_start_without_a_strong_token_fails_without_quoting_it(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(DefiniteError, match="--refresh-token-dir") as caught:
        await Authentication(str(tmp_path)).start()
    assert "short" not in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_start_with_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(DefiniteError, match="cannot be read"):
        await Authentication(str(tmp_path)).start()


async def test_every_valid_token_is_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n{OTHER}\n")
    auth = Authentication(str(tmp_path))
    await auth.start()
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def watch(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return bool(compare(a, b))

    monkeypatch.setattr(hmac, "compare_digest", watch)
    for token in (TOKEN, OTHER, "x" * 40):
        compared.clear()
        auth.has_token(bearer(token))
        assert compared == [TOKEN.encode(), OTHER.encode()]


async def test_representations_have_no_token(auth: Authentication) -> None:
    assert TOKEN not in repr(vars(auth))
    assert KEY.decode() not in repr(vars(auth))
