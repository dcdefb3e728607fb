"""docs/architecture.md lists the modules that the sync of a new ExternalSecret runs through."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import secret_sync
from tests.support.documentation import ROOT
from tests.support.operator import external_secret
from tests.unit.reference_tables import Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

TEXT = (ROOT / "docs/architecture.md").read_text()
PAGE = Page(TEXT)
PACKAGE = f"{Path(secret_sync.__file__).parent}/"
#: The playground, which the fixtures use in this process.
ELSEWHERE = ("local/",)


@contextmanager
def traced() -> Iterator[set[tuple[str, str]]]:
    """Collect the functions of the package that are called in this thread, with their modules."""
    entered: set[tuple[str, str]] = set()

    def called(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # Neither class bodies nor imports: what is imported late depends on earlier tests.
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(PACKAGE):
            entered.add((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    sys.setprofile(called)
    try:
        yield entered
    finally:
        sys.setprofile(None)


def documented(column: str) -> set[str]:
    (table,) = PAGE.tables("From watch event to applied Secret", "step")
    return {path for row in table.rows for path in re.findall(r"`([\w/]+\.py)`", row[column])}


async def test_sync_runs_through_the_modules_that_are_documented(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    names = ("first", "second", "third", "fourth")
    functions, ours = set[tuple[str, str]](), set[str]()
    for name in names:
        await admin.put_secret(f"traced/{name}", name)
    deciding, helpers = documented("modules that decide"), documented("helpers")
    async with running():
        # What the first one prepares (connections, credentials) is not part of each sync.
        await api.put(external_secret("first", {"key": "traced/first", "name": "password"}), home)
        await api.until_ready(home, "first", "Synced")
        await api.until_ready(home, "store", "Ready", kind="SecretStore")
        for name in names[1:]:
            document = external_secret(name, {"key": f"traced/{name}", "name": "password"})
            with traced() as entered:
                await api.put(document, home)
                await api.until_holds(home, name, {"password": name})
                await api.until_ready(home, name, "Synced")
            functions = {(path, at) for path, at in entered if not path.startswith(ELSEWHERE)}
            ours = {path for path, _ in functions}
            # On a busy machine the last event of the store may come during the first one.
            if ours <= deciding | helpers:
                break
    assert f"the helpers: {len(deciding | helpers)} in all" in TEXT
    assert sorted(deciding - ours) == []
    assert sorted(ours - deciding - helpers) == []
    # Some depend on what happens first: a response, or the watch event of the same write.
    assert len(helpers - ours) <= 3
    # Neither comprehensions nor lambdas.
    named = [name for _, name in functions if not name.endswith(">")]
    (known,) = re.findall(r"about (\d+) functions of", TEXT)
    assert abs(len(named) - int(known)) <= 10
