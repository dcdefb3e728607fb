"""The forward proxy for a host, by the usual conventions of the environment variables.

The environment is read elsewhere, once; aiohttp would read it for every request, which takes about
a millisecond of CPU each time.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


def proxy_for(host: str, scheme: str, *, https_proxy: str, http_proxy: str, no_proxy: str) -> str:
    """Return the proxy URL for a host, or ``""`` for a direct connection.

    ``no_proxy`` is a comma-separated list of: ``*`` (everything); a name, ``.name`` or
    ``*.name`` (that domain and all below it); an IP address; a CIDR block; each but the last
    optionally with ``:port``. Loopback addresses are never reached through a proxy.

    Args:
        host: A host name or address, with ``:port`` if it is not the scheme's default; an IPv6
            address in brackets.
        scheme: ``https`` or ``http``.
        https_proxy: The proxy URL for https targets, or ``""``; without a scheme it is http.
        http_proxy: The proxy URL for http targets, or ``""``; without a scheme it is http.
        no_proxy: The exceptions, as above.
    """
    proxy = (https_proxy if scheme == "https" else http_proxy).strip()
    if not proxy:
        return ""
    name, port = _split(host.strip().lower())
    port = port or ("443" if scheme == "https" else "80")
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return ""
    if any(_excepts(entry, name, port, address) for entry in no_proxy.lower().split(",")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _excepts(entry: str, name: str, port: str, address: IPv4Address | IPv6Address | None) -> bool:
    entry = entry.strip()
    if entry == "*":
        return True
    if address is not None and "/" in entry:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    wanted, wanted_port = _split(entry)
    if wanted_port and wanted_port != port:
        return False
    if address is not None:
        return address == _address(wanted)
    domain = wanted.removeprefix("*").lstrip(".").rstrip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _split(netloc: str) -> tuple[str, str]:
    if netloc.startswith("["):
        name, _, rest = netloc[1:].partition("]")
        return name, rest.removeprefix(":")
    if netloc.count(":") > 1:  # an IPv6 address without brackets cannot have a port
        return netloc, ""
    name, _, port = netloc.partition(":")
    return name.rstrip("."), port


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
