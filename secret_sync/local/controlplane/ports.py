"""TCP ports that stay reserved while nothing listens on them."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A free port on loopback, held until ``close``.

    The socket is bound but does not listen, and shares its port: a server that shares it too
    (``SO_REUSEPORT``) can start, die and start again on it, and in between the kernel gives the
    port to nobody else, neither to a listener nor to an outgoing connection.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind((LOOPBACK, 0))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
