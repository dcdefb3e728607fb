"""Tokens of ServiceAccounts."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.errors import DefiniteError
from secret_sync.kube import ApiUnavailableError, ServiceAccountTokenMinter
from secret_sync.kube.errors import error_of_status

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
    return await ServiceAccountTokenMinter(client).mint("ns", "reader", ("sts.aliyuncs.com",))


async def test_a_token_is_asked_for_one_account_and_one_audience() -> None:
    client = Client({"status": {"token": "a.b.c"}})
    assert await mint(client) == "a.b.c"
    ((method, path, body),) = client.asked
    assert (method, path) == ("POST", "/api/v1/namespaces/ns/serviceaccounts/reader/token")
    assert body["spec"] == {"audiences": ["sts.aliyuncs.com"], "expirationSeconds": 600}


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
