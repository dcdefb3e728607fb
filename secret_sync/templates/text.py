"""Letters and spaces in byte strings, as Go defines them.

Bytes that are not UTF-8 are kept: each becomes a lone surrogate while the text is a `str`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from unicodedata import category

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget

#: Unicode's white space. Python's has four separators more.
SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
#: Characters that Python looks at one by one, in the time of a step.
_CHARACTERS_PER_STEP: Final = 8

_TO_QUOTE: Final = re.compile(rb"[^ !#-\[\]-~]")
_NAMED: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    '"': '\\"', "\\": "\\\\",
}  # fmt: skip
#: The longest escape, of a single byte and of four.
_LONGEST_ESCAPE: Final = 4


def decoded(text: bytes) -> str:
    """Return the text, with a lone surrogate for each byte that is not UTF-8."""
    return text.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """Return the bytes of a `decoded` text."""
    return text.encode("utf-8", "surrogateescape")


def pay_characters(text: bytes, budget: TemplateBudget) -> None:
    """Charge a text of about the same length that is made character by character."""
    budget.create(len(text))
    budget.step(len(text) // _CHARACTERS_PER_STEP)


def upper(text: str) -> str:
    """Return the text in capitals, letter by letter: ``ß`` stays."""
    whole = text.upper()
    if len(whole) == len(text):
        return whole
    return "".join(map(upper_letter, text))


def lower(text: str) -> str:
    """Return the text in small letters, letter by letter."""
    # Python writes the last sigma of a word differently, and the dotted I as two characters.
    return text.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


def upper_letter(letter: str) -> str:
    """Return the capital of one letter, or the letter if that has several."""
    capital = letter.upper()
    if len(capital) > 1:
        capital = letter.title()
    return capital if len(capital) == 1 else letter


def title_letter(letter: str) -> str:
    """Return the letter as a word begins with it."""
    if letter in _GEORGIAN:
        return letter
    capital = letter.title()
    return capital if len(capital) == 1 else letter


def is_upper(letter: str) -> bool:
    """Return whether the character is a capital letter."""
    return category(letter) == "Lu"


def is_lower(letter: str) -> bool:
    """Return whether the character is a small letter."""
    return category(letter) == "Ll"


def is_letter(letter: str) -> bool:
    """Return whether the character is a letter."""
    return category(letter)[0] == "L"


#: Written in small letters at the beginning of a word, too.
_GEORGIAN: Final = frozenset(map(chr, (*range(0x10D0, 0x10FB), 0x10FD, 0x10FE, 0x10FF)))


def quoted(text: bytes, budget: TemplateBudget) -> bytes:
    """Return the text in double quotes with Go's escapes, as ``%q`` does."""
    if _TO_QUOTE.search(text) is None:
        budget.create(len(text) + 2)
        return b'"' + text + b'"'
    budget.create(len(text) * _LONGEST_ESCAPE + 2)
    budget.step(len(text) // _CHARACTERS_PER_STEP)
    return encoded('"' + "".join(map(_escaped, decoded(text))) + '"')


def _escaped(character: str) -> str:
    named = _NAMED.get(character)
    if named is not None:
        return named
    if character.isprintable():
        return character
    code = ord(character)
    if code < ord(" ") or code == 0x7F:  # noqa: PLR2004 (DEL)
        return f"\\x{code:02x}"
    if "\udc80" <= character <= "\udcff":
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 (the first plane)
