from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from alibabacloud_tea_openapi.utils import get_canonical_query_string
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.sdk_transport import Signable, sign
from secret_sync.credentials import Credentials
from secret_sync.local.cloud import verifier as verifier_module
from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.signature import Signed, canonical_query
from secret_sync.local.cloud.store import CloudStore
from secret_sync.local.cloud.verifier import MAX_SKEW, Verifier

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller

EMPTY = hashlib.sha256(b"").hexdigest()
# 2023-10-26T10:22:32Z
SIGNED_AT = 1698315752.0
DOCUMENTED = Signed(
    method="POST",
    path="/",
    query=[
        ("RegionId", "cn-shanghai"),
        ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
    ],
    headers={
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": EMPTY,
        "authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    },
    body=b"",
)


def signed(nonce: str, at: float) -> Signed:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": nonce,
    }
    keys = Credentials("YourAccessKeyId", "YourAccessKeySecret")
    sign(Signable("POST", "/", {}, headers), b"", keys)
    return Signed(method="POST", path="/", query=[], headers=headers, body=b"")


@dataclass
class ServiceClock:
    now: float = SIGNED_AT

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> ServiceClock:
    return ServiceClock()


@pytest.fixture
def verifier(clock: ServiceClock) -> Verifier:
    store = CloudStore()
    store.create_access_key("1", "YourAccessKeyId", "YourAccessKeySecret")
    return Verifier(store, clock)


def test_documented_signature_is_accepted(verifier: Verifier) -> None:
    assert verifier.verify(DOCUMENTED).id == "YourAccessKeyId"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"path": "/x"},
        {"query": [("RegionId", "cn-beijing")]},
        {"body": b"a=b"},
        {"headers": {**DOCUMENTED.headers, "x-acs-action": "DeleteInstances"}},
        {"headers": {**DOCUMENTED.headers, "host": "kms.cn-shanghai.aliyuncs.com"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_invalidates_the_signature(
    verifier: Verifier, change: dict[str, object]
) -> None:
    with pytest.raises(CloudApiError) as caught:
        verifier.verify(replace(DOCUMENTED, **change))  # type: ignore[arg-type]  # parametrized
    assert caught.value.code == "SignatureDoesNotMatch"
    assert "YourAccessKeySecret" not in str(caught.value)


@pytest.mark.parametrize("skew", [-MAX_SKEW, MAX_SKEW])
def test_fifteen_minutes_off_are_in_time(
    verifier: Verifier, clock: ServiceClock, skew: float
) -> None:
    clock.now += skew
    verifier.verify(DOCUMENTED)


@pytest.mark.parametrize("skew", [-MAX_SKEW - 1, MAX_SKEW + 1])
def test_more_is_expired(verifier: Verifier, clock: ServiceClock, skew: float) -> None:
    clock.now += skew
    with pytest.raises(CloudApiError, match=r"InvalidTimeStamp\.Expired"):
        verifier.verify(DOCUMENTED)


def test_nonce_is_refused_as_long_as_its_date_is_good(
    verifier: Verifier, clock: ServiceClock
) -> None:
    clock.now -= MAX_SKEW
    verifier.verify(DOCUMENTED)
    clock.now += 2 * MAX_SKEW - 1
    with pytest.raises(CloudApiError, match="SignatureNonceUsed"):
        verifier.verify(DOCUMENTED)


def test_nonces_are_forgotten_at_last(
    verifier: Verifier, clock: ServiceClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "MAX_NONCES", 3)
    for number in range(10):
        verifier.verify(signed(str(number), clock.now))
    assert len(verifier) == 3
    clock.now += 2 * MAX_SKEW + 1
    verifier.verify(signed("10", clock.now))
    assert len(verifier) == 1


def test_wrong_signature_uses_up_no_nonce(verifier: Verifier) -> None:
    with pytest.raises(CloudApiError, match="SignatureDoesNotMatch"):
        verifier.verify(replace(DOCUMENTED, path="/x"))
    verifier.verify(DOCUMENTED)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("authorization", None, "MissingParameter"),
        ("authorization", "Bearer x", "MissingParameter"),
        ("x-acs-date", None, "IllegalTimestamp"),
        ("x-acs-date", "yesterday", "IllegalTimestamp"),
        ("x-acs-date", "2023-13-45T10:22:32Z", "IllegalTimestamp"),
        ("x-acs-signature-nonce", None, "MissingParameter"),
        ("host", None, "MissingParameter"),
        ("x-acs-content-sha256", None, "SignatureDoesNotMatch"),
        ("x-acs-security-token", "unsigned", "IncompleteSignature"),
    ],
)
def test_missing_or_unsigned_header_is_reported(
    verifier: Verifier, name: str, value: str | None, code: str
) -> None:
    headers = dict(DOCUMENTED.headers)
    headers.pop(name, None)
    if value is not None:
        headers[name] = value
    with pytest.raises(CloudApiError) as caught:
        verifier.verify(replace(DOCUMENTED, headers=headers))
    assert caught.value.code == code


# The SDK leaves names as they are.
NAMES = st.text(string.ascii_letters + string.digits + ".", min_size=1)


@given(st.dictionaries(NAMES, st.text(), max_size=6))
def test_canonical_query_is_the_one_of_the_sdk(query: dict[str, str]) -> None:
    assert canonical_query(query.items()) == get_canonical_query_string(query)


@pytest.mark.parametrize("plus", [False, True], ids=["%20", "+"])
async def test_space_may_be_written_both_ways(
    admin: CloudAdmin, kms: KmsCaller, *, plus: bool
) -> None:
    await admin.put_secret("with space + plus/*~", "v")
    answer = await kms.send({"SecretName": "with space + plus/*~"}, plus=plus)
    assert (answer.status, answer.body["SecretData"]) == (200, "v")


async def test_unknown_key_an_inactive_one_and_a_wrong_secret(
    admin: CloudAdmin, kms: KmsCaller
) -> None:
    kms.key = ("LTAIunknown", "x")
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (404, "InvalidAccessKeyId.NotFound")
    kms.key = (kms.info.access_key_id, "wrong")
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (400, "SignatureDoesNotMatch")
    kms.key = ("", "")
    await admin.set_access_key_active(kms.info.access_key_id, active=False)
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (400, "InvalidAccessKeyId.Inactive")


async def test_replay_is_refused(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "v")
    kms.signed["x-acs-signature-nonce"] = "the same"
    assert (await kms.get("s")).status == 200
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (400, "SignatureNonceUsed")


async def test_clock_of_the_cloud_can_be_put_wrong(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "v")
    await admin.update_settings(clock_offset=timedelta(minutes=20).total_seconds())
    assert (await kms.get("s")).code == "InvalidTimeStamp.Expired"
    await admin.update_settings(clock_offset=0)
    assert (await kms.get("s")).status == 200
