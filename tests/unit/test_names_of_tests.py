"""Names of tests begin with their subject, and use the words of the field."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DEFINITION = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
#: A name that begins with one of these has no subject, or one that only its neighbours give it.
NO_SUBJECT = re.compile(
    "(also|although|and|as|because|but|either|else|he|her|his|how|if|it|its|neither|never|nor|not"
    "|one|or|otherwise|our|she|so|that|their|them|then|there|these|they|this|those|though|too"
    "|unless|until|we|what|whatever|when|whenever|where|wherever|which|while|who|whoever|whom"
    "|whose|why|you|your)(?=_|$)"
)
#: ``test_A16_...``: a code whose text is elsewhere.
CODE = re.compile("[A-Z][0-9]+[a-z]?(?=_|$)")
#: Former words of this project; the field's words have replaced them.
OLD_WORDS = re.compile(
    "(?<![a-z])(anew|blame|buried|bury|cook|cooked|desk|fights?|fought|judged?|keepsake|lacking"
    "|lane|lends|lent|mended|mishap|news|seam|somebody|tell|telling|tells|told|verdicts?|wakes"
    "|woken|in_step|taken_apart|taken_off|left_out|in_hand)(?![a-z])"
)


def fault_of(name: str) -> str:
    name = name.removeprefix("test_")
    if found := NO_SUBJECT.match(name):
        return f"begins with {found[0]!r}"
    if found := CODE.match(name):
        return f"has the code {found[0]!r}"
    if found := OLD_WORDS.search(name):
        return f"has the old word {found[0]!r}"
    return ""


def test_names_begin_with_their_subject_and_use_the_current_words() -> None:
    found = [
        (path.relative_to(TESTS), name)
        for path in sorted(TESTS.rglob("*.py"))
        for name in DEFINITION.findall(path.read_text())
    ]
    assert len(found) > 2000
    assert [(str(path), name, fault_of(name)) for path, name in found if fault_of(name)] == []


def test_faults_of_a_name_are_found() -> None:
    assert fault_of("test_nor_where_it_was_put") == "begins with 'nor'"
    assert fault_of("test_one_that_is_gone") == "begins with 'one'"
    assert fault_of("test_A16_the_uid_decides") == "has the code 'A16'"
    assert fault_of("test_a_store_is_mended") == "has the old word 'mended'"
    assert fault_of("test_a_secret_in_step") == "has the old word 'in_step'"
    assert fault_of("test_lanes_of_a_planet") == ""
    assert fault_of("test_stores_enqueue_their_users") == ""
