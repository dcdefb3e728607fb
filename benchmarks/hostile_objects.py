"""ExternalSecrets that somebody writes to harm others, as data.

Each is one object of at most 1.5 MB, what etcd takes, and the KMS secrets that it reads, each of at
most 30,720 bytes, what KMS takes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from benchmarks.hostile_parts import (
    KMS_BYTES,
    OBJECT_BYTES,
    REF,
    HostileObject,
    entry,
    pick,
    yaml_list,
    yaml_mapping,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS: Final[dict[str, Callable[[], HostileObject]]] = {}


def _listed(make: Callable[[], HostileObject]) -> Callable[[], HostileObject]:
    MAKERS[make.__name__.replace("_", "-")] = make
    return make


# --- Regular expressions ------------------------------------------------------------------------


def _rule(number: int) -> dict[str, str]:
    """Return a rule unlike any other that takes as long to compile as RE2's memory lets it."""
    return {"source": rf"[\pL\pN]{{12}}7{number:05d}", "target": "x"}


def _regular_expressions(name: str, characters: int) -> HostileObject:
    """Spread so many characters of rules over entries that each obey every limit of an entry."""
    rules = [_rule(n) for n in range(characters // len(_rule(0)["source"]))]
    entries = [
        {"extract": entry("config"), "replaceRule": rules[n : n + 64]}
        for n in range(0, len(rules), 64)
    ]
    return HostileObject(name, {"dataProcess": entries}, {"config": json.dumps({"a": "b"})})


@_listed
def regular_expressions_28_kb() -> HostileObject:
    """Stalled the loop for 5.4 s when it was found."""
    return _regular_expressions("regular-expressions-28-kb", 28_000)


@_listed
def regular_expressions_115_kb() -> HostileObject:
    """Cost the leader its lease when it was found."""
    return _regular_expressions("regular-expressions-115-kb", 115_000)


@_listed
def regular_expressions_460_kb() -> HostileObject:
    """The same, as large as an object can be."""
    return _regular_expressions("regular-expressions-460-kb", OBJECT_BYTES // 3)


@_listed
def rules_64_of_40_entries() -> HostileObject:
    """Many counted classes, all different."""
    entries = [
        {
            "extract": entry("config"),
            "replaceRule": [
                {"source": rf"[\pL\pN]{{10}}7{number:02d}{n:02d}", "target": "x"} for n in range(64)
            ],
        }
        for number in range(40)
    ]
    return HostileObject(
        "rules-64-of-40-entries", {"dataProcess": entries}, {"config": json.dumps({"a": "b"})}
    )


@_listed
def keys_1000_with_64_rules() -> HostileObject:
    """A document whose every key passes through every rule."""
    rules = [{"source": rf"([\pL\pN]+){n}z", "target": "$1"} for n in range(64)]
    document = json.dumps({f"key-{n:04d}-abcdefghi": str(n) for n in range(1000)})
    process = [{"extract": entry("config"), "replaceRule": rules}]
    return HostileObject("keys-1000-with-64-rules", {"dataProcess": process}, {"config": document})


# --- Documents ----------------------------------------------------------------------------------


@_listed
def entries_700_with_34_aliases() -> HostileObject:
    """Took memory from 72 to 770 MiB when it was found."""
    document = json.dumps({"a": "x" * (KMS_BYTES - 20)})
    entries = [
        entry("config", jmesPath=[pick("a", f"alias-{n}-{alias}") for alias in range(34)])
        for n in range(700)
    ]
    return HostileObject("entries-700-with-34-aliases", {"data": entries}, {"config": document})


@_listed
def entries_60_on_one_yaml() -> HostileObject:
    """Held the only parse thread for 4.7 s when it was found."""
    entries = [entry("config", jmesPath=[pick(f"k[{n}]", f"k-{n}")]) for n in range(60)]
    return HostileObject("entries-60-on-one-yaml", {"data": entries}, {"config": yaml_list()})


@_listed
def entries_500_extract_one_yaml() -> HostileObject:
    """As many entries as are allowed, each of which takes the same mapping apart."""
    entries = [{"extract": entry("config")} for _ in range(500)]
    return HostileObject(
        "entries-500-extract-one-yaml", {"dataProcess": entries}, {"config": yaml_mapping()}
    )


@_listed
def yaml_documents_500() -> HostileObject:
    """As many entries as are allowed, each with a document of its own: 15 MB."""
    secrets = {f"config-{n}": f"n: {n}\n" + yaml_list(KMS_BYTES - 16) for n in range(500)}
    entries = [entry(name, jmesPath=[pick("n", name)]) for name in secrets]
    return HostileObject("yaml-documents-500", {"data": entries}, secrets)


@_listed
def nested_yaml_aliases() -> HostileObject:
    """Nine levels of nine aliases each."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    entries = [
        *({"extract": entry("config")} for _ in range(20)),
        *({"extract": entry("wide")} for _ in range(20)),
    ]
    wide = "a: &a [" + "x," * 5000 + "x]\n" + "\n".join(f"b{n}: *a" for n in range(900))
    return HostileObject(
        "nested-yaml-aliases",
        {"dataProcess": entries},
        {"config": "\n".join(lines), "wide": wide},
    )


@_listed
def deep_documents() -> HostileObject:
    """Levels within levels, in JSON, YAML's flow style and its block style."""
    json_text = "[" * 15_000 + "]" * 15_000
    flow = "{a: " * 5000 + "1" + "}" * 5000
    block = "\n".join(" " * n + "a:" for n in range(200))
    secrets = {"json": json_text, "flow": flow, "block": block}
    entries = [{"extract": entry(name)} for name in secrets for _ in range(100)]
    return HostileObject("deep-documents", {"dataProcess": entries}, secrets)


# --- JMESPath -----------------------------------------------------------------------------------


@_listed
def widest_projections() -> HostileObject:
    """Projections of projections over lists of lists."""
    rows = [[list(range(10)) for _ in range(30)] for _ in range(30)]
    document = json.dumps({"a": rows}, separators=(",", ":"))
    paths = [
        "a[*][*][*] | [0][0][0]",
        "a[][] | [*] | [*] | [*] | [0]",
        "*[*][*][*] | [0][0][0][0]",
        "a[*][*][?@ >= `0`] | [] | [] | [0]",
        "[a,a,a,a][*][*][*][*] | [0][0][0][0]",
        "a[*].[[*],[*]][][][][] | [0]",
    ]
    entries = [
        entry("config", jmesPath=[pick(path, f"p-{n}-{m}") for m, path in enumerate(paths)])
        for n in range(60)
    ]
    return HostileObject("widest-projections", {"data": entries}, {"config": document})


@_listed
def deep_pipes_and_multiselects() -> HostileObject:
    """Lists built of lists built of lists, until they are exponential."""
    doubling = "@" + " | [@, @]" * 100
    hashes = "@" + " | {a: @, b: @, c: @, d: @}" * 60
    wide = "[" + ",".join(["@"] * 900) + "]"
    text = "@" + " | to_string([@, @])" * 60
    joined = "join('', [" + ",".join(["a"] * 600) + "])"
    paths = [doubling, hashes, wide, text, joined]
    entries = [
        entry("config", jmesPath=[pick(path, f"p-{n}-{m}") for m, path in enumerate(paths)])
        for n in range(100)
    ]
    document = json.dumps({"a": "x" * 20_000})
    return HostileObject("deep-pipes-and-multiselects", {"data": entries}, {"config": document})


@_listed
def functions_over_everything() -> HostileObject:
    """Sorting, mapping and writing of a whole document, again and again."""
    rows = [{"a": n * 7919 % 1000, "b": f"{n:x}"} for n in range(900)]
    document = json.dumps({"r": rows}, separators=(",", ":"))
    paths = [
        "sort_by(r, &a)[*].b | join(',', @)",
        "map(&to_string(@), r) | join(',', @)",
        "to_string(@)",
        "r[?a > `5`].b | sort(@) | reverse(@) | join('', @)",
        "to_string(sort_by(map(&merge(@, {c: to_string(@)}), r), &c))",
        "to_string(map(&[@, @, @], r[*].[a, b][]))",
    ]
    entries = [
        entry("config", jmesPath=[pick(path, f"p-{n}-{m}") for m, path in enumerate(paths)])
        for n in range(300)
    ]
    return HostileObject("functions-over-everything", {"data": entries}, {"config": document})


@_listed
def paths_of_1_mb() -> HostileObject:
    """Expressions as large as an object can be."""
    path = ".".join(["a"] * 1000)
    entries = [
        entry("config", jmesPath=[pick(f"{path}.b{n}{m}", f"p-{n}-{m}") for m in range(4)])
        for n in range(OBJECT_BYTES // 8_300)
    ]
    return HostileObject("paths-of-1-mb", {"data": entries}, {"config": json.dumps({"a": 1})})


# --- Many of everything -------------------------------------------------------------------------


@_listed
def plain_entries_8000() -> HostileObject:
    """Delayed a new object of somebody else from 0.04 s to 2.4 s when it was found."""
    entries = [entry("config", name=f"key-{n}") for n in range(8000)]
    return HostileObject("plain-entries-8000", {"data": entries}, {"config": "a value"})


@_listed
def plain_entries_500_of_30_kb() -> HostileObject:
    """As many sources as are allowed, as large as they are allowed: 15 MB."""
    secrets = {f"large-{n}": f"{n:04d}" + "x" * (KMS_BYTES - 4) for n in range(500)}
    return HostileObject(
        "plain-entries-500-of-30-kb", {"data": [entry(name) for name in secrets]}, secrets
    )


@_listed
def one_key_of_500_entries() -> HostileObject:
    """Each overwrites the one before, and each pair is worth a warning."""
    entries = [entry(f"small-{n}", name="same") for n in range(500)]
    return HostileObject(
        "one-key-of-500-entries", {"data": entries}, {f"small-{n}": str(n) for n in range(500)}
    )


@_listed
def key_collisions_10000() -> HostileObject:
    """Forty entries write the same 250 keys."""
    aliases = [pick("a", f"key-{n}") for n in range(250)]
    entries = [entry("config", jmesPath=aliases) for _ in range(40)]
    return HostileObject(
        "key-collisions-10000", {"data": entries}, {"config": json.dumps({"a": "b"})}
    )


@_listed
def missing_stores() -> HostileObject:
    """As many entries as fit, all of one store that does not exist."""
    entries = [
        {"key": "config", "name": f"key-{n}", "secretStoreRef": {"name": f"missing{'-' * 8}x"}}
        for n in range(OBJECT_BYTES // 90)
    ]
    return HostileObject("missing-stores", {"data": entries}, {"config": "a value"})


@_listed
def stores_10000() -> HostileObject:
    """As many different stores as fit, in this namespace and others, none of which exists."""
    kinds = ("SecretStore", "ClusterSecretStore")
    entries = [
        {
            "key": "config",
            "name": f"k{n}",
            "secretStoreRef": {"name": f"store-{n}", "kind": kinds[n % 2], "namespace": f"ns-{n}"},
        }
        for n in range(10_000)
    ]
    return HostileObject("stores-10000", {"data": entries}, {"config": "a value"})


@_listed
def missing_secrets_8000() -> HostileObject:
    """As many sources as fit, none of which KMS has."""
    entries = [entry(f"missing-{n}") for n in range(8000)]
    return HostileObject("missing-secrets-8000", {"data": entries})


@_listed
def empty_entries() -> HostileObject:
    """The most entries that an object can have."""
    return HostileObject("empty-entries", {"data": [{"key": "a"}] * (OBJECT_BYTES // 12)})


# --- Long texts ---------------------------------------------------------------------------------


@_listed
def illegal_keys() -> HostileObject:
    """Thousands of keys that no Secret can have, all of which a message would like to name."""
    document = json.dumps({f"key {n} /!?{{}}": "v" for n in range(1000)})
    entries = [entry("config", name=f"key/{n}!") for n in range(4000)]
    process = [{"extract": entry("document")} for _ in range(100)]
    return HostileObject(
        "illegal-keys",
        {"data": entries, "dataProcess": process},
        {"config": "a value", "document": document},
    )


@_listed
def illegal_keys_of_documents() -> HostileObject:
    """The same, known only once the documents are there."""
    document = json.dumps({f"key {n} /!?{{}}": "v" for n in range(1000)})
    process = [{"extract": entry("document")} for _ in range(200)]
    return HostileObject(
        "illegal-keys-of-documents", {"dataProcess": process}, {"document": document}
    )


@_listed
def long_texts() -> HostileObject:
    """Names, aliases, paths and rules as long as the schema lets them be."""
    long, expression = "a" * 8_192, "a" * 131_072
    entries = [
        {"key": long, "name": long, "secretStoreRef": REF},
        {"key": "config", "versionStage": long, "secretStoreRef": REF},
        {"key": "config", "kmsEndpoint": long, "secretStoreRef": REF},
        {"key": "config", "name": "n", "secretStoreRef": {"name": long}},
        entry("config", jmesPath=[pick(expression, "a"), pick("a", long)]),
    ]
    rules = [{"source": expression, "target": expression}]
    process = [{"extract": entry("config"), "replaceRule": rules}] * 3
    return HostileObject(
        "long-texts",
        {"data": entries, "dataProcess": process},
        {"config": json.dumps({"a": 1})},
    )


@_listed
def many_labels() -> HostileObject:
    """Labels by the thousand, of which the API server keeps a record each, and annotations."""
    return HostileObject(
        "many-labels",
        {"data": [entry("config", name="k")]},
        {"config": "a value"},
        metadata={
            "labels": {f"l{n:05d}.example.com/{'n' * 20}": "v" * 20 for n in range(7000)},
            "annotations": {f"a{n}": "x" * 200 for n in range(1200)},
        },
    )


@_listed
def unknown_fields() -> HostileObject:
    """Fields that the schema does not know."""
    unknown = {f"field-{n}": {"a": [n] * 5} for n in range(30_000)}
    return HostileObject(
        "unknown-fields",
        {"data": [entry("config", name="k")], "unknown": unknown},
        {"config": "a value"},
    )
