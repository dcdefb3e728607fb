"""Functions that templates of the operator can call and ours cannot."""

from __future__ import annotations

import re
from typing import Final

_KEYS: Final = "store key and certificate in KMS in the form that is needed"
_YAML: Final = "store the document as JSON and use fromJson and toJson"
_ONCE: Final = "create the value once and store it in KMS"
#: By function: what to do instead.
LACKING: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *("pkcs12key", "pkcs12keyPass", "pkcs12cert", "pkcs12certPass"),
            *("pemToPkcs12", "pemToPkcs12Pass", "fullPemToPkcs12", "fullPemToPkcs12Pass"),
            *("pemTruststoreToPKCS12", "pemTruststoreToPKCS12Pass"),
            *("filterPEM", "filterCertChain", "jwkPublicKeyPem", "jwkPrivateKeyPem"),
            "rsaDecrypt",
        ),
        _KEYS,
    ),
    **dict.fromkeys(("toYaml", "fromYaml"), _YAML),
    **dict.fromkeys(
        (
            *("randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randInt", "randBytes"),
            *("uuidv4", "shuffle", "genPrivateKey", "genCA", "genCAWithKey"),
            *("genSelfSignedCert", "genSelfSignedCertWithKey"),
            *("genSignedCert", "genSignedCertWithKey", "buildCustomCert"),
            *("encryptAES", "decryptAES", "derivePassword"),
        ),
        _ONCE,
    ),
    "getHostByName": "use the name",
}
_QUOTED: Final = r"""
    "(?:\\.|[^"\\])*" | `[^`]*` | '(?:\\.|[^'\\])*' | /\*.*?\*/
"""
_ACTION: Final = re.compile(
    r"\{\{(?P<body>(?:" + _QUOTED + r"|(?!\}\}).)*)\}\}", re.DOTALL | re.VERBOSE
)
_CONSTANT: Final = re.compile(_QUOTED, re.DOTALL | re.VERBOSE)
_NAME: Final = re.compile(r"(?<![\w.$])[A-Za-z_]\w*")


def lacking_functions(template: str) -> dict[str, str]:
    """Return the functions that a template calls and ours lack, with what to do instead."""
    found: dict[str, str] = {}
    for action in _ACTION.finditer(template):
        names = _NAME.findall(_CONSTANT.sub(" ", action["body"]))
        found |= {name: LACKING[name] for name in names if name in LACKING}
    return found
