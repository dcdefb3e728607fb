"""Where a running cloud is and how to use it; also the form of `cloud.json`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Self

import orjson

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "cloud.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInfo:
    """A running cloud.

    Attributes:
        endpoint: `host:port` of its HTTPS listener, for a client with a settable endpoint.
        proxy_url: Of the forward proxy, for a client with the default endpoints.
        admin_url: Of the admin API; see `CloudAdmin`.
        metadata_endpoint: `host:port` of the ECS metadata service, plain HTTP.
        ca_file: The authority to trust, in PEM.
        account: Id of the account that is there from the start.
        access_key_id: A key of that account.
        access_key_secret: Its secret.
    """

    endpoint: str
    proxy_url: str
    admin_url: str
    metadata_endpoint: str
    ca_file: str
    account: str
    access_key_id: str
    access_key_secret: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment with which an unmodified client reaches this cloud.

        `SSL_CERT_FILE` replaces a client's usual authorities; what is on this machine is not
        sent through the proxy.
        """
        local = "localhost,127.0.0.1,::1"
        return {
            "HTTPS_PROXY": self.proxy_url,
            "HTTP_PROXY": self.proxy_url,
            "NO_PROXY": local,
            "https_proxy": self.proxy_url,
            "http_proxy": self.proxy_url,
            "no_proxy": local,
            "SSL_CERT_FILE": self.ca_file,
            "SECRET_SYNC_METADATA_ENDPOINT": self.metadata_endpoint,
        }

    def write(self, directory: Path) -> Path:
        """Write `cloud.json`, whole or not at all, readable by its owner only."""
        path = directory / FILE_NAME
        draft = directory / f".{FILE_NAME}.{os.getpid()}"
        content = {**asdict(self), "environment": self.environment}
        draft.touch(mode=0o600)
        draft.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        draft.replace(path)
        return path

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what `write` wrote; raises `OSError` if there is none."""
        content = orjson.loads((directory / FILE_NAME).read_bytes())
        del content["environment"]
        return cls(**content)
