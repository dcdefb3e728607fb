"""Lines of any length, out of chunks of any size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.kube.watch import LineSplitter, LineTooLongError

LIMIT = 50


@given(
    lines=st.lists(st.binary(max_size=LIMIT).filter(lambda line: b"\n" not in line)),
    rest=st.binary(max_size=LIMIT).filter(lambda line: b"\n" not in line),
    cuts=st.lists(st.integers(0, 1000)),
)
def test_however_a_stream_is_cut_its_lines_are_the_same(
    lines: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest
    bounds = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]
    splitter = LineSplitter(LIMIT)
    found: list[bytes] = []
    for start, end in itertools.pairwise(bounds):
        found += splitter.feed(stream[start:end])
    assert found == lines
    assert splitter.rest() == rest
    assert splitter.rest() == b""


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_over_the_limit_is_refused_with_and_without_its_end(size: int, end: bytes) -> None:
    splitter = LineSplitter(LIMIT)
    stream = b"ok\n" + b"x" * (LIMIT + 1) + end
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    with pytest.raises(LineTooLongError):
        list(map(splitter.feed, chunks))


def test_a_line_of_just_the_limit_passes() -> None:
    splitter = LineSplitter(LIMIT)
    assert splitter.feed(b"x" * LIMIT + b"\nrest") == [b"x" * LIMIT]
