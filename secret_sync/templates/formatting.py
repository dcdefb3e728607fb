"""``printf``: what Go would mark with ``%!`` in the result is an error here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.format_directives import DirectiveReader
from secret_sync.templates.format_numbers import format_float, format_integer, padded
from secret_sync.templates.kinds import described, type_of
from secret_sync.templates.printing import check_inner, missing
from secret_sync.templates.quoting import bytes_of, quoted, quoted_rune, rune, text_of
from secret_sync.templates.values import DocumentNumber, Uint8, is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from secret_sync.templates.format_directives import Directive
    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.values import Value

_INT_VERBS: Final = frozenset("vdboOxXcqU")
_FLOAT_VERBS: Final = frozenset("vbgGxXfFeE")
_STRING_VERBS: Final = frozenset("vsxXq")
#: Verbs that fit no kind of value.
_KNOWN_VERBS: Final = frozenset("vTtdboOxXcqUeEfFgGs")
_FITTING: Final = {
    "bool": "%t",
    "string": "%s or %q",
    "int": "%d",
    "int64": "%d",
    "uint8": "%d",
    "float64": "%v or %f",
    "complex128": "%v",
}


def format_text(layout: bytes, values: Sequence[Value], budget: TemplateBudget) -> bytes:
    """Return the layout with the values in the places of its verbs.

    Raises:
        BadValueError: A verb does not fit its value, or their numbers differ.
    """
    reader = DirectiveReader(layout, values)
    writer = _FormatWriter(budget)
    while True:
        percent = layout.find(b"%", reader.position)
        writer.add(layout[reader.position : percent if percent >= 0 else len(layout)])
        if percent < 0:
            break
        reader.position = percent + 1
        directive = reader.read()
        if directive.verb == "%":
            writer.add(b"%")
            continue
        if reader.next_value >= len(values):
            raise BadValueError(f"there is no value for %{directive.verb}")
        writer.value(values[reader.next_value], directive)
        reader.next_value += 1
    if not reader.reordered and reader.next_value < len(values):
        raise BadValueError("there are more values than verbs; add %v for each, or remove them")
    return b"".join(writer.pieces)


class _FormatWriter:
    def __init__(self, budget: TemplateBudget) -> None:
        self.pieces: list[bytes] = []
        self._budget = budget

    def add(self, piece: bytes) -> None:
        self._budget.create(len(piece))
        self.pieces.append(piece)

    def value(self, value: Value, directive: Directive) -> None:
        if directive.verb not in _KNOWN_VERBS:
            raise BadValueError(f"there is no verb %{directive.verb}; %v prints any value")
        if is_missing(value):
            raise missing(value)
        if directive.verb == "T":
            self._budget.create((directive.width or 0) + (directive.precision or 0))
            self.add(_string(type_of(value).encode(), directive))
            return
        if directive.verb == "v":
            # Go's syntax (%#v) instead of another form of numbers, and no sign (%+v).
            flags = directive.flags
            directive.flags = (flags - {"#", "+"}) | ({"syntax"} if "#" in flags else set())
        self._write(value, directive, 0)

    def _write(self, value: Value, directive: Directive, level: int) -> None:
        self._budget.step()
        check_inner(value, level)
        go_syntax = "syntax" in directive.flags
        if isinstance(value, list):
            self._items(value, directive, level)
        elif isinstance(value, dict):
            opening = f"{type_of(value)}{{" if go_syntax else "map["
            self.add(opening.encode())
            for number, key in enumerate(sorted(value)):
                if number:
                    self.add(b", " if go_syntax else b" ")
                self._write(key, directive, level + 1)
                self.add(b":")
                self._write(value[key], directive, level + 1)
            self.add(b"}" if go_syntax else b"]")
        else:
            size = (directive.width or 0) + (directive.precision or 0)
            if isinstance(value, bytes):
                size += 2 * len(value)
            self._budget.create(size)
            self.add(_scalar(value, directive))

    def _items(self, value: Iterable[Value], directive: Directive, level: int) -> None:
        go_syntax = "syntax" in directive.flags
        self.add(b"[]interface {}{" if go_syntax else b"[")
        for number, item in enumerate(value):
            if number:
                self.add(b", " if go_syntax else b" ")
            self._write(item, directive, level + 1)
        self.add(b"}" if go_syntax else b"]")


def _scalar(value: Value, directive: Directive) -> bytes:
    if is_missing(value):
        raise missing(value)
    verb = directive.verb
    # Times, durations and versions are texts for the verbs that texts have.
    if verb in _STRING_VERBS and hasattr(value, "__bytes__"):
        return _string(bytes(value), directive)
    for kind, verbs, write in _WRITERS:
        if isinstance(value, kind):
            if verb in verbs:
                return write(value, directive)
            break
    fitting = _FITTING.get(type_of(value), "%v")
    raise BadValueError(f"%{verb} does not fit {described(value)}; use {fitting}")


def _bool(value: Value, directive: Directive) -> bytes:
    return padded(b"true" if value else b"false", directive)


def _float(value: Value, directive: Directive) -> bytes:
    # A number of a document keeps its text.
    as_written = directive.verb == "v" and not directive.flags & {" ", "syntax"}
    if as_written and directive.precision is None and isinstance(value, DocumentNumber):
        return padded(value.text, directive)
    return format_float(value, directive)


def _string(value: bytes, directive: Directive) -> bytes:
    verb, precision = directive.verb, directive.precision
    if verb in "xX":
        return _hexadecimal(value, directive)
    if precision is not None and precision < len(value):
        value = bytes_of(text_of(value)[:precision])
    if verb == "q" or "syntax" in directive.flags:
        if "#" in directive.flags and _can_be_raw(value):
            return padded(b"`" + value + b"`", directive)
        value = quoted(value, ascii_only="+" in directive.flags)
    return padded(value, directive)


def _can_be_raw(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return not any(char in "`\ufeff\x7f" or (char < " " and char != "\t") for char in text)


def _hexadecimal(value: bytes, directive: Directive) -> bytes:
    if directive.precision is not None:
        value = value[: directive.precision]
    prefix = f"0{directive.verb}" if "#" in directive.flags else ""
    if " " in directive.flags:
        text = " ".join(f"{prefix}{byte:02x}" for byte in value)
    else:
        text = prefix + value.hex() if value else ""
    if directive.verb == "X":
        text = text.upper()
    return padded(text.encode(), directive)


def _integer(value: Value, directive: Directive) -> bytes:
    verb = directive.verb
    if verb == "c":
        return padded(rune(int(value)).encode(), directive)
    if verb == "q":
        return padded(quoted_rune(int(value), ascii_only="+" in directive.flags), directive)
    unsigned = isinstance(value, Uint8)
    return format_integer(int(value), directive, as_hex=unsigned and "syntax" in directive.flags)


def _complex(value: Value, directive: Directive) -> bytes:
    real = format_float(value.real, directive)
    flags = directive.flags
    directive.flags = flags | {"+"}
    imaginary = format_float(value.imag, directive)
    directive.flags = flags
    return b"(" + real + imaginary + b"i)"


_WRITERS: Final[tuple[tuple[type, frozenset[str], Callable[[Value, Directive], bytes]], ...]] = (
    (bool, frozenset("tv"), _bool),
    (int, _INT_VERBS, _integer),
    (float, _FLOAT_VERBS, _float),
    (complex, _FLOAT_VERBS, _complex),
)
