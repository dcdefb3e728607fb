"""Which functions there are: all of Sprig, ack-secret-manager's, and those that are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TEMPLATE_INVALID, TemplateError
from secret_sync.templates.functions import REFUSED
from secret_sync.templates.library import FUNCTIONS

PAGE = (Path(__file__).resolve().parents[3] / "docs/template-functions.md").read_text()
#: The keys of Sprig 3.3.0's table of functions.
SPRIG_NAMES = """
abbrev abbrevboth add add1 add1f addf adler32sum ago all any append atoi b32dec b32enc b64dec
b64enc base bcrypt biggest buildCustomCert camelcase cat ceil chunk clean coalesce compact concat
contains date dateInZone dateModify date_in_zone date_modify decryptAES deepCopy deepEqual default
derivePassword dict dig dir div divf duration durationRound empty encryptAES env expandenv ext
fail first float64 floor fromJson genCA genCAWithKey genPrivateKey genSelfSignedCert
genSelfSignedCertWithKey genSignedCert genSignedCertWithKey get getHostByName has hasKey hasPrefix
hasSuffix hello htmlDate htmlDateInZone htpasswd indent initial initials int int64 isAbs join
kebabcase keys kindIs kindOf last list lower max maxf merge mergeOverwrite min minf mod mul mulf
mustAppend mustChunk mustCompact mustDateModify mustDeepCopy mustFirst mustFromJson mustHas
mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend mustPush mustRegexFind
mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit
mustRest mustReverse mustSlice mustToDate mustToJson mustToPrettyJson mustToRawJson mustUniq
mustWithout must_date_modify nindent nospace now omit osBase osClean osDir osExt osIsAbs pick
pluck plural prepend push quote randAlpha randAlphaNum randAscii randBytes randInt randNumeric
regexFind regexFindAll regexMatch regexQuoteMeta regexReplaceAll regexReplaceAllLiteral regexSplit
repeat replace rest reverse round semver semverCompare seq set sha1sum sha256sum sha512sum shuffle
slice snakecase sortAlpha split splitList splitn squote sub subf substr swapcase ternary title
toDate toDecimal toJson toPrettyJson toRawJson toString toStrings trim trimAll trimPrefix
trimSuffix trimall trunc tuple typeIs typeIsLike typeOf uniq unixEpoch unset until untilStep
untitle upper urlJoin urlParse uuidv4 values without wrap wrapWith
"""
SPRIG = frozenset(SPRIG_NAMES.split())
ACK = frozenset(("bcrypt", "htpasswd", "jsonPath", "mergeJson", "parseKeyValue", "toLines"))


def documented(text: str) -> list[str]:
    """Return the names in the first columns of the tables."""
    return [
        name
        for cell in re.findall(r"^\| (`[^|]*) \|", text, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    ]


def test_library_is_sprig_without_the_refused_functions_and_ack_secret_manager() -> None:
    assert set(FUNCTIONS) == (SPRIG - set(REFUSED)) | ACK
    assert set(REFUSED) <= SPRIG


def test_page_lists_each_function_once() -> None:
    offered, refused = PAGE.split("## Refused")
    assert sorted(documented(offered)) == sorted(FUNCTIONS)
    assert sorted(documented(refused)) == sorted(REFUSED)


def test_page_says_the_alternatives_of_refused_functions() -> None:
    for name, alternative in REFUSED.items():
        (line,) = (line for line in PAGE.splitlines() if f"`{name}`" in line)
        assert line.endswith(f"| {alternative} |")


@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.parametrize(
    "template", ["{{{{ {} }}}}", "{{{{ if false }}}}{{{{ {} 1 }}}}{{{{ end }}}}"]
)
def test_refused_function_fails_to_parse_with_an_alternative(name: str, template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(template.format(name))
    assert caught.value.code == TEMPLATE_INVALID
    assert name in str(caught.value)
    assert REFUSED[name] in str(caught.value)
    assert caught.value.line == 1


def test_functions_know_their_names() -> None:
    assert [name for name, function in FUNCTIONS.items() if function.name != name] == []
