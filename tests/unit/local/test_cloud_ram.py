from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import AdminError, CloudInfo
from secret_sync.local.cloud import confidential as confidential_module
from secret_sync.local.cloud import ram as ram_module
from secret_sync.local.cloud.confidential import ConfidentialValues
from secret_sync.local.cloud.metadata import MetadataRequest
from secret_sync.local.cloud.ram import Ram
from secret_sync.local.cloud.services import ServiceCall
from secret_sync.local.cloud.signature import HeaderClaim, Signed
from secret_sync.local.cloud.signature_v1 import RpcClaim
from secret_sync.local.cloud.store import CloudStore
from secret_sync.local.cloud.wire import HttpReply, IncomingRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller

ACCOUNT = "1234567890123456"


async def test_role_is_made_changed_and_listed(admin: CloudAdmin) -> None:
    arn = await admin.put_role("reader")
    assert arn == f"acs:ram::{ACCOUNT}:role/reader"
    assert await admin.roles() == [
        {
            "arn": arn,
            "trust": [],
            "secrets": ["*"],
            "roles": [],
            "parameters": ["*"],
            "decrypts": True,
            "max_session_seconds": 3600,
        }
    ]
    trust = [{"account": "2"}, {"oidc_provider": "acs:p", "sub": "a*", "aud": "x"}]
    await admin.put_role("reader", trust=trust, secrets=["shop/*"])
    # What is omitted stays.
    await admin.update_role("reader", roles=["acs:*"])
    await admin.update_role("reader", parameters=["shop-*"], decrypts=False)
    await admin.update_role("reader", max_session_seconds=7200)
    assert await admin.roles() == [
        {
            "arn": arn,
            "trust": trust,
            "secrets": ["shop/*"],
            "roles": ["acs:*"],
            "parameters": ["shop-*"],
            "decrypts": False,
            "max_session_seconds": 7200,
        }
    ]


async def test_name_is_one_of_an_account(admin: CloudAdmin) -> None:
    assert await admin.put_role("r", account="2") == "acs:ram::2:role/r"
    with pytest.raises(AdminError, match=f"no role acs:ram::{ACCOUNT}:role/r"):
        await admin.delete_role("r")
    await admin.delete_role("r", account="2")
    assert await admin.roles() == []


async def test_key_reads_what_it_may(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secrets({"shop/db": "v", "bank/db": "w"})
    await admin.restrict_access_key(kms.info.access_key_id, secrets=["shop/*"])
    arn = f"acs:kms:cn-hangzhou:{ACCOUNT}:secret/bank/db"
    assert (await kms.get("shop/db")).status == 200
    for name in ("bank/db", arn):
        answer = await kms.get(name)
        assert (answer.status, answer.code) == (403, "Forbidden.NoPermission")
    await admin.restrict_access_key(kms.info.access_key_id, secrets=["*"])
    assert (await kms.get("bank/db")).status == 200


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda admin: admin.put_role("no/name"), 400),
        (lambda admin: admin.put_role("r", account="nobody"), 400),
        (lambda admin: admin.put_role("r", max_session_seconds=60), 400),
        (lambda admin: admin.put_role("r", max_session_seconds=43_201), 400),
        (lambda admin: admin.put_role("r", secrets="*"), 400),
        (lambda admin: admin.put_role("r", secrets=[1]), 400),
        (lambda admin: admin.put_role("r", parameters="*"), 400),
        (lambda admin: admin.put_role("r", decrypts="yes"), 400),
        (lambda admin: admin.put_role("r", trust=[{}]), 400),
        (lambda admin: admin.put_role("r", trust=[{"who": "all"}]), 400),
        (lambda admin: admin.put_role("r", trust=[{"account": "1", "role": "acs:r"}]), 400),
        (lambda admin: admin.put_role("r", trust=[{"oidc_provider": "acs:p"}]), 400),
        (lambda admin: admin.put_role("r", trust=[{"account": "1", "sub": "x"}]), 400),
        (lambda admin: admin.update_role("missing", roles=[]), 404),
        (lambda admin: admin.delete_oidc_provider("missing"), 404),
        (lambda admin: admin.restrict_access_key("missing", roles=[]), 404),
        (lambda admin: admin.set_metadata(role="missing"), 404),
        (lambda admin: admin.set_metadata(mode="soft"), 400),
        (lambda admin: admin.set_metadata(session_seconds=0), 400),
    ],
)
async def test_error_in_an_admin_request_is_reported(
    admin: CloudAdmin, call: Callable[[CloudAdmin], Awaitable[Any]], status: int
) -> None:
    with pytest.raises(AdminError) as caught:
        await call(admin)
    assert caught.value.status == status
    assert await admin.roles() == []


