"""The composition root: the only place that builds things and connects them.

A critical task that ends, ends the process.
"""

from secret_sync import tls  # noqa: F401 (the first that imports aiohttp: see there)
from secret_sync.app.controller import Controller
from secret_sync.app.start import build, main

__all__ = ["Controller", "build", "main"]
