"""How functions are declared, and found by name."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(Enum):
    """What a parameter accepts; checked before the call, as Go does.

    Untyped constants fit where they can be converted without loss: ``3`` and ``3.0`` fit ``INT``
    and ``FLOAT``. Nothing else is converted: an `Int64` does not fit ``INT``.
    """

    #: Anything; a missing value is passed as it is (`Missing` or ``None``).
    ANY = "any value"
    STRING = "a string"
    INT = "an int"
    INT64 = "an int64"
    UINT8 = "a byte"
    FLOAT = "a float64"
    BOOL = "a bool"
    LIST = "a list"
    MAP = "a map"
    TIME = "a time"


#: Takes the `Rendering`, then the arguments; returns a value, or raises `FunctionError`.
Implementation: TypeAlias = "Callable[..., Any]"
_Run = TypeVar("_Run", bound="Implementation")


class Function(NamedTuple):
    """A function that templates can call.

    Attributes:
        name: As templates spell it.
        parameters: What each parameter accepts.
        rest: What further arguments have to be, or ``None`` if there are none.
        run: Called with the `Rendering` and the checked arguments.
    """

    name: str
    parameters: tuple[Kind, ...]
    rest: Kind | None
    run: Implementation


class FunctionTable:
    """The functions of one module, declared by a decorator.

    TEXT: Final = FunctionTable()

    @TEXT.function("trunc", Kind.INT, Kind.STRING)
    def _trunc(rendering: Rendering, length: int, text: bytes) -> bytes: ...
    """

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}

    def function(
        self, names: str, *parameters: Kind, rest: Kind | None = None
    ) -> Callable[[_Run], _Run]:
        """Declare a function under one or more names, separated by spaces."""

        def declare(run: _Run) -> _Run:
            for name in names.split():
                self.functions[name] = Function(name, parameters, rest, run)
            return run

        return declare


_KEY: Final = "create it in KMS, or with cert-manager"
_RANDOM: Final = "create the value in KMS, which rotates it, and fetch it with an entry of data"
_ENVIRONMENT: Final = "fetch the value from KMS, or from a ConfigMap with templateFrom"

#: Functions of Sprig that are refused when a template is parsed, and what to do instead.
REFUSED: Final[dict[str, str]] = {
    "env": _ENVIRONMENT,
    "expandenv": _ENVIRONMENT,
    "getHostByName": "write the host name, and let the application resolve it",
    "randAlpha": _RANDOM,
    "randAlphaNum": _RANDOM,
    "randAscii": _RANDOM,
    "randBytes": _RANDOM,
    "randInt": _RANDOM,
    "randNumeric": _RANDOM,
    "shuffle": _RANDOM,
    "uuidv4": _RANDOM,
    "genPrivateKey": _KEY,
    "genCA": _KEY,
    "genCAWithKey": _KEY,
    "genSelfSignedCert": _KEY,
    "genSelfSignedCertWithKey": _KEY,
    "genSignedCert": _KEY,
    "genSignedCertWithKey": _KEY,
    "buildCustomCert": "store certificate and key as two keys, and use both",
    "derivePassword": _RANDOM,
    "encryptAES": "keep the value as it is; encryption belongs to KMS and to the cluster's storage",
    "decryptAES": "store the value unencrypted in KMS, which encrypts it",
}
