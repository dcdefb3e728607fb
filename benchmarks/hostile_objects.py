"""ExternalSecrets that somebody writes to harm others, as data.

Each is one object of at most 1.5 MB, what etcd takes, and the KMS secrets that it reads, each of at
most 30,720 bytes, what KMS takes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.world import API_VERSION, STORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What KMS holds at most, in bytes.
KMS_BYTES: Final = 30_720
#: What fits into one object with some room for what the API server adds, in bytes.
OBJECT_BYTES: Final = 1_400_000

_REF: Final = {"name": STORE}


@dataclass(frozen=True, slots=True)
class HostileObject:
    """One of the list.

    Attributes:
        name: For a person, and of the object.
        spec: Of the ExternalSecret.
        secrets: The KMS secrets that it reads, and their values.
        metadata: Labels and annotations.
        more: Fields beside ``spec``.
    """

    name: str
    spec: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The object as it is sent.

        It asks for its values every second, since nothing forbids that.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": "ExternalSecret",
            "metadata": {"name": self.name, **self.metadata},
            "spec": {"rotationInterval": "1s", **self.spec},
            **self.more,
        }


MAKERS: Final[dict[str, Callable[[], HostileObject]]] = {}


def _listed(make: Callable[[], HostileObject]) -> Callable[[], HostileObject]:
    MAKERS[make.__name__.replace("_", "-")] = make
    return make


def known(only: str = "") -> Iterator[HostileObject]:
    """All objects of the list whose names contain a text."""
    for name, make in MAKERS.items():
        if only in name:
            yield make()


# --- Regular expressions ------------------------------------------------------------------------


def _rule(number: int) -> dict[str, str]:
    """A rule unlike any other that takes as long to compile as RE2's memory lets it."""
    return {"source": rf"[\pL\pN]{{12}}7{number:05d}", "target": "x"}


