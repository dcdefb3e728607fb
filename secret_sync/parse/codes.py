"""Error codes of this package, its limits, and how a key is shown in a message."""

from __future__ import annotations

import json
from typing import Final

from secret_sync import documents
from secret_sync.errors import DefiniteError

#: A key that a Secret cannot have.
INVALID_KEY: Final = "InvalidKey"
#: More bytes than a document or a Secret may have.
TOO_LARGE: Final = "TooLarge"
#: A JMESPath expression that is invalid, or cannot be evaluated on this document.
INVALID_JMESPATH: Final = "InvalidJMESPath"
#: A regular expression that is invalid for RE2.
INVALID_REGEX: Final = "InvalidRegex"
NOT_A_DOCUMENT: Final = documents.NOT_A_DOCUMENT
DUPLICATE_KEY: Final = documents.DUPLICATE_KEY
#: A path that matches nothing, or null.
PATH_NOT_FOUND: Final = "PathNotFound"
#: Two keys that `replaceRule` renames to the same key.
KEY_COLLISION: Final = "KeyCollision"
TOO_COSTLY: Final = documents.TOO_COSTLY

#: All values of a Secret together, and the largest JSON document, in bytes.
MAX_BYTES: Final = 1024 * 1024
#: The largest YAML document, in bytes: parsing YAML takes a hundred times as long as JSON.
MAX_YAML_BYTES: Final = 128 * 1024
MAX_LEVELS: Final = documents.MAX_LEVELS

shown = documents.shown
is_shown_whole = documents.is_shown_whole


def copyable(text: str) -> str:
    """Return the text as a quoted YAML string on one line, for a person to copy."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04x}" if c <= "\uffff" else f"\\U{ord(c):08x}"
        for c in json.dumps(text, ensure_ascii=False)
    )


def encoded(text: str) -> bytes:
    """Encode the text as UTF-8.

    Raises:
        DefiniteError: With code ``NotADocument``: JSON can contain a lone surrogate, which has
            no UTF-8 encoding.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        # The original error quotes the text.
        raise DefiniteError(
            "a string of the document has a lone surrogate (`\\ud800` to `\\udfff`), which is not "
            "a character; write the surrogate pair or the character itself",
            code=NOT_A_DOCUMENT,
        ) from None
