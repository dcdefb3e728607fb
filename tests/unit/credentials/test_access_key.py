"""An AccessKey from one Secret or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.credentials import AccessKeyProvider, CredentialKey, Credentials, SecretKeyRef
from secret_sync.errors import DefiniteError, NotFoundError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlayedReader:
    """Secrets by ``namespace/name``, and what was read."""

    def __init__(self, **secrets: Mapping[str, bytes] | Exception) -> None:
        self.secrets = secrets
        self.reads: list[str] = []

    async def read(
        self, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> Mapping[str, bytes]:
        self.reads.append(f"{namespace}/{name} {uid} {resource_version}")
        secret = self.secrets.get(name, NotFoundError("no such Secret"))
        if isinstance(secret, Exception):
            raise secret
        return secret


def ref(name: str = "ak", key: str = "id", version: str = "1") -> SecretKeyRef:
    return SecretKeyRef("team", name, key, f"uid-of-{name}", version)


def provider(
    reader: PlayedReader, id_ref: SecretKeyRef, secret_ref: SecretKeyRef
) -> AccessKeyProvider:
    return AccessKeyProvider(reader, id_ref, secret_ref)


async def test_access_key_in_one_secret_is_read_once() -> None:
    reader = PlayedReader(ak={"id": b"LTAI1", "secret": b"s3cret"})
    credentials = await provider(reader, ref(key="id"), ref(key="secret")).fetch(None)
    assert credentials == Credentials("LTAI1", "s3cret")
    assert reader.reads == ["team/ak uid-of-ak 1"]


async def test_access_key_may_be_in_two_secrets() -> None:
    reader = PlayedReader(a={"k": b"LTAI1"}, b={"k": b"s3cret"})
    credentials = await provider(reader, ref("a", "k"), ref("b", "k")).fetch(None)
    assert credentials == Credentials("LTAI1", "s3cret")
    assert reader.reads == ["team/a uid-of-a 1", "team/b uid-of-b 1"]


async def test_pasted_white_space_is_dropped() -> None:
    reader = PlayedReader(ak={"id": b" LTAI1\r\n", "secret": b"s3cret\n"})
    credentials = await provider(reader, ref(key="id"), ref(key="secret")).fetch(None)
    assert credentials == Credentials("LTAI1", "s3cret")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, 'Secret team/ak has no key "secret"'),
        (b"", 'key "secret" is empty'),
        (b" \n", 'key "secret" is empty'),
        (b"hush\xff\xfe", 'key "secret" is not part of an AccessKey'),
        (b"hush\nhush", 'key "secret" is not part of an AccessKey'),
        (b"hush hush", 'key "secret" is not part of an AccessKey'),
        ("hush密".encode(), 'key "secret" is not part of an AccessKey'),
        (b"hush\x00", 'key "secret" is not part of an AccessKey'),
    ],
)
async def test_invalid_access_key_is_named_but_not_shown(value: bytes | None, words: str) -> None:
    data = {"id": b"LTAI1"} if value is None else {"id": b"LTAI1", "secret": value}
    with pytest.raises(DefiniteError, match=words) as caught:
        await provider(PlayedReader(ak=data), ref(key="id"), ref(key="secret")).fetch(None)
    assert "hush" not in repr(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None, "a decoder's error holds the value"
    assert "Secret team/ak" in caught.value.message
    expected = "AccessKeySecretKeyMissing" if value is None else "InvalidAccessKey"
    assert caught.value.code == expected


async def test_missing_accesskey_is_no_missing_kms_secret() -> None:
    with pytest.raises(DefiniteError, match="Secret team/ak does not exist") as caught:
        await provider(PlayedReader(), ref(key="id"), ref(key="secret")).fetch(None)
    assert not isinstance(caught.value, NotFoundError)
    assert caught.value.code == "AccessKeySecretNotFound"


async def test_other_errors_of_the_reader_are_passed_on() -> None:
    reader = PlayedReader(ak=TransientError("the API server is away"))
    with pytest.raises(TransientError, match="away"):
        await provider(reader, ref(key="id"), ref(key="secret")).fetch(None)


def test_identity_contains_every_reference() -> None:
    base = provider(PlayedReader(), ref(), ref(key="secret")).key
    assert base == provider(PlayedReader(), ref(), ref(key="secret")).key
    assert hash(base) == hash(provider(PlayedReader(), ref(), ref(key="secret")).key)
    others = [
        provider(PlayedReader(), ref(version="2"), ref(key="secret")).key,
        provider(PlayedReader(), ref(), ref(key="secret", version="2")).key,
        provider(PlayedReader(), ref("other"), ref(key="secret")).key,
        provider(PlayedReader(), ref(key="secret"), ref()).key,
        CredentialKey("Other", base.parts),
    ]
    assert base not in others
    assert len(set(others)) == len(others)


def test_credentials_show_nothing_of_themselves() -> None:
    permanent = Credentials("LTAI-visible", "hush")
    temporary = Credentials("STS.visible", "hush", "token", 5.0)
    for text in (f"{permanent}{permanent!r}", f"{temporary!r}{[temporary]}"):
        for part in ("visible", "hush", "token"):
            assert part not in text
