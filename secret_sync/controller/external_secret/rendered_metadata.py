"""What may be a label or an annotation of a Secret, by Kubernetes' rules and by ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.resources.names import GROUP, LAST_APPLIED_ANNOTATION
from secret_sync.resources.template import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What begins or is a name that neither an author nor a value may choose: our own marks, what the
#: cluster acts on, and kubectl's copy of the object.
RESERVED: Final = (
    f"secret-sync.{GROUP}/",
    "kubernetes.io/service-account.",
    LAST_APPLIED_ANNOTATION,
)
MAX_LABEL: Final = 63
#: Of all annotations together, names included; the API server's limit.
MAX_ANNOTATIONS: Final = 256 * 1024

#: Bytes, at most, that are before and after a name in our annotation, and of our annotations apart
#: from these names.
_NAMED: Final = len("annotations/ ")
_MARKS: Final = 512

_MAX_PREFIX: Final = 253
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PART: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PREFIX: Final = re.compile(rf"{_PART}(\.{_PART})*")


def name_problem(target: str, name: str) -> str:
    """Return why a label or annotation cannot have a name; ``""`` if it can.

    Args:
        target: ``Labels`` or ``Annotations``.
        name: With its prefix.
    """
    if name.startswith(RESERVED):
        return "the name is reserved"
    prefix, slash, word = name.rpartition("/")
    if slash:
        # The API server does not care for the case of an annotation's prefix.
        domain = prefix if target == LABELS else prefix.lower()
        if len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(domain):
            return "what is before the slash must be a lowercase DNS name of up to 253 characters"
    if len(word) > MAX_LABEL or not _WORD.fullmatch(word):
        return (
            f"the name must have 1 to {MAX_LABEL} letters, digits, '-', '_' and '.', and begin and "
            "end with a letter or digit"
        )
    return ""


def value_problem(target: str, value: bytes) -> str:
    """Return why a label or annotation cannot have a value, which is not quoted; or ``""``."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "the value is not UTF-8; encode it with b64enc"
    if target != LABELS or not text:
        return ""
    if len(text) > MAX_LABEL:
        return f"the value has {len(text)} characters, a label has at most {MAX_LABEL}"
    if _WORD.fullmatch(text):
        return ""
    if _WORD.fullmatch(text.strip()):
        return "the value begins or ends with a space or line break; use `trim`, or {{- and -}}"
    return (
        "the value of a label has letters, digits, '-', '_' and '.' only, and begins and ends with "
        "a letter or digit; use an annotation, or `replace` what it may not have"
    )


def size_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> int:
    """Return the bytes of all annotations as the API server counts them.

    Those of ours are among them; one has the names of all labels and annotations.
    """
    named = sum(len(name) + _NAMED for name in (*labels, *annotations))
    written = sum(len(name) + len(value.encode()) for name, value in annotations.items())
    return named + written + _MARKS
