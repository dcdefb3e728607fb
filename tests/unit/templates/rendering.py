"""What the tests of templates share: values and rendering."""

from __future__ import annotations

import base64
from typing import Any

from secret_sync.templates.engine import parse
from secret_sync.templates.rendering import Rendering
from secret_sync.templates.values import DocumentNumber


def value_of(data: Any) -> Any:
    """Return JSON data as a value of templates; ``{"$base64": ...}`` is a string of bytes."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, dict):
        if "$base64" in data:
            return base64.b64decode(data["$base64"])
        return {key.encode(): value_of(item) for key, item in data.items()}
    if isinstance(data, list):
        return [value_of(item) for item in data]
    if isinstance(data, bool) or data is None:
        return data
    return DocumentNumber(repr(data).encode())


def new_rendering() -> Rendering:
    return Rendering("0b5d1c3e-uid", 1_780_000_000, {})


def rendered(template: str, rendering: Rendering | None = None, /, **data: Any) -> bytes:
    """Render a template with JSON data; the values may be nested, as those of fromJson are."""
    values = {key: value_of(item) for key, item in data.items()}
    return parse(template).render(values, rendering or new_rendering())
