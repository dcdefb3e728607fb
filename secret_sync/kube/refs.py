"""What a write is about, and on whose behalf it is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ref:
    """The object of a write, and the version on which the write is based."""

    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class ConfirmedOwner:
    """The object on whose behalf something irrevocable is done, confirmed with the API server.

    Only code that has just asked the API server may create one.
    """

    namespace: str
    name: str
    uid: str
