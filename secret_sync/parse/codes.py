"""The codes of this room's errors, the limits, and how a key is shown to a person."""

from __future__ import annotations

import json
from typing import Final

from secret_sync.errors import DefiniteError

#: A key that a Secret cannot have.
INVALID_KEY: Final = "InvalidKey"
#: More bytes than a document or a Secret may have.
TOO_LARGE: Final = "TooLarge"
#: A JMESPath expression that cannot be read, or not be evaluated on this document.
INVALID_JMESPATH: Final = "InvalidJMESPath"
#: A regular expression that RE2 cannot read.
INVALID_REGEX: Final = "InvalidRegex"
#: Neither JSON nor YAML, or nothing that has keys.
NOT_A_DOCUMENT: Final = "NotADocument"
#: A key twice in one mapping of the document, or one alias twice in `jmesPath`.
DUPLICATE_KEY: Final = "DuplicateKey"
#: A path that finds nothing, or null.
PATH_NOT_FOUND: Final = "PathNotFound"
#: Two keys that `replaceRule` makes one.
KEY_COLLISION: Final = "KeyCollision"
#: Levels, nodes, aliases or steps beyond what one value may cost.
TOO_COSTLY: Final = "TooCostly"

#: All values of a Secret together, and the largest JSON document, in bytes.
MAX_BYTES: Final = 1024 * 1024
#: The largest YAML document, in bytes: its parser needs a hundred times the time of JSON's.
MAX_YAML_BYTES: Final = 128 * 1024
#: Mappings and lists within each other.
MAX_LEVELS: Final = 100

#: Of a key that is shown to a person, in characters.
_SHOWN: Final = 80


def shown(key: str) -> str:
    """The key as a person may read it: quoted, one line, at most 80 characters of it."""
    return repr(key if len(key) <= _SHOWN else key[:_SHOWN] + "...")


def is_shown_whole(key: str) -> bool:
    """Whether `shown` leaves nothing of the key out."""
    return len(key) <= _SHOWN


def copyable(text: str) -> str:
    """The text as a string of YAML, in quotes and on one line, for a person to copy."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04x}" if c <= "\uffff" else f"\\U{ord(c):08x}"
        for c in json.dumps(text, ensure_ascii=False)
    )


def encoded(text: str) -> bytes:
    """The text as UTF-8.

    Raises:
        DefiniteError: With code ``NotADocument``; JSON can name half a surrogate pair, which is
            no character and has no bytes.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        # The original error quotes the text.
        raise DefiniteError(
            "a text of the document has half a surrogate pair (`\\ud800` to `\\udfff`), which is "
            "no character; write the whole pair or the character itself",
            code=NOT_A_DOCUMENT,
        ) from None
