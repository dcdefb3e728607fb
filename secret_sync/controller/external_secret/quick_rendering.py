"""Which templates are quick enough for the event loop, and when."""

from __future__ import annotations

import re
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.rendering import TemplateInput
    from secret_sync.resources.template import SecretTemplate

#: Whether all of it is imported: it is in ``sys.modules`` before that.
IMPORTED: Final = Event()


def import_templates() -> None:
    """Import the package of templates; until that is done nothing of it is used on the loop.

    Who imports a part of it while a thread does would wait for that thread.
    """
    for part in ("engine", "rendering"):
        import_module(f"secret_sync.templates.{part}")
    IMPORTED.set()


#: What may be in a template that is rendered on the event loop: most take a fraction of a
#: millisecond, and none of it takes long between two charges to the budget.
_QUICK_CHARACTERS: Final = 1024
_QUICK_VALUES: Final = 4096
_REPEATS: Final = re.compile(
    r"\b(range|template|define|block|repeat|until|untilStep|seq)\b|%[^a-z]"
)
QUICK_FUNCTIONS: Final = frozenset(
    """and b64dec b64enc coalesce contains default empty eq fromJson hasPrefix hasSuffix html indent
    index jsonPath len lower ne nindent not or print printf println quote replace required squote
    ternary toJson toString trim trimAll trimPrefix trimSuffix trunc upper urlquery
    """.split()  # noqa: SIM905 (a list of them would fill a page)
)


def is_quickly_rendered(inputs: TemplateInput, size: int) -> bool:
    """Return whether rendering is likely to be quick enough for the loop.

    Args:
        inputs: With the templates.
        size: Of the fetched values.
    """
    if size > _QUICK_VALUES or inputs.texts or not is_quickly_parsed(inputs.template):
        return False
    from secret_sync.templates.engine import parse  # noqa: PLC0415 (few objects need it)
    from secret_sync.templates.errors import TemplateError  # noqa: PLC0415

    for _, source in inputs.template.written():
        if _REPEATS.search(source):
            return False
        try:
            if not parse(source).functions <= QUICK_FUNCTIONS:
                return False
        except TemplateError:
            return True
    return True


def is_quickly_parsed(template: SecretTemplate) -> bool:
    """Return whether the templates that an object itself has are parsed in no time."""
    if not IMPORTED.is_set():
        return False
    return sum(len(source) for _, source in template.written()) <= _QUICK_CHARACTERS
