"""A running local cloud, and a client that signs with the SDK's own helper."""

from __future__ import annotations

import hashlib
import ssl
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest
from yarl import URL

from secret_sync.local.cloud import CloudAdmin, LocalCloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is the parsed JSON, or None where there is none."""

    status: int
    raw: bytes
    headers: dict[str, str]
    body: Any = None

    @property
    def code(self) -> str:
        return str(self.body["Code"])


@dataclass
class KmsCaller:
    """Calls GetSecretValue as a client does, and as one should not; `sts` calls AssumeRole so.

    `signed` are headers changed before signing, `tampered` after; None takes one away.
    """

    info: CloudInfo
    session: aiohttp.ClientSession
    tls: ssl.SSLContext
    key: tuple[str, str] = ("", "")
    proxied: bool = False
    signed: dict[str, str | None] = field(default_factory=dict)
    tampered: dict[str, str | None] = field(default_factory=dict)

    async def get(self, name: str | None, **parameters: str) -> Answer:
        query = parameters if name is None else {"SecretName": name, **parameters}
        return await self.send(query)

    def use(self, credentials: Mapping[str, str]) -> None:
        """Sign as a session from now on."""
        self.key = (credentials["AccessKeyId"], credentials["AccessKeySecret"])
        self.signed["x-acs-security-token"] = credentials["SecurityToken"]

    async def send(
        self,
        query: dict[str, str],
        *,
        form: dict[str, str] | None = None,
        plus: bool = False,
        host: str = "kms.cn-hangzhou.aliyuncs.com",
    ) -> Answer:
        body = b"" if form is None else str(URL.build(query=form).raw_query_string).encode()
        authority = host if self.proxied else self.info.endpoint
        headers = self._sign(authority, query, body)
        encoded = "&".join(f"{k}={quote(v, safe='~')}" for k, v in query.items())
        if plus:
            encoded = encoded.replace("%20", "+")
        url = URL(f"https://{authority}/?{encoded}", encoded=True)
        proxy = self.info.proxy_url if self.proxied else None
        async with self.session.post(
            url, data=body or None, headers=headers, ssl=self.tls, proxy=proxy
        ) as response:
            return await answer_of(response)

    async def plain(
        self,
        method: str,
        *,
        query: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send something that is not signed, or signed by parameters."""
        async with self.session.request(
            method,
            f"https://{self.info.endpoint}/",
            params=query,
            data=form,
            headers=headers,
            ssl=self.tls,
        ) as response:
            return await answer_of(response)

    def _sign(self, host: str, query: dict[str, str], body: bytes) -> dict[str, str]:
        key_id, secret = self.key[0] or self.info.access_key_id, self.key[1]
        digest = hashlib.sha256(body).hexdigest()
        headers = _without_none(
            {
                "host": host,
                "x-acs-action": "GetSecretValue",
                "x-acs-version": "2016-01-20",
                "x-acs-date": timestamp(timedelta()),
                "x-acs-signature-nonce": uuid.uuid4().hex,
                "x-acs-content-sha256": digest,
                "accept": "application/json",
                "user-agent": "a test",
                "content-type": "application/x-www-form-urlencoded",
                **self.signed,
            }
        )
        request = DaraRequest()
        request.method, request.pathname = "POST", "/"
        request.headers, request.query = headers, query
        headers["authorization"] = Utils.get_authorization(
            request,
            "ACS3-HMAC-SHA256",
            headers.get("x-acs-content-sha256", digest),
            key_id,
            secret or self.info.access_key_secret,
        )
        return _without_none({**headers, **self.tampered})


async def answer_of(response: aiohttp.ClientResponse) -> Answer:
    raw = await response.read()
    json = response.content_type == "application/json" and raw
    answered = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, raw, answered, orjson.loads(raw) if json else None)


def _without_none(headers: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}


def timestamp(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[CloudInfo]:
    local = LocalCloud()
    yield await local.start(tmp_path / "cloud")
    await local.stop()


@pytest.fixture
async def admin(cloud: CloudInfo) -> AsyncIterator[CloudAdmin]:
    async with CloudAdmin(cloud.admin_url) as client:
        yield client


@pytest.fixture
async def kms(cloud: CloudInfo) -> AsyncIterator[KmsCaller]:
    tls = ssl.create_default_context(cafile=cloud.ca_file)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield KmsCaller(cloud, session, tls)


@pytest.fixture
def sts(kms: KmsCaller) -> KmsCaller:
    headers: dict[str, str | None] = {
        "x-acs-action": "AssumeRole",
        "x-acs-version": "2015-04-01",
    }
    return replace(kms, signed=headers, tampered={})
