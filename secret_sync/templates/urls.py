"""Functions of Sprig on URLs, which are divided as Go's ``net/url`` does."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

URLS: Final = FunctionTable()

_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
# What is not escaped in each part of a URL.
_PATH: Final = frozenset(_UNRESERVED + b"$&+,/:;=@")
_USER: Final = frozenset(_UNRESERVED + b"$&+,;=")
_HOST: Final = frozenset(_UNRESERVED + b"!$&'()*+,;=:[]<>\"")
_FRAGMENT: Final = frozenset(_UNRESERVED + b"$&+,/:;=?@!()*")
_ALLOWED_IN_USERINFO: Final = frozenset(_UNRESERVED + b":!$&'()*+,;=%@")

_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PORT: Final = re.compile(rb"(?::[0-9]*)?")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_ASCII: Final = 0x80


class _NotAURLError(Exception):
    """A string is no URL; the message has nothing of it."""


@URLS.function("urlParse", Kind.STRING)
def _url_parse(rendering: Rendering, text: bytes) -> dict[bytes, bytes]:
    # The user can be escaped, to three times the length.
    rendering.budget.create(4 * len(text))
    rendering.budget.add(8)
    try:
        return _parsed(text)
    except _NotAURLError as problem:
        raise FunctionError(f"urlParse needs a URL; {problem}") from None


@URLS.function("urlJoin", Kind.MAP)
def _url_join(rendering: Rendering, parts: dict[bytes, Any]) -> bytes:
    values = {}
    for name in (b"scheme", b"host", b"path", b"query", b"opaque", b"fragment", b"userinfo"):
        value = parts.get(name, b"")
        if not isinstance(value, bytes):
            raise FunctionError(
                f"urlJoin needs strings in the map; {name.decode()} is {described(value)}"
            )
        values[name] = value
        rendering.budget.create(3 * len(value) + 3)
    try:
        return _written(values)
    except _NotAURLError as problem:
        raise FunctionError(f"urlJoin needs the key userinfo as user:password; {problem}") from None


def _parsed(text: bytes) -> dict[bytes, bytes]:
    rest, _, fragment = text.partition(b"#")
    if _CONTROL.search(rest):
        raise _NotAURLError("the string has a control character")
    url = dict.fromkeys(
        (b"scheme", b"host", b"hostname", b"path", b"query", b"opaque", b"userinfo"), b""
    )
    url[b"fragment"] = _unescaped(fragment)
    if rest == b"*":
        return url | {b"path": b"*"}
    if rest.startswith(b":"):
        raise _NotAURLError("the scheme before the first colon is missing")
    scheme = _SCHEME.match(rest)
    if scheme:
        url[b"scheme"] = scheme[1].lower()
        rest = rest[scheme.end() :]
    rest, _, url[b"query"] = rest.partition(b"?")
    if not rest.startswith(b"/"):
        if scheme:
            return url | {b"opaque": rest}
        if b":" in rest.partition(b"/")[0]:
            raise _NotAURLError("the part before the first slash has a colon and is no scheme")
    if rest.startswith(b"//") and (scheme or not rest.startswith(b"///")):
        authority, slash, path = rest[2:].partition(b"/")
        rest = slash + path
        user, at, host = authority.rpartition(b"@")
        url[b"host"] = _host(url[b"scheme"], host)
        url[b"hostname"] = _hostname(url[b"host"])
        if at:
            url[b"userinfo"] = _userinfo(user)
    return url | {b"path": _unescaped(rest)}


def _host(scheme: bytes, host: bytes) -> bytes:
    if b"[" in host:
        return _bracketed(host)
    _, colon, port = (
        host.partition(b":") if scheme in {b"http", b"https"} else host.rpartition(b":")
    )
    if colon and not _PORT.fullmatch(colon + port):
        raise _NotAURLError("the port is not a number")
    return _unescaped_host(host)


def _bracketed(host: bytes) -> bytes:
    address, bracket, port = host[1:].rpartition(b"]")
    if not host.startswith(b"[") or not bracket or b"[" in address:
        raise _NotAURLError("the brackets of the host are wrong")
    if not _PORT.fullmatch(port):
        raise _NotAURLError("the port is not a number")
    number, percent, zone = address.partition(b"%25")
    address = _unescaped_host(number) + (b"%" + _unescaped(zone) if percent else b"")
    try:
        IPv6Address(address.decode())
    except (AddressValueError, UnicodeDecodeError):
        raise _NotAURLError("the host in brackets is no IPv6 address") from None
    return b"[%b]%b" % (address, port)


def _unescaped_host(host: bytes) -> bytes:
    for escape in _ESCAPE.finditer(host):
        if escape[1] and int(escape[1], 16) < _ASCII and escape[1] != b"25":
            raise _NotAURLError("the host has an escape of an ASCII character")
    if any(byte < _ASCII and byte not in _HOST and byte != ord("%") for byte in host):
        raise _NotAURLError("the host has a character that no host has")
    return _unescaped(host)


def _hostname(host: bytes) -> bytes:
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0]
    name, colon, _ = host.rpartition(b":")
    return name if colon else host


def _userinfo(text: bytes) -> bytes:
    """Return ``user:password`` with both in percent-encoding."""
    if not _ALLOWED_IN_USERINFO.issuperset(text):
        raise _NotAURLError("user or password have characters to be escaped; use urlquery")
    user, colon, password = text.partition(b":")
    return _escaped(_unescaped(user), _USER) + colon + _escaped(_unescaped(password), _USER)


def _unescaped(text: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise _NotAURLError("a % is not followed by two hexadecimal digits")
        return bytes.fromhex(match[1].decode())

    return _ESCAPE.sub(character, text)


def _escaped(text: bytes, allowed: frozenset[int]) -> bytes:
    if allowed.issuperset(text):
        return text
    return b"".join([b"%c" % byte if byte in allowed else b"%%%02X" % byte for byte in text])


def _written(parts: dict[bytes, bytes]) -> bytes:
    userinfo = parts[b"userinfo"]
    user = _userinfo_of(userinfo) + b"@" if userinfo else b""
    scheme, host, path = parts[b"scheme"], parts[b"host"], parts[b"path"]
    url = scheme + b":" if scheme else b""
    if parts[b"opaque"]:
        url += parts[b"opaque"]
    else:
        if host or user or (scheme and path):
            url += b"//" + user + _escaped(host, _HOST)
        escaped = b"*" if path == b"*" else _escaped(path, _PATH)
        if escaped and host and not escaped.startswith(b"/"):
            url += b"/"
        elif not url and b":" in escaped.partition(b"/")[0]:
            url += b"./"
        url += escaped
    if parts[b"query"]:
        url += b"?" + parts[b"query"]
    if parts[b"fragment"]:
        url += b"#" + _escaped(parts[b"fragment"], _FRAGMENT)
    return url


def _userinfo_of(text: bytes) -> bytes:
    if _CONTROL.search(text) or b"/" in text or b"#" in text or b"?" in text:
        raise _NotAURLError("it has a character to be escaped; use urlquery")
    return _userinfo(text)
