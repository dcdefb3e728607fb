"""Tokens of ServiceAccounts."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.errors import DefiniteError, ReferenceChangedError
from secret_sync.kube import ApiUnavailableError, ServiceAccountTokenMinter, read_token_user
from secret_sync.kube.errors import error_of_status

if TYPE_CHECKING:
    from pathlib import Path

NO_RIGHT = 'User "me" cannot create resource "serviceaccounts/token" in API group ""'


class Client:
    """Answers every request with one thing, and remembers it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, *, body: Any, **_: Any) -> Any:
        self.asked.append((method, path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def mint(client: Any) -> str:
    minter = ServiceAccountTokenMinter(client)
    return await minter.mint("ns", "reader", "uid-1", ("sts.aliyuncs.com",))


def token(payload: Any) -> str:
    """A token as the API server makes them, but for the signature."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return f"head.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.signature"


def of_account(uid: str) -> str:
    return token({"kubernetes.io": {"serviceaccount": {"name": "reader", "uid": uid}}})


async def test_a_token_is_asked_for_one_account_and_one_audience() -> None:
    client = Client({"status": {"token": of_account("uid-1")}})
    assert await mint(client) == of_account("uid-1")
    ((method, path, body),) = client.asked
    assert (method, path) == ("POST", "/api/v1/namespaces/ns/serviceaccounts/reader/token")
    assert body["spec"] == {"audiences": ["sts.aliyuncs.com"], "expirationSeconds": 600}
    assert body["metadata"] == {"namespace": "ns", "name": "reader", "uid": "uid-1"}


@pytest.mark.parametrize(
    "answer",
    [
        error_of_status("POST", {"reason": "Conflict"}, status=409),
        # A server that does not know the precondition.
        {"status": {"token": of_account("uid-2")}},
        {"status": {"token": token({})}},
        {"status": {"token": token({"kubernetes.io": {"serviceaccount": None}})}},
        {"status": {"token": token([1])}},
        {"status": {"token": token(b"not JSON")}},
        {"status": {"token": "no token at all"}},
    ],
)
async def test_an_account_that_was_recreated_is_not_the_one_that_was_checked(answer: Any) -> None:
    with pytest.raises(ReferenceChangedError, match="ns/reader was recreated") as caught:
        await mint(Client(answer))
    assert "signature" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "user"),
    [
        (
            token({"sub": "system:serviceaccount:ns:secret-sync"}),
            "system:serviceaccount:ns:secret-sync",
        ),
        (token({"sub": 1}), ""),
        ("garbage", ""),
        ("", ""),
    ],
)
async def test_owner_of_the_token_in_a_file(tmp_path: Path, content: str, user: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    assert await read_token_user(str(path)) == user
    assert await read_token_user(str(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("status", "sentence", "code", "said"),
    [
        (404, 'serviceaccounts "reader" not found', "ServiceAccountNotFound", "does not exist"),
        (
            403,
            f'serviceaccounts "reader" is forbidden: {NO_RIGHT}',
            "TokenForbidden",
            "needs the right to create serviceaccounts/token",
        ),
        (422, "no", "TokenForbidden", "422"),
    ],
)
async def test_a_refusal_says_why(status: int, sentence: str, code: str, said: str) -> None:
    refusal = error_of_status("POST", {"message": sentence}, status=status)
    with pytest.raises(DefiniteError) as caught:
        await mint(Client(refusal))
    assert caught.value.code == code
    assert said in caught.value.message
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [{}, {"status": None}, {"status": {"token": ""}}, {"status": {"token": ["a.b.c"]}}],
)
async def test_an_answer_without_a_token_is_a_fault(answer: Any) -> None:
    with pytest.raises(ApiUnavailableError, match="holds no token") as caught:
        await mint(Client(answer))
    assert "a.b.c" not in caught.value.message


async def test_an_api_server_that_is_away_is_asked_again_later() -> None:
    with pytest.raises(ApiUnavailableError, match="away"):
        await mint(Client(ApiUnavailableError("away")))
