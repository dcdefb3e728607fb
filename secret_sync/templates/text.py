"""Letters and spaces in byte strings, as Go defines them.

Bytes that are not UTF-8 are kept: each becomes a lone surrogate while the text is a `str`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from unicodedata import category

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget

#: Unicode's white space. Python's has four separators more.
SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def pay_characters(text: bytes, budget: TemplateBudget, *, per_step: int = 6) -> None:
    """Charge a text of about the same length that is made character by character.

    Args:
        text: The text that it is made of.
        budget: Charged.
        per_step: Characters that are looked at in the time of a step.
    """
    budget.create(len(text))
    budget.step(len(text) // per_step)


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
