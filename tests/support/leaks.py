"""How something that is to stay hidden may look where it has come out."""

from __future__ import annotations

import base64


def spellings(secret: bytes) -> list[str]:
    """As text, and within something longer that was encoded in base64.

    What of the base64 does not depend on the bytes around it; three bytes are four characters,
    so there are three ways.
    """
    within = []
    for ahead in range(3):
        encoded = base64.b64encode(bytes(ahead) + secret).decode()
        first, behind = -(-ahead * 8 // 6), (ahead + len(secret)) * 8 // 6
        within.append(encoded[first:behind])
    return [secret.decode(errors="replace"), *within]
