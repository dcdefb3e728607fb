"""Functions of Sprig between values and JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from secret_sync import documents
from secret_sync.errors import DefiniteError
from secret_sync.templates.errors import TOO_COSTLY, FunctionError, TemplateError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.json_text import write_json
from secret_sync.templates.quoting import REPLACEMENT
from secret_sync.templates.values import DocumentNumber, Missing

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.rendering import Rendering

JSON: Final = FunctionTable()

#: Characters that are parsed, and values that are converted, in the time of a step.
_CHARACTERS_PER_STEP: Final = 128
_VALUES_PER_STEP: Final = 4


class UnreadableJSONError(Exception):
    """The text is not JSON; the message gives position and cause, and nothing of the text."""


def read_json(text: bytes, budget: TemplateBudget) -> Any:
    """Parse a document.

    Raises:
        UnreadableJSONError: The text is not JSON.
        FunctionError: It is JSON that must not be used: it has a key twice.
        TemplateError: It is too costly.
    """
    budget.create(len(text))
    budget.step(len(text) // _CHARACTERS_PER_STEP)
    try:
        document = documents.read_json(text.decode(), _number)
    except UnicodeDecodeError as error:
        raise UnreadableJSONError(f"byte {error.start + 1} is not UTF-8") from None
    except documents.NotJSONError as error:
        raise UnreadableJSONError(str(error)) from None
    except DefiniteError as error:
        if error.code == documents.TOO_COSTLY:
            raise TemplateError(str(error), code=TOO_COSTLY) from None
        if error.code == documents.NOT_A_DOCUMENT:
            raise UnreadableJSONError(str(error)) from None
        # The original error names the key, which is a part of a value.
        raise FunctionError("a mapping of the document has a key twice; remove one") from None
    return _value(document, budget)


def _number(digits: str) -> DocumentNumber:
    number = DocumentNumber(digits.encode())
    if math.isinf(number):
        raise DefiniteError(
            "the document has a number beyond any float64; write it as a string",
            code=documents.NOT_A_DOCUMENT,
        )
    return number


def _value(value: Any, budget: TemplateBudget) -> Any:
    """Return the value with byte strings, as templates have them."""
    if isinstance(value, str):
        return _bytes(value)
    if isinstance(value, list):
        budget.add(len(value))
        budget.step(len(value) // _VALUES_PER_STEP)
        return [_value(item, budget) for item in value]
    if isinstance(value, dict):
        budget.add(len(value))
        budget.step(len(value) // _VALUES_PER_STEP)
        return {_bytes(key): _value(item, budget) for key, item in value.items()}
    return value


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # JSON can have half of a surrogate pair.
        return "".join(
            REPLACEMENT if "\ud800" <= character <= "\udfff" else character for character in text
        ).encode()


@JSON.function("fromJson", Kind.STRING)
def _from_json(rendering: Rendering, text: bytes) -> Any:
    try:
        return read_json(text, rendering.budget)
    except UnreadableJSONError as error:
        return Missing(f"fromJson: the string is not JSON: {error}")


@JSON.function("mustFromJson", Kind.STRING)
def _must_from_json(rendering: Rendering, text: bytes) -> Any:
    try:
        return read_json(text, rendering.budget)
    except UnreadableJSONError as error:
        raise FunctionError(f"mustFromJson: the string is not JSON: {error}") from None


@JSON.function("toJson mustToJson", Kind.ANY)
def _to_json(rendering: Rendering, value: Any) -> bytes:
    return write_json(value, rendering.budget)


@JSON.function("toPrettyJson mustToPrettyJson", Kind.ANY)
def _to_pretty_json(rendering: Rendering, value: Any) -> bytes:
    return write_json(value, rendering.budget, pretty=True)


@JSON.function("toRawJson mustToRawJson", Kind.ANY)
def _to_raw_json(rendering: Rendering, value: Any) -> bytes:
    return write_json(value, rendering.budget, escape_html=False)
