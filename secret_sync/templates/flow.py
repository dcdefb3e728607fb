"""Functions of Sprig that end a rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

FLOW: Final = FunctionTable()


@FLOW.function("fail", Kind.STRING)
def _fail(_: Rendering, message: bytes) -> NoReturn:
    # The message may be a value; the evaluator adds it if it is a constant.
    del message
    raise FunctionError("fail was called")
