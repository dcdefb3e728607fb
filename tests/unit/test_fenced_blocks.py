"""Everything that a page has fenced is run or checked by a test, or it says why it cannot be."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import pytest
import yaml

from tests.support.documentation import ROOT, block, blocks

DEPLOY: Final = "tests/integration/deploy"
FIRST_HOUR: Final = f"{DEPLOY}/test_first_hour.py"
COMMANDS: Final = f"{DEPLOY}/test_page_commands.py::test_commands_of_the_page_can_be_typed"
KUSTOMIZATIONS: Final = f"{DEPLOY}/test_document.py::test_kustomizations_of_the_document_can_be_built"
CHANGES: Final = f"{DEPLOY}/test_changes.py::test_removed_overlay_leaves_every_secret_and_no_permission"
UPGRADE: Final = (
    f"{DEPLOY}/test_changes.py::test_an_upgrade_of_definitions_and_program_takes_no_secret_away"
)
UNINSTALL: Final = f"{DEPLOY}/test_uninstall.py::test_no_secret_is_lost_by_an_uninstall"
TAKEOVER: Final = (
    "tests/integration/takeover/test_from_external_secrets.py"
    "::test_secrets_are_taken_over_without_a_gap"
)
BACK: Final = TAKEOVER.partition("::")[0] + "::test_going_back_leaves_the_secrets_to_the_operator"
CHILDREN: Final = (
    TAKEOVER.partition("::")[0]
    + "::test_cluster_external_secrets_leave_their_children_and_the_namespace"
)
MIGRATION: Final = (
    "tests/integration/migration/test_walkthrough.py"
    "::test_from_the_first_command_to_the_last_and_back"
)
AUTHENTICATION: Final = "tests/integration/controller/test_documented_authentication.py"
BACKUP: Final = "tests/integration/controller/test_backup_and_restore.py"
SHADOW: Final = (
    "tests/integration/shadow/test_diff.py::test_documented_commands_show_what_the_page_shows"
)
PLAYGROUND: Final = (
    "tests/e2e/test_local.py::test_local_up_prints_all_one_needs_and_ctrl_c_ends_it_all"
)
TEMPLATES: Final = "tests/unit/test_templates_doc.py"
HERE: Final = "tests/unit/test_fenced_blocks.py"
#: Not run, and why.
A_DRAWING: Final = "a drawing"

#: For each page what its fences say, how often, and the test that runs such a block.
PAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "README.md": {
        "sh try": (1, f"{FIRST_HOUR}::test_make_builds_the_image_under_its_name"),
        "sh install": (1, f"{FIRST_HOUR}::test_readme_is_installed_as_printed"),
        "yaml remote": (1, f"{FIRST_HOUR}::test_remote_base_is_the_local_one"),
        "sh remote": (1, f"{FIRST_HOUR}::test_remote_base_is_the_local_one"),
        "yaml example": (1, f"{FIRST_HOUR}::test_example_of_the_readme_gives_the_secret"),
        "console example": (1, f"{FIRST_HOUR}::test_example_of_the_readme_gives_the_secret"),
    },
    "CONTRIBUTING.md": {"sh": (1, f"{HERE}::test_commands_of_contributing_exist")},
    "docs/architecture.md": {"text": (2, A_DRAWING)},
    "docs/authentication.md": {
        "console": (2, f"{FIRST_HOUR}::test_example_of_the_readme_gives_the_secret"),
        "json policy": (4, f"{AUTHENTICATION}::test_1_rrsa_as_a_service_account"),
        "json trust": (4, f"{AUTHENTICATION}::test_1_rrsa_as_a_service_account"),
        "yaml": (8, f"{AUTHENTICATION}::test_8_one_store_for_several_namespaces"),
        "yaml kustomization": (
            1,
            "tests/unit/test_documentation.py::test_resources_beside_the_base_exist",
        ),
        "yaml volume": (
            1,
            "tests/unit/test_documentation.py"
            "::test_the_volume_of_the_token_is_where_the_controller_looks",
        ),
    },
    "docs/backup-and-restore.md": {
        "sh restore": (2, f"{BACKUP}::test_a_restore_into_the_same_cluster"),
        "sh merged": (
            1,
            f"{BACKUP}::test_merged_keys_that_were_put_back_rotate_once_they_were_deleted",
        ),
        "text": (4, f"{BACKUP}::test_a_restore_into_the_same_cluster"),
    },
    "docs/from-external-secrets.md": {
        **{
            f"sh {kind}": (1, TAKEOVER)
            for kind in ("convert", "prepare", "apply", "stop", "release", "merge", "check")
        },
        "sh cluster": (1, CHILDREN),
        "sh tidy": (1, TAKEOVER),
        "sh left": (1, TAKEOVER),
        "sh back": (1, BACK),
        "text": (11, TAKEOVER),
        "json": (
            1,
            "tests/unit/test_from_external_secrets_doc.py"
            "::test_subjects_of_the_trust_policy_are_the_two_service_accounts",
        ),
    },
    "docs/install.md": {
        "sh image": (1, f"{FIRST_HOUR}::test_make_builds_the_image_under_its_name"),
        "sh cli": (1, f"{FIRST_HOUR}::test_program_is_installed_for_the_terminal"),
        "sh crds": (1, UNINSTALL),
        "sh install": (1, UNINSTALL),
        "sh ready": (1, f"{FIRST_HOUR}::test_readme_is_installed_as_printed"),
        "yaml kustomization": (5, KUSTOMIZATIONS),
        "yaml kustomization controller": (1, KUSTOMIZATIONS),
        "yaml kustomization shop": (1, KUSTOMIZATIONS),
        "yaml remote": (1, f"{FIRST_HOUR}::test_remote_base_is_the_local_one"),
        "sh remote": (1, f"{FIRST_HOUR}::test_remote_base_is_the_local_one"),
        "sh upgrade": (1, UPGRADE),
        "sh delete": (2, CHANGES),
        "sh rights": (1, CHANGES),
        "sh left": (1, CHANGES),
        "sh uninstall": (1, UNINSTALL),
    },
    "docs/migrating.md": {
        **{
            f"sh {kind}": (number, MIGRATION)
            for kind, number in {"look": 2, "retire": 4, "install": 2, "check": 2, "tidy": 1}.items()
        },
        "sh back": (1, MIGRATION),
        "sh adopt": (
            1,
            "tests/integration/migration/test_leftovers.py"
            "::test_the_author_says_that_a_secret_is_to_be_taken_over",
        ),
        "sh tidy-account": (
            1,
            MIGRATION.partition("::")[0] + "::test_under_a_name_of_its_own_the_old_one_goes_too",
        ),
        "text": (13, MIGRATION),
        "json": (
            1,
            "tests/unit/test_migration_doc.py"
            "::test_subjects_of_the_trust_policy_are_the_two_service_accounts",
        ),
        "yaml kustomization": (
            1,
            "tests/unit/test_migration_doc.py"
            "::test_migration_kustomization_is_that_of_the_installation_with_another_overlay",
        ),
    },
    "docs/playground.md": {"sh up": (1, PLAYGROUND), "sh tour": (1, PLAYGROUND)},
    "docs/reference.md": {
        "yaml rules": (1, f"{HERE}::test_rules_for_leader_election_are_those_of_the_component"),
        "sh": (1, COMMANDS),
    },
    "docs/runbook.md": {"sh": (13, COMMANDS)},
    "docs/shadow-mode.md": {
        "yaml role": (1, SHADOW),
        "sh diff": (1, SHADOW),
        "sh run": (1, SHADOW),
        "console": (2, SHADOW),
    },
    "docs/templates.md": {
        "yaml example": (1, f"{TEMPLATES}::test_commands_render_the_first_example"),
        "sh check": (1, f"{TEMPLATES}::test_commands_render_the_first_example"),
        "yaml recipe": (10, f"{TEMPLATES}::test_a_recipe_gives_what_is_written"),
        "yaml sources": (1, f"{TEMPLATES}::test_templates_of_a_config_map_are_checked"),
        "text": (1, f"{TEMPLATES}::test_message_has_the_place_that_is_shown"),
    },
    "docs/troubleshooting.md": {
        "sh": (20, COMMANDS),
        "text": (
            67,
            "tests/unit/test_reference.py::test_every_message_of_the_page_is_one_that_is_said",
        ),
    },
    "docs/usage.md": {
        kind: (number, f"{FIRST_HOUR}::test_usage_gives_what_it_says")
        for kind, number in {
            **{"yaml object": 7, "yaml store": 1, "sh adopt": 1, "sh force": 1, "sh terminal": 1},
            "console status": 1,
        }.items()
    },
}
#: What reads the blocks for the tests beside it.
HELPERS: Final = (f"{DEPLOY}/person.py", "tests/integration/migration/shell.py")
QUOTES: Final = (('"', '"'), ("'", "'"), ("```", "\\n"))
FENCED: Final = sorted(
    str(page.relative_to(ROOT))
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    if "```" in page.read_text()
)


@pytest.mark.parametrize("page", FENCED)
def test_each_fenced_block_has_a_test(page: str) -> None:
    found = Counter(one.info for one in blocks(page))
    assert dict(found) == {info: number for info, (number, _) in PAGES.get(page, {}).items()}
    # Nothing is fenced in another way, so that it would not be found.
    assert len(re.findall(r"^\s*(?:```|~~~)", (ROOT / page).read_text(), re.MULTILINE)) == 2 * sum(
        found.values()
    )


def test_pages_with_tests_have_blocks() -> None:
    assert sorted(PAGES) == FENCED


TESTS: Final = sorted(
    {(test, info) for kinds in PAGES.values() for info, (_, test) in kinds.items()}
    - {(A_DRAWING, "text")}
)


@pytest.mark.parametrize(("test", "info"), TESTS)
def test_named_test_reads_such_a_block(test: str, info: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), test
    # What follows a walkthrough reads what is shown behind each command.
    helpers = [(ROOT / helper).read_text() for helper in HELPERS]
    words = {info, info.rsplit(maxsplit=1)[-1]}
    quoted = [f"{quote}{word}{end}" for word in words for quote, end in QUOTES]
    assert any(word in part for word in quoted for part in (text, *helpers)), test


def test_commands_of_contributing_exist() -> None:
    for line in block("CONTRIBUTING.md", "sh").splitlines():
        command = line.partition("#")[0].split()
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        assert command[0] == ".venv/bin/pytest"
        file, _, name = command[-1].partition("::")
        assert command[1] == "-k" or (ROOT / file).exists()
        assert not name or f"def {name}(" in (ROOT / file).read_text()


def test_rules_for_leader_election_are_those_of_the_component() -> None:
    (rule,) = yaml.safe_load(block("docs/reference.md", "yaml rules"))
    role = yaml.safe_load((ROOT / "deploy/components/ha/role.yaml").read_text())
    assert {verb for one in role["rules"] for verb in one["verbs"]} == set(rule["verbs"])
    for one in role["rules"]:
        assert (one["apiGroups"], one["resources"]) == (rule["apiGroups"], rule["resources"])
