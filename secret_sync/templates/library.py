"""All functions that templates can call, by name, except those of the language itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.ack import ACK
from secret_sync.templates.conversions import CONVERSIONS
from secret_sync.templates.date_functions import DATES
from secret_sync.templates.defaults import DEFAULTS
from secret_sync.templates.dicts import DICTS
from secret_sync.templates.digests import DIGESTS
from secret_sync.templates.encodings import ENCODINGS
from secret_sync.templates.flow import FLOW
from secret_sync.templates.json_functions import JSON
from secret_sync.templates.lists import LISTS
from secret_sync.templates.maths import MATHS
from secret_sync.templates.numeric import NUMERIC
from secret_sync.templates.passwords import PASSWORDS
from secret_sync.templates.paths import PATHS
from secret_sync.templates.reflection import REFLECTION
from secret_sync.templates.regexes import REGEXES
from secret_sync.templates.string_lists import STRING_LISTS
from secret_sync.templates.strings import STRINGS
from secret_sync.templates.urls import URLS
from secret_sync.templates.versions import VERSIONS
from secret_sync.templates.words import WORDS

if TYPE_CHECKING:
    from secret_sync.templates.functions import Function

FUNCTIONS: Final[dict[str, Function]] = {
    name: function
    for table in (
        STRINGS,
        WORDS,
        STRING_LISTS,
        MATHS,
        NUMERIC,
        DEFAULTS,
        ENCODINGS,
        LISTS,
        DICTS,
        JSON,
        CONVERSIONS,
        REFLECTION,
        DATES,
        VERSIONS,
        PATHS,
        DIGESTS,
        PASSWORDS,
        URLS,
        REGEXES,
        FLOW,
        ACK,
    )
    for name, function in table.functions.items()
}