async def test_everything_issued_is_listed(
    admin: CloudAdmin, kms: KmsCaller, sts: KmsCaller
) -> None:
    role = await admin.put_role("r", trust=[{"account": ACCOUNT}])
    await admin.set_metadata(role=role)
    _, secret = await admin.create_access_key()
    answer = await sts.send({"RoleArn": role, "RoleSessionName": "a-test"})
    assumed = answer.body["Credentials"]
    metadata = f"http://{kms.info.metadata_endpoint}/latest"
    ttl = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    async with kms.session.put(f"{metadata}/api/token", headers=ttl) as response:
        token = await response.text()
    url = f"{metadata}/meta-data/ram/security-credentials/r"
    async with kms.session.get(url) as response:
        worker = await response.json()
    assert set(await admin.issued()) == {
        *(kms.info.access_key_secret, secret, token),
        *(assumed["AccessKeySecret"], assumed["SecurityToken"]),
        *(worker["AccessKeySecret"], worker["SecurityToken"]),
    }


async def test_listings_hold_no_secrets(admin: CloudAdmin, sts: KmsCaller) -> None:
    role = await admin.put_role("r", trust=[{"account": ACCOUNT}])
    await sts.send({"RoleArn": role, "RoleSessionName": "a-test"})
    [session] = await admin.sessions()
    assert (session["role"], session["name"]) == (role, "a-test")
    listed = str([session, await admin.roles(), await admin.calls(), await admin.counters()])
    assert not [secret for secret in await admin.issued() if secret in listed]


def test_confidential_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confidential_module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(ram_module, "MAX_SESSIONS", 2)
    confidential = ConfidentialValues()
    ram = Ram(confidential)
    role = ram.put_role("1", "r")
    sessions = [ram.open_session(role, "s", seconds=60, now=0.0) for _ in range(3)]
    assert list(ram.sessions) == [session.id for session in sessions[1:]]
    last = sessions[-1]
    assert confidential.entries() == [sessions[1].token, last.secret, last.token]


def test_no_secret_shows_in_a_repr() -> None:
    confidential = "very-confidential"
    query = [("OIDCToken", confidential), ("SecurityToken", confidential), ("Signature", "s")]
    headers = {
        "x-acs-security-token": confidential,
        "x-aliyun-ecs-metadata-token": confidential,
        "authorization": "ACS3-HMAC-SHA256 Credential=k,SignedHeaders=host,Signature=00",
    }
    signed = Signed("POST", "/", query, headers, confidential.encode(), query)
    store = CloudStore()
    role = store.ram.put_role("1", "r")
    session = store.ram.open_session(role, "s", seconds=60, now=0.0)
    key = store.create_access_key("1", key_secret=confidential)
    info = CloudInfo(
        endpoint="e",
        proxy_url="p",
        admin_url="a",
        metadata_endpoint="m",
        ca_file="c",
        account="1",
        access_key_id="k",
        access_key_secret=confidential,
    )
    shown = repr(
        [
            *(
                signed,
                IncomingRequest("h", signed, dict(query)),
                HttpReply(200, confidential.encode()),
            ),
            *(HeaderClaim.read(signed), RpcClaim.read(signed), MetadataRequest.read(signed)),
            *(ServiceCall("a", "r", dict(query), session), session, key, info, store.ram.roles),
        ]
    )
    assert "HeaderClaim" in shown
    assert "RpcClaim" in shown
    assert not [
        secret for secret in (confidential, *store.confidential.entries()) if secret in shown
    ]
