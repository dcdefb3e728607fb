"""Values in memory, and what is kept of those that are not."""

from __future__ import annotations

from secret_sync.sources.value_cache import ValueCache


def test_digest_is_keyed_so_that_a_guess_cannot_be_checked() -> None:
    cache, other = ValueCache(), ValueCache()
    assert cache.digest(b"value") == cache.digest(b"value") != cache.digest(b"other")
    assert cache.digest(b"value") != other.digest(b"value")