def _regular_expressions(name: str, characters: int) -> HostileObject:
    """So many characters of rules, spread over entries that each obey every limit of an entry."""
    rules = [_rule(n) for n in range(characters // len(_rule(0)["source"]))]
    entries = [
        {"extract": _from("config"), "replaceRule": rules[n : n + 64]}
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
            "extract": _from("config"),
            "replaceRule": [
                {"source": rf"[\pL\pN]{{10}}7{entry:02d}{n:02d}", "target": "x"} for n in range(64)
            ],
        }
        for entry in range(40)
    ]
    return HostileObject(
        "rules-64-of-40-entries", {"dataProcess": entries}, {"config": json.dumps({"a": "b"})}
    )


@_listed
def keys_1000_with_64_rules() -> HostileObject:
    """A document whose every key passes through every rule."""
    rules = [{"source": rf"([\pL\pN]+){n}z", "target": "$1"} for n in range(64)]
    document = json.dumps({f"key-{n:04d}-abcdefghi": str(n) for n in range(1000)})
    entry = {"extract": _from("config"), "replaceRule": rules}
    return HostileObject("keys-1000-with-64-rules", {"dataProcess": [entry]}, {"config": document})


# --- Documents ----------------------------------------------------------------------------------


def _yaml(size: int = KMS_BYTES) -> str:
    """YAML that its parser is slow with: many short items."""
    return "k: [" + "a," * ((size - 6) // 2) + "b]"


def _mapping(size: int = KMS_BYTES) -> str:
    """YAML as people write it, close to a size."""
    lines, length, n = [], 0, 0
    while length < size - 32:
        lines.append(f"key-{n}: 'value {n}'")
        length += len(lines[-1]) + 1
        n += 1
    return "\n".join(lines)


@_listed
def entries_700_with_34_aliases() -> HostileObject:
    """Took memory from 72 to 770 MiB when it was found."""
    document = json.dumps({"a": "x" * (KMS_BYTES - 20)})
    entries = [
        _entry("config", jmesPath=[_pick("a", f"alias-{n}-{alias}") for alias in range(34)])
        for n in range(700)
    ]
    return HostileObject("entries-700-with-34-aliases", {"data": entries}, {"config": document})


@_listed
def entries_60_on_one_yaml() -> HostileObject:
    """Held the only parse thread for 4.7 s when it was found."""
    entries = [_entry("config", jmesPath=[_pick(f"k[{n}]", f"k-{n}")]) for n in range(60)]
    return HostileObject("entries-60-on-one-yaml", {"data": entries}, {"config": _yaml()})


@_listed
def entries_500_extract_one_yaml() -> HostileObject:
    """As many entries as are allowed, each of which takes the same mapping apart."""
    entries = [{"extract": _from("config")} for _ in range(500)]
    return HostileObject(
        "entries-500-extract-one-yaml", {"dataProcess": entries}, {"config": _mapping()}
    )


@_listed
def yaml_documents_500() -> HostileObject:
    """As many entries as are allowed, each with a document of its own: 15 MB."""
    secrets = {f"config-{n}": f"n: {n}\n" + _yaml(KMS_BYTES - 16) for n in range(500)}
    entries = [_entry(name, jmesPath=[_pick("n", name)]) for name in secrets]
    return HostileObject("yaml-documents-500", {"data": entries}, secrets)


@_listed
def nested_yaml_aliases() -> HostileObject:
    """Nine levels of nine aliases each."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    entries = [
        *({"extract": _from("config")} for _ in range(20)),
        *({"extract": _from("wide")} for _ in range(20)),
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
    entries = [{"extract": _from(name)} for name in secrets for _ in range(100)]
    return HostileObject("deep-documents", {"dataProcess": entries}, secrets)


# --- JMESPath -----------------------------------------------------------------------------------


@_listed
def widest_projections() -> HostileObject:
    """Projections of projections over lists of lists."""
    rows = [[list(range(10)) for _ in range(30)] for _ in range(30)]
    document = json.dumps({"a": rows}, separators=(",", ":"))
    paths = ["a" + "[*][][*]" * 4, "a[*][*][*] | [] | [] | [*]", "[*].[*].[*]", "*.*[].*[].*[]"]
    entries = [
        _entry("config", jmesPath=[_pick(f"{path} | [{n}]", f"p-{n}-{m}")
               for m, path in enumerate(paths * 8)])
        for n in range(60)
    ]  # fmt: skip
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
        _entry("config", jmesPath=[_pick(path, f"p-{n}-{m}") for m, path in enumerate(paths)])
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
        _entry("config", jmesPath=[_pick(path, f"p-{n}-{m}") for m, path in enumerate(paths)])
        for n in range(300)
    ]
    return HostileObject("functions-over-everything", {"data": entries}, {"config": document})


@_listed
def paths_of_1_mb() -> HostileObject:
    """Expressions as large as an object can be."""
    path = ".".join(["a"] * 1000)
    entries = [
        _entry("config", jmesPath=[_pick(f"{path}.b{n}{m}", f"p-{n}-{m}") for m in range(4)])
        for n in range(OBJECT_BYTES // 8_300)
    ]
    return HostileObject("paths-of-1-mb", {"data": entries}, {"config": json.dumps({"a": 1})})


# --- Many of everything -------------------------------------------------------------------------


@_listed
def plain_entries_8000() -> HostileObject:
    """Delayed a new object of somebody else from 0.04 s to 2.4 s when it was found."""
    entries = [_entry("config", name=f"key-{n}") for n in range(8000)]
    return HostileObject("plain-entries-8000", {"data": entries}, {"config": "a value"})


@_listed
def plain_entries_500_of_30_kb() -> HostileObject:
    """As many sources as are allowed, as large as they are allowed: 15 MB."""
    secrets = {f"large-{n}": f"{n:04d}" + "x" * (KMS_BYTES - 4) for n in range(500)}
    return HostileObject(
        "plain-entries-500-of-30-kb", {"data": [_entry(name) for name in secrets]}, secrets
    )


@_listed
def one_key_of_500_entries() -> HostileObject:
    """Each overwrites the one before, and each pair is worth a warning."""
    entries = [_entry(f"small-{n}", name="same") for n in range(500)]
    return HostileObject(
        "one-key-of-500-entries", {"data": entries}, {f"small-{n}": str(n) for n in range(500)}
    )


@_listed
def key_collisions_10000() -> HostileObject:
    """Forty entries write the same 250 keys."""
    aliases = [_pick("a", f"key-{n}") for n in range(250)]
    entries = [_entry("config", jmesPath=aliases) for _ in range(40)]
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
    entries = [_entry(f"missing-{n}") for n in range(8000)]
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
    entries = [_entry("config", name=f"key/{n}!") for n in range(4000)]
    process = [{"extract": _from("document")} for _ in range(100)]
    return HostileObject(
        "illegal-keys",
        {"data": entries, "dataProcess": process},
        {"config": "a value", "document": document},
    )


@_listed
def illegal_keys_of_documents() -> HostileObject:
    """The same, known only once the documents are there."""
    document = json.dumps({f"key {n} /!?{{}}": "v" for n in range(1000)})
    process = [{"extract": _from("document")} for _ in range(200)]
    return HostileObject(
        "illegal-keys-of-documents", {"dataProcess": process}, {"document": document}
    )


@_listed
def long_texts() -> HostileObject:
    """Names, aliases, paths and stages of a hundred thousand characters each."""
    long = "a" * 100_000
    entries = [
        {"key": long, "name": long, "secretStoreRef": _REF},
        {"key": "config", "versionStage": long, "secretStoreRef": _REF},
        {"key": "config", "kmsEndpoint": long, "secretStoreRef": _REF},
        {"key": "config", "name": "n", "secretStoreRef": {"name": long}},
        _entry("config", jmesPath=[_pick(long, "a"), _pick("a", long)]),
    ]
    rules = [{"source": long, "target": long}]
    process = [{"extract": _from("config"), "replaceRule": rules}]
    return HostileObject(
        "long-texts",
        {"data": entries, "dataProcess": process, "provider": "kms"},
        {"config": json.dumps({"a": 1})},
    )


@_listed
def many_labels() -> HostileObject:
    """Labels by the thousand, of which the API server keeps a record each, and annotations."""
    return HostileObject(
        "many-labels",
        {"data": [_entry("config", name="k")]},
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
        {"data": [_entry("config", name="k")], "unknown": unknown},
        {"config": "a value"},
    )


# --- Any shape ----------------------------------------------------------------------------------

_CHARACTERS: Final = "abcXYZ019-_./ $()[]{}|*+?\\^@&`'\"\n\té漢😀"
_PIECES: Final = (
    *("a", "b", "*", "[*]", "[]", "[0]", "[-1]", "[?a]", ".", " | ", "@", "to_string(@)", "&a"),
    *("sort_by(a, &b)", "map(&@, a)", "join('', a)", "{a: @, b: @}", "[@, @]", "`1`", "keys(@)"),
)
_REGEX_PIECES: Final = (r"\pL", "[a-z]{50}", r"(?:\pN{9}){9}", "(a|b)*", ".*", "^", "$", "(?i)x")


def generated(seed: int) -> HostileObject:
    """An object of a random shape and size, the same one for the same seed."""
    draw = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    secrets = {f"g{seed}-{n}": _value(draw) for n in range(draw.choice([1, 1, 3, 20]))}
    names = list(secrets)
    size = draw.choice([2_000, 50_000, 500_000, OBJECT_BYTES])
    lists: dict[str, list[dict[str, Any]]] = {"data": [], "dataProcess": []}
    # Of one make each, as those that harm are; a mixture would end at its first mistake.
    picks, rules = draw.choice([0, 1, 40, 256]), draw.choice([0, 0, 1, 64])
    wild = draw.random() < 0.3  # noqa: PLR2004 (a share)
    while size > 0:
        entry: dict[str, Any] = _entry(draw.choice(names))
        if wild:
            for name in ("name", "versionStage", "kmsEndpoint", "versionId"):
                if draw.random() < 0.1:  # noqa: PLR2004 (a share)
                    entry[name] = _text(draw, 300)
        elif not picks:
            entry["name"] = f"k{draw.randrange(10 ** draw.choice([1, 6]))}"
        if picks and draw.random() < 0.7:  # noqa: PLR2004 (a share)
            entry["jmesPath"] = [
                _pick("".join(draw.choices(_PIECES, k=draw.randint(1, 12))), f"{n}-{size}")
                for n in range(picks)
            ]
        if draw.random() < 0.3 or rules:  # noqa: PLR2004 (a share)
            entry = {"extract": entry}
            if rules:
                entry["replaceRule"] = [
                    {"source": "".join(draw.choices(_REGEX_PIECES, k=9)) + str(n), "target": "$1"}
                    for n in range(rules)
                ]
            lists["dataProcess"].append(entry)
        else:
            lists["data"].append(entry)
        size -= len(json.dumps(entry))
    return HostileObject(f"generated-{seed}", lists, secrets)


def _text(draw: random.Random, most: int) -> str:
    return "".join(draw.choices(_CHARACTERS, k=draw.randrange(most)))


def _value(draw: random.Random) -> str:
    """A plain text, JSON or YAML, of any size that KMS takes."""
    size = draw.choice([100, 4000, KMS_BYTES])
    match draw.randrange(5):
        case 0:
            return _text(draw, size // 4) or "x"
        case 1:
            return _yaml(size)
        case 2:
            return _mapping(size)
        case 3:
            return json.dumps({f"k{n}": [n, str(n)] for n in range(size // 24)})
        case _:
            return json.dumps({"a": [{"a": n, "b": "x"} for n in range(size // 26)]})


def _from(secret: str) -> dict[str, Any]:
    return {"key": secret, "secretStoreRef": _REF}


def _entry(secret: str, **more: Any) -> dict[str, Any]:
    return {"key": secret, **more, "secretStoreRef": _REF}


def _pick(path: str, alias: str) -> dict[str, str]:
    return {"path": path, "objectAlias": alias}
