"""The answers of POST /refresh."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from secret_sync.errors import DefiniteError
from secret_sync.refresh import RefreshServer, server
from secret_sync.refresh.authentication import EVENTBRIDGE_HEADER, SIGNATURE_HEADER, sign
from secret_sync.refresh.server import MAX_BODY, MAX_CONNECTIONS
from secret_sync.settings import BindAddress
from tests.support.leaks import spellings
from tests.unit.refresh.conftest import KEY, TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.refresh.conftest import ServedRefreshes

BODY = b'{"secrets": ["a"]}'
HEAD = b"POST /refresh HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %(token)b\r\n"
BAD_HEAD = b"POST /refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
BAD = {"Authorization": "Bearer wrong"}


def signed(body: bytes, key: bytes = KEY) -> dict[str, str]:
    sent = str(int(time.time()))
    return {SIGNATURE_HEADER: f"t={sent},v1={sign(key, sent, body)}"}


def forged() -> str:
    return f"t={int(time.time())},v1={'a' * 64}"


async def test_accepted_names_are_submitted_and_nothing_else_is_said(
    served: ServedRefreshes,
) -> None:
    status, text, headers = await served.send(b'{"secrets": ["a", "b"]}')
    assert (status, text) == (202, "accepted\n")
    assert headers["Connection"] == "close"
    assert served.submitted == [["a", "b"]]
    assert served.results == ["accepted"]


async def test_event_that_changes_nothing_is_accepted_so_that_its_sender_does_not_retry(
    served: ServedRefreshes,
) -> None:
    status, text, _ = await served.send(b'{"specversion": "1.0", "type": "ecs:x", "data": {}}')
    assert (status, text) == (202, "accepted\n")
    assert served.submitted == [[]]


async def test_signed_body_and_the_header_of_eventbridge_are_accepted(
    served: ServedRefreshes,
) -> None:
    assert (await served.send(BODY, headers=signed(BODY)))[0] == 202
    assert (await served.send(BODY, headers={EVENTBRIDGE_HEADER: TOKEN}))[0] == 202
    assert served.results == ["accepted"] * 2


@pytest.mark.parametrize("headers", [{}, BAD, {EVENTBRIDGE_HEADER: "x"}, signed(b"other")])
async def test_request_without_valid_credentials_is_unauthorized(
    served: ServedRefreshes, headers: dict[str, str]
) -> None:
    status, text, answered = await served.send(headers=headers)
    assert (status, text) == (401, "no valid token\n")
    assert answered["WWW-Authenticate"] == "Bearer"
    assert not served.submitted


@pytest.mark.parametrize(
    ("request_", "status", "result"),
    [
        ({"method": "GET"}, 405, "invalid"),
        ({"method": "DELETE"}, 405, "invalid"),
        ({"body": b"{}"}, 400, "invalid"),
        ({"body": b'{"secrets": "a"}'}, 400, "invalid"),
        ({"body": b" " * (MAX_BODY + 1)}, 413, "too_large"),
        ({"body": gzip.compress(BODY)}, 400, "invalid"),
    ],
)
async def test_wrong_request_is_refused(
    served: ServedRefreshes, request_: dict[str, Any], status: int, result: str
) -> None:
    found, _, headers = await served.send(**request_)
    assert found == status
    assert served.results == [result]
    assert not served.submitted
    assert status != 405 or headers["Allow"] == "POST"


async def test_other_paths_are_not_served(served: ServedRefreshes) -> None:
    for path in ("/", "/metrics", "/refresh/", "/refresh/x"):
        status, _, _ = await served.send(path=f"http://127.0.0.1:{served.port}{path}")
        assert status == 404


async def test_body_as_large_as_allowed_is_read(served: ServedRefreshes) -> None:
    assert (await served.send(BODY.ljust(MAX_BODY)))[0] == 202

    async def chunks() -> Any:
        for _ in range(5):
            yield b" " * (MAX_BODY // 4)

    # Without a length.
    assert (await served.send(chunks()))[0] == 413


async def test_sender_that_expects_100_continue_gets_it(served: ServedRefreshes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, text, _ = await served.send(BODY, headers=headers, expect100=True)
    assert (status, text) == (202, "accepted\n")


async def test_chunks_that_cannot_be_read_are_logged_nowhere(served: ServedRefreshes) -> None:
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST /refresh HTTP/1.1\r\nHost: x\r\n{SIGNATURE_HEADER}: {forged()}\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
    assert not lines


async def test_client_that_goes_away_is_logged_nowhere(served: ServedRefreshes) -> None:
    with capture_logs() as lines:
        for header in (f"Authorization: Bearer {TOKEN}", f"{SIGNATURE_HEADER}: {forged()}"):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            head = f"POST /refresh HTTP/1.1\r\nHost: x\r\n{header}\r\n"
            writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            await asyncio.sleep(0.1)
            writer.transport.abort()
        await asyncio.sleep(0.1)
    assert not lines
    assert served.results == ["incomplete"] * 2


async def test_compressed_body_is_not_expanded(served: ServedRefreshes) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < MAX_BODY
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Encoding": "gzip"}
    assert (await served.send(bomb, headers=headers))[0] == 400


async def test_standby_asks_its_sender_to_try_again(served: ServedRefreshes) -> None:
    served.active = False
    status, _, headers = await served.send()
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    # Who has no token does not learn which replica leads.
    assert (await served.send(headers=BAD))[0] == 401
    assert served.results == ["standby", "unauthorized"]
    assert not served.submitted


async def test_request_is_throttled_while_too_many_names_wait(served: ServedRefreshes) -> None:
    served.full = True
    status, _, headers = await served.send()
    assert status == 429
    assert int(headers["Retry-After"]) > 0


async def test_failed_attempts_are_throttled_and_lock_nobody_out(
    served: ServedRefreshes,
) -> None:
    statuses = [(await served.send(headers=BAD))[0] for _ in range(40)]
    assert statuses[:10] == [401] * 10
    assert statuses.count(429) >= 20
    assert (await served.send())[0] == 202
    assert (await served.send(BODY, headers=signed(BODY)))[0] == 202
    assert (await served.send(BODY, headers=signed(b"other")))[0] == 429


@pytest.mark.parametrize(
    "signature",
    ["", "t=1", f"t=1,v1={'a' * 64}", "t={now},v1=short", "v1=" + "a" * 64, "t={now},v1={valid}"],
)
async def test_body_is_not_read_if_no_body_could_have_such_a_signature(
    served: ServedRefreshes, signature: str
) -> None:
    if "valid" in signature:
        # By the default there are tokens only.
        (Path(served.folder) / "hmac").unlink()
    strict = served.server()
    await strict.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
    value = signature.format(now=int(time.time()), valid="a" * 64)
    head = f"POST /refresh HTTP/1.1\r\nHost: x\r\n{SIGNATURE_HEADER}: {value}\r\n"
    writer.write(f"{head}Content-Length: {MAX_BODY}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    await strict.stop()


async def test_forged_signatures_of_others_behind_one_address_lock_no_sender_out(
    served: ServedRefreshes,
) -> None:
    headers = {SIGNATURE_HEADER: forged()}
    flood = [served.send(b" " * MAX_BODY, headers=headers) for _ in range(60)]
    own = [served.send(BODY, headers=signed(BODY)), served.send()]
    answers = await asyncio.gather(*flood, *own)
    assert [status for status, _, _ in answers[-2:]] == [202, 202]
    assert {status for status, _, _ in answers[:-2]} == {401, 429}


async def test_client_that_sends_too_much_is_throttled(
    served: ServedRefreshes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPTED_LIMITS", (0.01, 5.0, 4.0))
    strict = served.server()
    await strict.start()
    url = f"http://127.0.0.1:{strict.port}/refresh"
    answers = [await served.send(path=url) for _ in range(8)]
    await strict.stop()
    assert [status for status, _, _ in answers] == [202] * 5 + [429] * 3
    assert int(answers[-1][2]["Retry-After"]) > 0
    assert len(served.submitted) == 5


async def test_slow_client_is_cut_off(
    served: ServedRefreshes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 0.3)
    for sent in (b"", b"POST /refresh HT", b"POST /refresh HTTP/1.1\r\nHost: x\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST /refresh HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        assert b"202" not in await reader.read()
    writer.close()
    await asyncio.sleep(0.05)
    assert served.results == ["incomplete"]
    assert (await served.send())[0] == 202


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Opened:
    """Connections that send no more than they are told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.every: list[Streams] = []

    async def __call__(
        self, number: int, sent: bytes = b"", source: str = "127.0.0.1"
    ) -> list[Streams]:
        made = []
        for _ in range(number):
            made.append(
                await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
            )
            made[-1][1].write(sent)
        self.every += made
        return made


