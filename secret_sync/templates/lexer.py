"""Source -> tokens."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum, auto
from typing import Final, NamedTuple

from secret_sync.templates.errors import TEMPLATE_INVALID, TemplateError


class TokenKind(Enum):
    """What a token is."""

    TEXT = auto()
    #: ``{{`` and ``}}``, trim markers included.
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    FIELD = auto()
    DOT = auto()
    VARIABLE = auto()
    WORD = auto()
    KEYWORD = auto()
    STRING = auto()
    CHARACTER = auto()
    NUMBER = auto()
    OPEN = auto()
    CLOSE = auto()
    PIPE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    COMMA = auto()
    END = auto()


class Token(NamedTuple):
    """A piece of the source.

    Attributes:
        kind: What it is.
        text: As it is written; of text, what is left of it after trimming.
        position: Where it begins in the source.
    """

    kind: TokenKind
    text: str
    position: int


KEYWORDS: Final = frozenset(
    (
        "block",
        "break",
        "continue",
        "define",
        "else",
        "end",
        "if",
        "nil",
        "range",
        "template",
        "with",
    )
)
_SPACES: Final = " \t\r\n"
_COMMENT: Final = re.compile(r"\{\{(?:-[ \t\r\n])?/\*")
_COMMENT_END: Final = re.compile(r"\*/(?P<trim>[ \t\r\n]-)?\}\}")
_TOKEN: Final = re.compile(
    r"""
    (?P<RIGHT>[ \t\r\n]-\}\}|\}\})
  | (?P<SPACE>[ \t\r\n]+?(?=[ \t\r\n]-\}\}|[^ \t\r\n]|\Z))
  | (?P<FIELD>\.(?![0-9])\w+)
  | (?P<VARIABLE>\$\w*)
  | (?P<NUMBER>[+\-0-9.])
  | (?P<WORD>\w+)
  | (?P<STRING>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
  | (?P<CHARACTER>'(?:[^'\\\n]|\\[^\n])*')
  | (?P<DECLARE>:=)
  | (?P<ASSIGN>=)
  | (?P<PIPE>\|)
  | (?P<COMMA>,)
  | (?P<OPEN>\()
  | (?P<CLOSE>\))
    """,
    re.VERBOSE,
)
_PART: Final = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
# Atomic, as Go never goes back: a shorter number would be found before a letter.
_NUMBER: Final = re.compile(rf"(?>{_PART})(?:(?=[+-])(?>{_PART})(?<=i))?(?![\w+-])")
_DIGIT: Final = re.compile("[0-9]")
#: What may follow a name: ``.X.Y`` is two fields, ``$x+2`` is a mistake.
_AFTER_NAME: Final = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")
_NAMES: Final = frozenset((TokenKind.FIELD, TokenKind.VARIABLE, TokenKind.WORD))
_KINDS: Final = {kind.name: kind for kind in TokenKind}
_WHAT_IS_OPEN: Final = {
    '"': 'a string has no closing "',
    "`": "a string has no closing `",
    "'": "a character constant has no closing '",
}


class SourcePlace(NamedTuple):
    """Line and column of a source, both from 1."""

    line: int
    column: int


def place_of(source: str, position: int) -> SourcePlace:
    """Return line and column of a position."""
    begin = source.rfind("\n", 0, position) + 1
    return SourcePlace(source.count("\n", 0, begin) + 1, position - begin + 1)


def invalid(source: str, position: int, message: str, plain: str = "") -> TemplateError:
    """Return the error of a template that cannot be parsed."""
    line, column = place_of(source, position)
    return TemplateError(message, code=TEMPLATE_INVALID, line=line, column=column, plain=plain)


def tokens_of(source: str) -> list[Token]:
    """Split the source into tokens; the last one has the kind ``END``.

    Raises:
        TemplateError: With code ``TemplateInvalid``.
    """
    tokens: list[Token] = []
    position = 0
    while True:
        begin = source.find("{{", position)
        text = source[position:] if begin < 0 else source[position:begin]
        if begin >= 0 and source[begin + 2 : begin + 3] == "-" and _is_space(source, begin + 3):
            text = text.rstrip(_SPACES)
        if text:
            tokens.append(Token(TokenKind.TEXT, text, position))
        if begin < 0:
            tokens.append(Token(TokenKind.END, "", len(source)))
            return tokens
        position = _comment(source, begin) or _action(source, begin, tokens)


def _is_space(source: str, position: int) -> bool:
    return source[position : position + 1] in {" ", "\t", "\r", "\n"}


def _comment(source: str, begin: int) -> int:
    """Return where the text after a comment begins; 0 if there is no comment."""
    comment = _COMMENT.match(source, begin)
    if comment is None:
        return 0
    end = source.find("*/", comment.end())
    found = _COMMENT_END.match(source, end) if end >= 0 else None
    if found is None:
        raise invalid(source, begin, "a comment has to end with */}} or */ -}}")
    return _after(source, found.end(), trim=bool(found["trim"]))


def _after(source: str, position: int, *, trim: bool) -> int:
    if trim:
        while _is_space(source, position):
            position += 1
    return position


def _action(source: str, begin: int, tokens: list[Token]) -> int:
    """Add the tokens of an action; return where the text after it begins."""
    tokens.append(Token(TokenKind.LEFT, "{{", begin))
    position = begin + 2
    if source[position : position + 1] == "-" and _is_space(source, position + 1):
        position += 2
    parentheses = 0
    while True:
        token = _token(source, position, begin)
        tokens.append(token)
        position += len(token.text)
        if token.kind is TokenKind.OPEN:
            parentheses += 1
        elif token.kind is TokenKind.CLOSE:
            parentheses -= 1
            if parentheses < 0:
                raise invalid(source, token.position, "there is no ( for this )")
        elif token.kind is TokenKind.RIGHT:
            if parentheses:
                raise invalid(source, token.position, "a ) is missing before }}")
            return _after(source, position, trim=len(token.text) > len("}}"))


def _token(source: str, position: int, begin: int) -> Token:
    """Return the next token of the action that begins at ``begin``."""
    found = _TOKEN.match(source, position)
    if found is None:
        raise _unreadable(source, position, begin)
    kind = _KINDS[str(found.lastgroup)]
    text = found[0]
    if kind is TokenKind.NUMBER:
        kind, text = _number_or_dot(source, position)
    elif kind in _NAMES:
        _check_name(source, position, text)
        if text in KEYWORDS:
            kind = TokenKind.KEYWORD
    return Token(kind, text, position)


def _check_name(source: str, position: int, name: str) -> None:
    end = position + len(name)
    if not name.isascii():
        # Go's letters and digits: \w has more, such as "²".
        for index, char in enumerate(name):
            category = unicodedata.category(char)
            if ord(char) > ord("z") and category[0] != "L" and category != "Nd":
                raise _bad_character(source, position + index)
    if _AFTER_NAME.match(source, end) is None:
        raise _bad_character(source, end)


def _bad_character(source: str, position: int) -> TemplateError:
    return invalid(
        source,
        position,
        "a name is followed by a character that cannot be part of it; names have letters, digits "
        'and _ only. For another key write index . "key"',
    )


def _number_or_dot(source: str, position: int) -> tuple[TokenKind, str]:
    if source[position] == "." and not _DIGIT.match(source, position + 1):
        if _AFTER_NAME.match(source, position + 1) is None:
            raise _bad_character(source, position + 1)
        return TokenKind.DOT, "."
    found = _NUMBER.match(source, position)
    if found is None:
        raise invalid(source, position, "this number cannot be read")
    return TokenKind.NUMBER, found[0]


def _unreadable(source: str, position: int, begin: int) -> TemplateError:
    char = source[position : position + 1]
    if not char:
        return invalid(source, begin, "an action has no closing }}")
    if char in _WHAT_IS_OPEN:
        return invalid(source, position, _WHAT_IS_OPEN[char])
    if char == ":":
        return invalid(source, position, "a variable is declared with :=")
    return invalid(source, position, "an action cannot have this character outside quotes")
