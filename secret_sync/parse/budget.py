"""Cost limits of one value and of one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import MAX_BYTES, TOO_COSTLY, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of all documents of an object; each distinct document is parsed once.
MAX_PARSED_BYTES: Final = 4 * 1024 * 1024
#: Steps of all extraction from the documents of an object; a step is about a microsecond.
MAX_OBJECT_STEPS: Final = 2_000_000
#: Keys that the entries of an object write, those that a later entry overwrites included.
MAX_KEYS: Final = 5_000


class Budget:
    """An amount that work is charged to before it is done.

    Args:
        amount: The limit, in steps or bytes.
        message: Message of the error once it is used up.
        code: Code of that error.
        also: Charged as well: a larger budget that contains this one.
    """

    __slots__ = ("_also", "_code", "_left", "_message")

    def __init__(
        self, amount: int, message: str, code: str, also: Callable[[int], None] | None = None
    ) -> None:
        self._left = amount
        self._message = message
        self._code = code
        self._also = also

    def take(self, amount: int) -> None:
        """Charge an amount.

        Raises:
            DefiniteError: Less than that is left.
        """
        self._left -= amount
        if self._left < 0:
            raise DefiniteError(self._message, code=self._code)
        if self._also is not None:
            self._also(amount)


class BudgetExceededError(DefiniteError):
    """An object exceeds its limits; no single entry is the cause."""


class ObjectBudget:
    """The cost of all documents of one object together.

    Every method raises `BudgetExceededError` with code ``TooCostly`` or ``TooLarge`` before the
    cost is incurred; the message names the number found and the limit.

    Attributes:
        steps: Steps so far.
        parsed: Bytes of the documents so far.
        keys: Keys written so far.
        output: Bytes of the values kept so far.
    """

    __slots__ = ("keys", "output", "parsed", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.parsed = 0
        self.keys = 0
        self.output = 0

    def step(self, number: int) -> None:
        """Count steps of about a microsecond each."""
        self.steps += number
        if self.steps > MAX_OBJECT_STEPS:
            raise BudgetExceededError(
                f"the entries need {self.steps} steps or more on their documents together, "
                f"{MAX_OBJECT_STEPS} are allowed; split the ExternalSecret",
                code=TOO_COSTLY,
            )

    def parse(self, size: int) -> None:
        """Count the bytes of one document."""
        self.parsed += size
        if self.parsed > MAX_PARSED_BYTES:
            raise BudgetExceededError(
                f"the documents have {self.parsed} bytes or more together, {MAX_PARSED_BYTES} "
                "are parsed; split the ExternalSecret",
                code=TOO_COSTLY,
            )

    def make(self, keys: int) -> None:
        """Count the keys that an entry writes."""
        self.keys += keys
        if self.keys > MAX_KEYS:
            raise BudgetExceededError(
                f"the entries write {self.keys} keys or more, {MAX_KEYS} are allowed; "
                "split the ExternalSecret",
                code=TOO_COSTLY,
            )

    def keep(self, size: int) -> None:
        """Count the bytes of a value that is kept; a negative size releases some."""
        self.output += size
        if self.output > MAX_BYTES:
            raise BudgetExceededError(
                f"the values have {self.output} bytes or more together, a Secret holds {MAX_BYTES}",
                code=TOO_LARGE,
            )
