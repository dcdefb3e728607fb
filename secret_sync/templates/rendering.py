"""What the templates of one object share while they are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from secret_sync.templates.limits import TemplateBudget

if TYPE_CHECKING:
    from collections.abc import Mapping


class HashRequest(NamedTuple):
    """A bcrypt hash that a template needs.

    Attributes:
        password: At most 72 bytes.
        salt: 16 bytes, made of names only.
        cost: 4 to 13.
    """

    password: bytes
    salt: bytes
    cost: int

    def __repr__(self) -> str:
        """Omit the password."""
        return f"HashRequest(cost={self.cost})"


class Rendering:
    """One rendering of all templates of an object.

    Attributes:
        budget: Charged by whatever costs something.
        uid: Of the object; salts are made of it.
        key: What is being rendered (``data["url"]``); salts are made of it. The caller sets it.
        now: Seconds since the epoch, the value of ``now``.
        used_now: Whether a template has asked for it.
        hashes: Hashes that are known.
        needed: Hashes that were asked for and are not known. Their place in the output holds
            something else: unless this is empty, drop the output, compute them, render again.
        calls: Calls of ``bcrypt`` by key so far; the number is part of the salt.
        regexes: Compiled regular expressions; compiling one takes up to 40 ms.
    """

    __slots__ = (
        "_now",
        "budget",
        "calls",
        "hashes",
        "key",
        "needed",
        "regexes",
        "uid",
        "used_now",
    )

    def __init__(
        self, uid: str, now: int, hashes: Mapping[HashRequest, bytes], *, quick: bool = False
    ) -> None:
        self.budget = TemplateBudget(quick=quick)
        self.uid = uid
        self.key = ""
        self._now = now
        self.used_now = False
        self.hashes = hashes
        self.needed: list[HashRequest] = []
        self.calls: dict[str, int] = {}
        self.regexes: dict[bytes, Any] = {}

    @property
    def now(self) -> int:
        self.used_now = True
        return self._now
