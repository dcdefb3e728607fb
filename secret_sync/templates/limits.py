"""Cost limits of the templates of one object, per reconcile."""

from __future__ import annotations

from typing import Final

from secret_sync.templates.errors import TOO_COSTLY, TemplateError

#: Bytes of one template, and of all templates of an object.
MAX_TEMPLATE: Final = 64 * 1024
MAX_TEMPLATES: Final = 256 * 1024
#: Nested parentheses, blocks and template calls, together.
MAX_DEPTH: Final = 100
#: A step is a node that is evaluated, or 1 KiB of string that is moved.
MAX_STEPS: Final = 200_000
#: Bytes of the strings, and elements of the lists and maps, that are created.
MAX_CREATED: Final = 4 * 1024 * 1024
MAX_ELEMENTS: Final = 100_000
MAX_RESULT: Final = 1024 * 1024
#: Calls of ``bcrypt`` and ``htpasswd``.
MAX_HASHES: Final = 16
#: Of steps, and of bytes created and bytes of the result, where nothing may wait for the rendering.
QUICK_STEPS: Final = 2_000
QUICK_BYTES: Final = 64 * 1024

_MOVED: Final = 1024


class TemplateBudget:
    """What rendering the templates of one object may cost.

    Every method charges before the cost is incurred, and raises `TemplateError` with code
    ``TooCostly`` beyond the limit.

    Args:
        quick: Whether it may take a millisecond or two only.

    Attributes:
        steps, created, elements, result, hashes: Charged so far; see the limits.
    """

    __slots__ = (
        "_max_created",
        "_max_result",
        "_max_steps",
        "created",
        "elements",
        "hashes",
        "result",
        "steps",
    )

    def __init__(self, *, quick: bool = False) -> None:
        self._max_steps = QUICK_STEPS if quick else MAX_STEPS
        self._max_created = QUICK_BYTES if quick else MAX_CREATED
        self._max_result = QUICK_BYTES if quick else MAX_RESULT
        self.steps = 0
        self.created = 0
        self.elements = 0
        self.result = 0
        self.hashes = 0

    def step(self, number: int = 1) -> None:
        """Charge steps."""
        self.steps += number
        if self.steps > self._max_steps:
            raise _exceeded(f"over {self._max_steps} steps")

    def create(self, size: int) -> None:
        """Charge the bytes of a string that is about to be created."""
        self.created += size
        if self.created > self._max_created:
            raise _exceeded(f"strings of over {self._max_created} bytes in all")
        self.step(size // _MOVED)

    def add(self, elements: int) -> None:
        """Charge the elements of a list or map that is about to be created."""
        self.elements += elements
        if self.elements > MAX_ELEMENTS:
            raise _exceeded(f"over {MAX_ELEMENTS} list elements in all")
        self.step(elements // 8)

    def write(self, size: int) -> None:
        """Charge bytes of the result."""
        self.result += size
        if self.result > self._max_result:
            raise _exceeded(f"results of over {self._max_result} bytes in all")

    def hash(self) -> None:
        """Charge one hash of a password."""
        self.hashes += 1
        if self.hashes > MAX_HASHES:
            raise _exceeded(f"over {MAX_HASHES} calls of bcrypt and htpasswd")


def _exceeded(what: str) -> TemplateError:
    return TemplateError(f"the templates need {what}; make them smaller", code=TOO_COSTLY)
