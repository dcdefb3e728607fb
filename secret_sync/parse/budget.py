"""What one value may still cost."""

from __future__ import annotations

from secret_sync.errors import DefiniteError


class Budget:
    """An amount from which each piece of work takes its part before it is done.

    Args:
        amount: What there is, in steps or bytes.
        message: Said when it is used up.
        code: The code of that error.
    """

    __slots__ = ("_code", "_left", "_message")

    def __init__(self, amount: int, message: str, code: str) -> None:
        self._left = amount
        self._message = message
        self._code = code

    def take(self, amount: int) -> None:
        """Takes some of it.

        Raises:
            DefiniteError: There is not enough left.
        """
        self._left -= amount
        if self._left < 0:
            raise DefiniteError(self._message, code=self._code)