@pytest.fixture
async def opened(served: ServedRefreshes) -> AsyncIterator[Opened]:
    made = Opened(served.port)
    yield made
    for _, writer in made.every:
        writer.close()


async def still_open(made: list[Streams]) -> list[bool]:
    async def is_open(reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(0.5):
                await reader.read()
        except TimeoutError:
            return True
        except ConnectionError:
            # Closed with something unread.
            pass
        return False

    return await asyncio.gather(*(is_open(reader) for reader, _ in made))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /refresh HT",
        # Complete but for its body, which the signature covers.
        BAD_HEAD + SIGNATURE_HEADER.encode() + b": t=1\r\n\r\n",
        BAD_HEAD + b"Authorization: Bearer wrong\r\n\r\n",
    ],
)
async def test_idle_connections_are_bounded_and_keep_no_sender_out(
    served: ServedRefreshes, opened: Opened, sent: bytes
) -> None:
    idle = await opened(200, sent)
    surplus = 200 - MAX_CONNECTIONS
    assert await still_open(idle) == [False] * surplus + [True] * MAX_CONNECTIONS
    async with asyncio.timeout(5):
        assert (await served.send())[0] == 202
        assert (await served.send(BODY, headers=signed(BODY)))[0] == 202
    # One was closed for these two, which did not come at once.
    assert (await still_open(idle)).count(True) == MAX_CONNECTIONS - 1


