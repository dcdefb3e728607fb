"""Keys and sizes: what the API server would refuse is reported without it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data


def valid_for_the_api_server(key: str) -> bool:
    """IsConfigMapKey of k8s.io/apimachinery, written down once more."""
    legal = re.fullmatch(r"[-._a-zA-Z0-9]+", key, re.ASCII) is not None
    return legal and len(key) <= 253 and key != "." and not key.startswith("..")


def refusal_of(key: str) -> str:
    try:
        check_data({key: b""})
    except DefiniteError as error:
        return error.code
    return ""


@given(st.one_of(st.text(max_size=260), st.text("-._aZ9", max_size=260)))
@example("")
@example(".")
@example("..")
@example("..a")
@example(".a")
@example("a..")
@example("a\n")
@example("a" * 253)
@example("a" * 254)
@example("é")
@example("٣")
def test_key_rule_equals_the_api_servers(key: str) -> None:
    assert refusal_of(key) == ("" if valid_for_the_api_server(key) else "InvalidKey")


@pytest.mark.parametrize(("size", "fits"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
def test_all_values_together_have_a_limit(size: int, *, fits: bool) -> None:
    data = {"small": b"x", "large": b"y" * (size - 1)}
    if fits:
        check_data(data)
        return
    with pytest.raises(DefiniteError) as caught:
        check_data(data)
    assert caught.value.code == "TooLarge"
    assert "'large'" in caught.value.message
    assert "yyy" not in caught.value.message


def test_message_names_the_key_and_shortens_it() -> None:
    with pytest.raises(DefiniteError, match="'team/db' cannot be a key") as caught:
        check_data({"fine": b"", "team/db": b"value"})
    assert "value" not in caught.value.message
    with pytest.raises(DefiniteError) as caught:
        check_data({"k" * 5000: b""})
    assert len(caught.value.message) < 300


def test_all_illegal_names_are_reported_with_a_correction() -> None:
    with pytest.raises(DefiniteError) as caught:
        check_data({"team/db": b"value", "fine": b"", "..": b"", "team-db": b""})
    assert caught.value.message == (
        "'team/db', '..' cannot be keys of a Secret: only letters, digits, '-', '_' and '.' are "
        "allowed and it must not be '.' nor begin with '..'; choose another one in the entry's "
        '`name`, such as "team-db-2", "key"'
    )
