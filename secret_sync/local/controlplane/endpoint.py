"""Small JSON requests to the control plane's own processes: is it ready, do this."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """An HTTP status and the body: parsed if it is JSON, else as text."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server on loopback, with one connection for each request.

    Blocking: for the thread that owns the control plane, never for an event loop.

    Attributes:
        url: Scheme, host and port.
        token: Bearer token, or ``""`` to be anonymous.
        ca_file: Whom to trust, for ``https``.
    """

    url: str
    token: str = field(default="", repr=False)
    ca_file: Path | None = None

    def request(self, method: str, path: str, body: Any = None) -> EndpointResponse:
        """Send one request.

        Raises:
            OSError: Nobody answered.
            http.client.HTTPException: The answer broke off or was no HTTP.
        """
        headers = {"Accept": "application/json, */*;q=0.5", "Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = self._connect()
        try:
            connection.request(
                method, path, body=None if body is None else json.dumps(body), headers=headers
            )
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            return EndpointResponse(response.status, json.loads(text))
        except json.JSONDecodeError:
            return EndpointResponse(response.status, text)

    def answers(self, path: str) -> bool:
        """Return whether a GET is answered with 200 now."""
        try:
            return self.request("GET", path).status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT, context=context)
