"""From documents to converted objects; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Comments, Converted, Effect
from secret_sync.cli.convert.external_secrets import (
    ConversionContext,
    ForeignError,
    convert_cluster_external_secret,
    convert_external_secret,
)
from secret_sync.cli.convert.fields import InputError
from secret_sync.cli.convert.inputs import VERSIONS, sources
from secret_sync.cli.convert.stores import (
    KINDS,
    PROVIDER,
    StoreIndex,
    convert_store,
    provider_of,
)
from secret_sync.cli.convert.yaml_text import comment_lines, document
from secret_sync.cli.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.cli.convert.inputs import EsoDocument

_CONVERTERS: Final[
    dict[str, Callable[[EsoDocument, ConversionContext, Comments], dict[str, Any]]]
] = {
    **dict.fromkeys(KINDS, lambda source, _, comments: convert_store(source, comments)),
    "ExternalSecret": convert_external_secret,
    "ClusterExternalSecret": convert_cluster_external_secret,
}


def convert(documents: Iterable[Any], *, region: str = "", adopt: bool = False) -> list[Converted]:
    """Convert the objects of the operator's group.

    Args:
        documents: Everything in the files.
        region: The region of the controller; ``""`` if it is not known.
        adopt: Whether the new objects take over the Secrets of the old ones.
    """
    found = [source for value in documents for source in sources(value)]
    context = ConversionContext(StoreIndex(found), region, adopt)
    return [_convert(source, context) for source in found]


def _convert(source: EsoDocument, context: ConversionContext) -> Converted:
    comments = Comments()
    converter = _CONVERTERS.get(source.kind)
    manifest: dict[str, Any] = {}
    if why := _left_out(source):
        comments.add(Effect.NOTE, (), f"{source.title} is left out: {why}.")
    elif converter is None:
        comments.add(Effect.LOST, (), f"{source.title}: this kind has no counterpart")
    elif source.version not in VERSIONS:
        comments.add(
            Effect.INCOMPLETE,
            (),
            f"{source.title}: version {source.version or 'missing'}; let the operator store it as "
            "v1beta1 or v1 first",
        )
    elif not source.name:
        comments.add(Effect.INCOMPLETE, (), f"{source.kind} without a name")
    else:
        try:
            manifest = converter(source, context, comments)
        except ForeignError:
            comments = Comments()
            why = "none of its stores has provider.alibaba"
            comments.add(Effect.NOTE, (), f"{source.title} is left out: {why}.")
        except InputError as error:
            comments = Comments()
            comments.add(Effect.INCOMPLETE, (), f"{source.title}: {error.message}")
    return Converted(source.title, manifest, comments)


def _left_out(source: EsoDocument) -> str:
    if source.kind in KINDS and (provider := provider_of(source)) not in {"", PROVIDER}:
        return f"its provider is {provider}"
    if source.kind == "ExternalSecret" and source.owner:
        return f"ClusterExternalSecret {source.owner} creates it"
    return ""


def text_of(converted: Converted) -> str:
    """Return the YAML of an object; as comments if applying it would change its Secret."""
    comments = converted.comments.placed(converted.manifest)
    if not converted.manifest:
        return "".join(f"{line}\n" for line in comment_lines(comments[()]))
    text = document(converted.manifest, comments)
    if converted.complete:
        return text
    # The name is what the file has for it: a line break would end the comment.
    title = plain(converted.title)
    head = f"## {title} is not complete: correct it, then remove the first # of each line."
    return f"{head}\n" + "".join(f"#{line}\n" for line in text.splitlines())
