"""Parse and render templates."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final

from secret_sync.templates.builtin_functions import BUILTINS
from secret_sync.templates.errors import TEMPLATE_INVALID, TOO_COSTLY, TemplateError
from secret_sync.templates.field_names import fields_of
from secret_sync.templates.frames import Frame
from secret_sync.templates.library import FUNCTIONS
from secret_sync.templates.limits import MAX_TEMPLATE
from secret_sync.templates.parser import parse_template
from secret_sync.templates.statements import compile_template, variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.templates.frames import Compiled
    from secret_sync.templates.functions import Function
    from secret_sync.templates.rendering import Rendering

#: Parsed templates that are kept, and the characters of their sources: one takes up to 200 times
#: the memory of its source.
_KEPT: Final = 512
_KEPT_CHARACTERS: Final = 128 * 1024


class Template:
    """A parsed template, which threads may share.

    Attributes:
        fields: The fields of the data that it reads, as far as they are constants.
        functions: The functions that it calls.
    """

    __slots__ = ("_compiled", "fields", "functions")

    def __init__(
        self, compiled: Compiled, fields: frozenset[str], functions: frozenset[str]
    ) -> None:
        self._compiled = compiled
        self.fields = fields
        self.functions = functions

    def render(self, values: Mapping[str, bytes], rendering: Rendering) -> bytes:
        """Render the template with a copy of the values.

        Raises:
            TemplateError: With code ``TemplateFailed`` or ``TooCostly``.
        """
        data = {key.encode("utf-8", "surrogatepass"): value for key, value in values.items()}
        pieces: list[bytes] = []
        variables = variables_of(self._compiled, data)
        try:
            self._compiled.run(Frame(rendering, pieces, variables, 0), data)
        except RecursionError:
            raise TemplateError("the values are nested too deeply", code=TOO_COSTLY) from None
        return b"".join(pieces)


def parse(source: str, *, keep: bool = True) -> Template:
    """Parse a template, or return the one that was parsed from this source before.

    Args:
        source: The template.
        keep: Whether the parsed one is kept; not if the template may be secret.

    Raises:
        TemplateError: With code ``TemplateInvalid`` or ``TooCostly``.
    """
    return _PARSED.get(source) if keep else _parse(source)


class ParsedTemplates:
    """The templates that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Template] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def get(self, source: str) -> Template:
        with self._lock:
            known = self._kept.get(source)
            if known is not None:
                self._kept.move_to_end(source)
                return known
        template = _parse(source)
        with self._lock:
            if source not in self._kept:
                self._kept[source] = template
                self._characters += len(source)
            while len(self._kept) > _KEPT or self._characters > _KEPT_CHARACTERS:
                oldest, _ = self._kept.popitem(last=False)
                self._characters -= len(oldest)
        return template


_PARSED: Final = ParsedTemplates()


@cache
def all_functions() -> Mapping[str, Function]:
    """Return the functions by name; one of Sprig takes the place of Go's."""
    return {**BUILTINS.functions, **FUNCTIONS}


def _parse(source: str) -> Template:
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise TemplateError("the template is not UTF-8", code=TEMPLATE_INVALID) from None
    if size > MAX_TEMPLATE:
        raise TemplateError(
            f"the template has over {MAX_TEMPLATE} bytes; split it", code=TEMPLATE_INVALID
        )
    try:
        parsed = parse_template(source, all_functions())
        compiled = compile_template(source, parsed)
    except RecursionError:
        raise TemplateError("the template is nested too deeply", code=TOO_COSTLY) from None
    return Template(compiled, fields_of(parsed), parsed.functions)