async def test_address_with_most_connections_loses_the_next_one(opened: Opened) -> None:
    slow = await opened(2, b"POST /refresh HT", source="127.0.0.2")
    await opened(300)
    assert await still_open(slow) == [True, True]
    slow[0][1].write(b"TP/1.1\r\nHost: x\r\nContent-Length: 18\r\nConnection: close\r\n")
    slow[0][1].write(f"Authorization: Bearer {TOKEN}\r\n\r\n".encode() + BODY)
    async with asyncio.timeout(5):
        assert b"202 Accepted" in await slow[0][0].read()


async def test_connection_with_a_valid_token_is_closed_for_no_other(opened: Opened) -> None:
    head = (HEAD % {b"token": TOKEN.encode()}) + b"Content-Length: 18\r\n\r\n"
    senders = await opened(MAX_CONNECTIONS, head)
    (late,) = await opened(1)
    assert await still_open([late]) == [False]
    assert all(await still_open(senders))
    senders[0][1].write(BODY)
    async with asyncio.timeout(5):
        assert b"202 Accepted" in await senders[0][0].read()


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"POST /refresh HTTP/1.1\r\nAuthorization: Bearer %(token)b\x01\r\n\r\n",
        b"POST /refresh HTTP/1.1\r\nAuthorization Bearer %(token)b\r\n\r\n",
        b"%(token)b /refresh HTTP/1.1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /refresh HTTP/1.1\r\nX: " + b"a" * 20_000 + b"%(token)b\r\n\r\n",
        HEAD + b"Content-Length: 20\r\n\r\n%(token).20b",
    ],
)
async def test_token_is_in_no_log_and_no_answer_even_if_the_request_is_malformed(
    served: ServedRefreshes,
    raw: bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(raw % {b"token": TOKEN.encode()})
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    shown = "".join([answer.decode(), caplog.text, *capfd.readouterr()])
    assert not [each for each in spellings(TOKEN.encode()) if each in shown]
    assert TOKEN[:20] not in shown


async def test_refusals_are_logged_rarely_and_without_what_was_sent(
    served: ServedRefreshes,
) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            await served.send(headers={"Authorization": "Bearer guessed-by-somebody"})
    assert len(lines) == 1
    assert "refused" in lines[0]["event"]
    assert "guessed" not in repr(lines)


async def test_defect_is_logged_by_its_kind_only(
    served: ServedRefreshes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: bytes) -> list[str]:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr(server, "read_names", fail)
    with capture_logs() as lines:
        status, text, _ = await served.send()
    assert (status, text) == (500, "failed\n")
    assert [line["error"] for line in lines] == ["RuntimeError"]
    assert TOKEN not in repr(lines)


async def test_address_that_is_taken_is_named(served: ServedRefreshes) -> None:
    taken = RefreshServer(
        BindAddress("127.0.0.1", served.port),
        served.folder,
        ask=served.submit,
        is_active=lambda: True,
        count=served.results.append,
    )
    with pytest.raises(DefiniteError, match="--refresh-bind-address"):
        await taken.start()
    await taken.stop()
