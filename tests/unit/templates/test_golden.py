"""Go's own answers: each row of tests/golden is rendered as Go and Sprig do."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.templates.errors import TemplateError
from tests.golden.rows import read_expected, read_rows
from tests.unit.templates.rendering import rendered

if TYPE_CHECKING:
    from tests.golden.rows import GoldenRow

ROWS = read_rows()
EXPECTED = read_expected()
#: What Go writes where a value is missing or does not fit; we always refuse that.
NEVER_WRITTEN = (b"<no value>", b"<nil>", b"%!")


def go_output(result: dict[str, Any]) -> bytes | None:
    """Return what Go writes; ``None`` if it fails."""
    if "error" in result:
        return None
    if "base64" in result:
        return base64.b64decode(result["base64"])
    return str(result["output"]).encode()


def our_output(row: GoldenRow) -> bytes | TemplateError:
    try:
        return rendered(row.template, **row.data)
    except TemplateError as error:
        return error


def test_golden_answers_belong_to_the_rows() -> None:
    assert EXPECTED["go"].startswith("go1.")
    results = [(result["template"], result["data"]) for result in EXPECTED["results"]]
    assert results == [(row.template, row.data) for row in ROWS], "run make golden"
    assert len(ROWS) >= 600


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_row_is_rendered_as_go_does(number: int) -> None:
    row, result = ROWS[number], EXPECTED["results"][number]
    wanted = go_output(result)
    if wanted is not None and any(mark in wanted for mark in NEVER_WRITTEN):
        wanted = None
    if row.differs:
        ours = None if row.ours is None else row.ours.encode()
        assert ours != wanted, "this row does not differ"
        wanted = ours
    found = our_output(row)
    if wanted is None:
        assert isinstance(found, TemplateError), (row, result)
        assert found.line > 0
        assert found.column > 0
    else:
        assert found == wanted, (row, result)
