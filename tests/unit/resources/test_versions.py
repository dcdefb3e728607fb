"""Resource versions are unbounded decimal integers, or nothing but equal or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.resources.meta import order_of, reached


@given(st.integers(0, 10**40), st.integers(0, 10**40))
def test_numbers_are_compared_as_numbers(held: int, wanted: int) -> None:
    assert reached(str(held), str(wanted)) is (held >= wanted)


def test_any_number_of_digits_can_be_compared() -> None:
    """Python itself reads no more than 4300 of them."""
    assert reached("2" + "0" * 9000, "1" + "9" * 9000)
    assert not reached("1" + "9" * 9000, "2" + "0" * 9000)


@pytest.mark.parametrize("version", ["", "a", "7a", "-7", "\N{SUPERSCRIPT TWO}", "\u0667"])
def test_version_that_is_no_number_only_reaches_itself(version: str) -> None:
    assert order_of(version) is None
    assert reached(version, version)
    assert not reached(version, "1")
    assert not reached("1", version)


VERSIONS = st.text() | st.integers(0, 1000).map(str)


@given(VERSIONS, VERSIONS)
def test_any_two_can_be_compared(held: str, wanted: str) -> None:
    numbers = order_of(held) is not None and order_of(wanted) is not None
    assert (reached(held, wanted) or reached(wanted, held)) is (numbers or held == wanted)
