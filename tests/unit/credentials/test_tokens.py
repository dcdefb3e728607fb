"""Where the token comes from."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from secret_sync.credentials import ServiceAccountToken, TokenFile
from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from secret_sync.credentials import TokenSource


async def test_token_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = TokenFile(str(path))
    for text in ("first", "second\n"):
        path.write_text(text)
        assert await source.token() == text.strip()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hush\xff", "does not contain a token"),
        (b"hush\nhush", "does not contain a token"),
        (b"hush\x00", "does not contain a token"),
        (b"hush" * (256 * 1024) + b"!", "does not contain a token"),
    ],
)
async def test_invalid_token_is_named_but_not_shown(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(DefiniteError, match=words) as caught:
        await TokenFile(str(path)).token()
    assert caught.value.code == "TokenFileUnreadable"
    assert str(path) in caught.value.message
    assert "hush" not in f"{caught.value!r}"
    assert caught.value.__context__ is None


async def test_volume_that_hangs_takes_no_threads_of_other_work(tmp_path: Path) -> None:
    # Opening a pipe waits for a writer.
    path = tmp_path / "token"
    os.mkfifo(path)
    reads = [asyncio.create_task(TokenFile(str(path)).token()) for _ in range(100)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await asyncio.to_thread(int)
    for read in reads:
        read.cancel()
    await asyncio.wait(reads)
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


async def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DefiniteError, match="cannot be read: ") as caught:
            await TokenFile(str(path)).token()
        assert caught.value.code == "TokenFileUnreadable"
        assert str(path) in caught.value.message
    with pytest.raises(DefiniteError, match="invalid path"):
        await TokenFile("a\x00b").token()


class Minter:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, tuple[str, ...]]] = []
        self.error: Exception | None = None

    async def mint(self, namespace: str, name: str, uid: str, audiences: Sequence[str]) -> str:
        self.asked.append((namespace, name, uid, tuple(audiences)))
        if self.error is not None:
            raise self.error
        return f"token-{len(self.asked)}"


async def test_service_account_token_is_requested_each_time() -> None:
    minter = Minter()
    source = ServiceAccountToken(minter, "team", "app", "uid-1", ("sts.aliyuncs.com",))
    assert [await source.token(), await source.token()] == ["token-1", "token-2"]
    assert minter.asked == [("team", "app", "uid-1", ("sts.aliyuncs.com",))] * 2
    minter.error = TransientError("the API server is away")
    with pytest.raises(TransientError, match="away"):
        await source.token()


def test_token_identity() -> None:
    minter = Minter()
    sources: list[TokenSource] = [
        TokenFile("/a"),
        TokenFile("/b"),
        ServiceAccountToken(minter, "team", "app", "uid-1", ("sts.aliyuncs.com",)),
        ServiceAccountToken(minter, "team", "app", "uid-2", ("sts.aliyuncs.com",)),
        ServiceAccountToken(minter, "team", "app", "uid-1", ("other",)),
        ServiceAccountToken(minter, "other", "app", "uid-1", ("sts.aliyuncs.com",)),
        ServiceAccountToken(minter, "team", "other", "uid-1", ("sts.aliyuncs.com",)),
    ]
    assert len({source.key for source in sources}) == len(sources)
    again = ServiceAccountToken(Minter(), "team", "app", "uid-1", ("sts.aliyuncs.com",))
    assert again.key == sources[2].key
    assert TokenFile("/a").key == sources[0].key
