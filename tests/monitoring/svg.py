"""Elements of an SVG as text, and where they are."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Final

SIZE: Final = 12
#: Of its size: how wide a letter is taken to be. There is no asking the font that is used.
LETTER: Final = 0.56


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height


def tag(name: str, *children: str, **attributes: str | float) -> str:
    """An element; what its children are is written already, what its attributes are is not."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(plain(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{''.join(children)}</{name}>" if children else f"<{name}{said}/>"


def plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 1):g}"


def text_at(text: str, x: float, y: float, **attributes: str | float) -> str:
    return tag("text", html.escape(text), x=x, y=y, **attributes)


def wide(text: str, size: float = SIZE) -> float:
    return len(text) * size * LETTER


def cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"
