"""``bcrypt`` and ``htpasswd``: hashes that are the same at each rendering."""

from __future__ import annotations

import re
from itertools import pairwise

import bcrypt
import pytest

from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TEMPLATE_FAILED, TOO_COSTLY, TemplateError
from secret_sync.templates.hashing import bcrypt_hash, placeholder
from secret_sync.templates.rendering import HashRequest, Rendering


def rendered(template: str, uid: str = "uid-1", key: str = "data", **values: bytes) -> bytes:
    """Render a template, compute the hashes that it needs, and render it again."""
    known: dict[HashRequest, bytes] = {}
    first = Rendering(uid, 0, known)
    first.key = key
    parse(template).render(values, first)
    known.update((request, bcrypt_hash(request)) for request in first.needed)
    second = Rendering(uid, 0, known)
    second.key = key
    output = parse(template).render(values, second)
    assert second.needed == []
    return output


def requests(
    template: str, uid: str = "uid-1", key: str = "data", **values: bytes
) -> list[HashRequest]:
    rendering = Rendering(uid, 0, {})
    rendering.key = key
    parse(template).render(values, rendering)
    return rendering.needed


@pytest.mark.parametrize(
    "password", [b"", b"secret", "pässword".encode(), bytes(range(72)), b"\xff" * 72, b"a\0b"]
)
def test_bcrypt_hash_belongs_to_the_password(password: bytes) -> None:
    found = rendered("{{ bcrypt .p 4 }}", p=password)
    assert re.fullmatch(rb"\$2a\$04\$[./A-Za-z0-9]{53}", found)
    assert bcrypt.checkpw(password, found)
    assert not bcrypt.checkpw(password[:-1] + b"!", found)


def test_bcrypt_has_cost_10_unless_another_is_given() -> None:
    assert [request.cost for request in requests('{{ bcrypt "a" }}{{ bcrypt "a" 13 }}')] == [10, 13]


def test_htpasswd_line_has_user_hash_and_line_break() -> None:
    found = rendered('{{ htpasswd "joe" .p }}', p=b"secret")
    user, colon, hashed = found.partition(b":")
    assert (user, colon, hashed[-1:]) == (b"joe", b":", b"\n")
    assert bcrypt.checkpw(b"secret", hashed[:-1])


def test_hash_is_the_same_at_each_rendering() -> None:
    template = '{{ htpasswd "joe" .p }}{{ bcrypt .p 4 }}'
    assert rendered(template, p=b"x") == rendered(template, p=b"x")


def test_salt_is_made_of_names_only() -> None:
    template = '{{ htpasswd "joe" .p }}'
    (usual,) = requests(template, p=b"one")
    (other_password,) = requests(template, p=b"two")
    assert usual.salt == other_password.salt
    assert len(usual.salt) == 16
    salts = {
        usual.salt,
        requests(template, uid="uid-2", p=b"one")[0].salt,
        requests(template, key="other", p=b"one")[0].salt,
        requests('{{ htpasswd "jim" .p }}', p=b"one")[0].salt,
        requests("{{ bcrypt .p }}", p=b"one")[0].salt,
    }
    assert len(salts) == 5


def test_salt_of_bcrypt_is_another_for_each_call_of_a_key() -> None:
    first, second = requests('{{ bcrypt "a" }}{{ bcrypt "a" }}')
    assert first.salt != second.salt
    rendering = Rendering("uid-1", 0, {})
    for key in ("data", "other", "data"):
        rendering.key = key
        parse('{{ bcrypt "a" }}').render({}, rendering)
    assert [request.salt for request in rendering.needed[::2]] == [first.salt, second.salt]


def test_salts_of_adjacent_names_differ() -> None:
    templates = [
        requests("{{ htpasswd .u .p }}", uid=uid, key=key, u=user, p=b"x")[0].salt
        for uid, key, user in [
            ("a", "b", b"c"),
            ("ab", "", b"c"),
            ("a", "bc", b""),
            ("", "ab", b"c"),
        ]
    ]
    assert all(first != second for first, second in pairwise(templates))
    assert len(set(templates)) == len(templates)


def test_salt_stays_what_it_was() -> None:
    (request,) = requests('{{ htpasswd "joe" "x" }}', uid="0b5d1c3e", key='data["auth"]')
    assert bcrypt_hash(HashRequest(request.password, request.salt, 4)) == SAME_FOR_EVER


#: Another value would rewrite the Secrets of every user.
SAME_FOR_EVER = b"$2a$04$W1f/vdn4g8uOuh4UA/vapOWekUq.HJa6g8AUo.G.uUivtOGuW.fV6"


def test_unknown_hash_is_asked_for_and_stands_as_placeholder() -> None:
    rendering = Rendering("uid-1", 0, {})
    found = parse("{{ bcrypt .p }}").render({"p": b"secret"}, rendering)
    (request,) = rendering.needed
    assert request.password == b"secret"
    assert found == placeholder(request)
    assert len(found) == len(bcrypt_hash(HashRequest(request.password, request.salt, 4)))


@pytest.mark.parametrize(
    "template",
    [
        '{{ htpasswd "a:b" "x" }}',
        '{{ htpasswd "a\\nb" "x" }}',
        "{{ bcrypt .long }}",
        '{{ htpasswd "a" .long }}',
        '{{ bcrypt "x" 3 }}',
        '{{ bcrypt "x" 14 }}',
        '{{ bcrypt "x" -1 }}',
        '{{ bcrypt "x" 4 5 }}',
        '{{ bcrypt "x" "10" }}',
        "{{ bcrypt .missing }}",
        "{{ bcrypt 1 }}",
        '{{ htpasswd "a" }}',
    ],
)
def test_password_functions_refuse_what_they_cannot_use(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(template, long=b"p" * 73)
    assert caught.value.code == TEMPLATE_FAILED
    assert "ppp" not in str(caught.value)


def test_hashes_beyond_the_sixteenth_are_too_costly() -> None:
    sixteen = '{{ range until 16 }}{{ bcrypt "x" }}{{ end }}'
    assert len(requests(sixteen)) == 16
    with pytest.raises(TemplateError) as caught:
        requests(sixteen + '{{ htpasswd "a" "x" }}')
    assert caught.value.code == TOO_COSTLY
