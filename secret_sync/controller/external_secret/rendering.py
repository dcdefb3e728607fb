"""From fetched keys and values to a rendered Secret: all of it, or an error.

The package of templates is imported here, with the first object that has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from secret_sync.controller.external_secret.desired import (
    NO_METADATA,
    Clock,
    Desired,
    Overwritten,
    RenderedMetadata,
)
from secret_sync.controller.external_secret.extraction import ExtractedData, ExtractionError
from secret_sync.controller.external_secret.quick_rendering import import_templates
from secret_sync.controller.external_secret.rendered_metadata import (
    MAX_ANNOTATIONS,
    name_problem,
    size_of,
    value_problem,
)
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.parse import MAX_KEYS, check_data
from secret_sync.parse.keys import key_problem
from secret_sync.resources import Reason
from secret_sync.resources.template import ANNOTATIONS, DATA, LABELS, LITERAL_KEY, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secret_sync.parse import Steps
    from secret_sync.resources.meta import FieldPath
    from secret_sync.resources.template import SecretTemplate
    from secret_sync.templates.errors import TemplateError
    from secret_sync.templates.rendering import HashRequest, Rendering

#: Where the text of a template is: kind and name of the object, and the key.
TextKey: TypeAlias = tuple[str, str, str]

_TEMPLATE: Final[FieldPath] = ("spec", "target", "template")


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """What a Secret is rendered with, beside the fetched values.

    Attributes:
        uid: Of the ExternalSecret; salts are made of it.
        versions: Of the objects that hold templates, as far as they are known.
        texts: Their templates; ``None`` before they are read.
        synced_at: The time of the last sync, or 0; see ``Clock``.
        now: The current time.
        written: Fingerprint of what was written last by this process.
        hashes: Those that are known.
    """

    template: SecretTemplate
    uid: str
    versions: tuple[str, ...] = ()
    texts: Mapping[TextKey, bytes] | None = field(default=None, repr=False)
    synced_at: int = 0
    now: int = 0
    written: bytes | None = None
    hashes: Mapping[HashRequest, bytes] = field(default_factory=dict, repr=False)

    @property
    def lacks_texts(self) -> bool:
        """Whether templates have to be read first."""
        return self.texts is None and bool(self.versions)


class NeedsHashes(NamedTuple):
    """The hashes that have to be computed first."""

    requests: tuple[HashRequest, ...]

    def __repr__(self) -> str:
        """Show how many, never passwords."""
        return f"NeedsHashes({len(self.requests)})"


Rendered: TypeAlias = Desired | ExtractionError | NeedsHashes


def check_template_steps(template: SecretTemplate) -> Steps[Problem | None]:
    """Parse the templates that an object itself has; return what is wrong with the first."""
    import_templates()
    from secret_sync.templates.engine import parse  # noqa: PLC0415 (see above)
    from secret_sync.templates.errors import TemplateError  # noqa: PLC0415

    for path, source in template.written():
        try:
            parse(source)
        except TemplateError as error:
            return template_problem(error, where_of(path), path)
        yield
    return None


def render_steps(
    inputs: TemplateInput,
    extracted: ExtractedData,
    make: Callable[[ExtractedData], Desired],
    *,
    quick: bool = False,
) -> Steps[Rendered]:
    """Render a Secret, one template at a time.

    Args:
        inputs: With the templates.
        extracted: The fetched keys and values.
        make: Makes a Secret of keys and values.
        quick: Whether it may take a millisecond or two only; beyond that it is too costly.
    """
    told = inputs.synced_at or inputs.now
    made = yield from _render(inputs, extracted, make, told, quick=quick)
    if not isinstance(made, Desired) or made.clock is None or not inputs.synced_at:
        return made
    if inputs.written is None:
        return replace(made, clock=Clock(told, provisional=True))
    if made.fingerprint == inputs.written:
        return made
    # An input changed, so that the time is the current one.
    return (yield from _render(inputs, extracted, make, inputs.now, quick=quick))


def _render(
    inputs: TemplateInput,
    extracted: ExtractedData,
    make: Callable[[ExtractedData], Desired],
    now: int,
    *,
    quick: bool,
) -> Steps[Rendered]:
    from secret_sync.templates.rendering import Rendering  # noqa: PLC0415 (see above)

    rendering = Rendering(inputs.uid, now, inputs.hashes, quick=quick)
    secret = _RenderedSecret(inputs.template)
    try:
        for job in _jobs(inputs):
            text = _render_one(job, extracted.data, rendering)
            secret.add(job, text)
            yield
        result = secret.finish(extracted)
    except _RenderError as error:
        if rendering.needed and error.problem.reason is not Reason.TOO_COSTLY:
            # What stood in for a hash may be the cause.
            return NeedsHashes(tuple(rendering.needed))
        return ExtractionError(None, error.problem)
    if rendering.needed:
        return NeedsHashes(tuple(rendering.needed))
    desired = make(result)
    return replace(desired, clock=Clock(now)) if rendering.used_now else desired


class _RenderError(Exception):
    """A problem, on its way out."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


class _TemplateJob(NamedTuple):
    """One template.

    Attributes:
        target: ``Data``, ``Labels`` or ``Annotations``.
        key: What it renders; ``""`` for lines.
        salt: Identifies it; changing that changes hashes.
        where: How messages call it.
        hidden: Whether the template comes from a Secret, so that no message may quote it.
    """

    target: str
    key: str
    source: bytes
    where: str
    path: FieldPath
    salt: str = ""
    hidden: bool = False

    def __repr__(self) -> str:
        """Omit the template, which may come from a Secret."""
        return f"_TemplateJob({self.where})"


def _jobs(inputs: TemplateInput) -> Iterator[_TemplateJob]:
    """Yield all templates in the order in which they are rendered."""
    template = inputs.template
    for key, source in template.data:
        path: FieldPath = (*_TEMPLATE, "data", key)
        yield _TemplateJob(DATA, key, source.encode(), where_of(path), path)
    for number, origin in enumerate(template.sources):
        path = (*_TEMPLATE, "templateFrom", number)
        where = where_of(path)
        if not origin.kind:
            path, text = (*path, "literal"), origin.literal.encode()
            yield _TemplateJob(origin.target, LITERAL_KEY, text, where_of(path), path)
            continue
        for item in origin.items:
            text = (inputs.texts or {})[origin.kind, origin.name, item.key]
            yield _TemplateJob(
                target=origin.target,
                key="" if item.lines else item.key,
                source=text,
                where=f"{where} ({origin.kind} {origin.name}, key {item.key!r})",
                path=path,
                salt=f"{origin.kind}/{origin.name}/{item.key}",
                hidden=origin.kind == SECRET,
            )
    for target, name, templates in (
        (LABELS, "labels", template.labels),
        (ANNOTATIONS, "annotations", template.annotations),
    ):
        for key, source in templates:
            path = (*_TEMPLATE, "metadata", name, key)
            yield _TemplateJob(target, key, source.encode(), where_of(path), path)


def _render_one(job: _TemplateJob, values: Mapping[str, bytes], rendering: Rendering) -> bytes:
    from secret_sync.templates.engine import parse  # noqa: PLC0415 (see above)
    from secret_sync.templates.errors import TemplateError  # noqa: PLC0415

    rendering.key = f"{job.target}/{job.key or job.salt}"
    try:
        source = job.source.decode()
    except UnicodeDecodeError:
        message = f"{job.where}: the template is not UTF-8"
        raise _RenderError(Problem(Reason.TEMPLATE_INVALID, message, job.path)) from None
    try:
        return parse(source, keep=not job.hidden).render(values, rendering)
    except TemplateError as error:
        problem = template_problem(error, job.where, job.path, hidden=job.hidden)
        raise _RenderError(problem) from None


class _RenderedSecret:
    """What the templates have rendered so far; the later of two that write a key wins."""

    def __init__(self, template: SecretTemplate) -> None:
        self._template = template
        self._written: dict[str, dict[str, bytes]] = {DATA: {}, LABELS: {}, ANNOTATIONS: {}}
        self._writers: dict[tuple[str, str], str] = {}
        self._overwritten: list[Overwritten] = []
        self._number = 0

    def add(self, job: _TemplateJob, text: bytes) -> None:
        """Add what a template has rendered."""
        if job.key:
            self._put(job, job.key, text)
            return
        for number, key, value in _lines(job, text):
            why = key_problem(key) if job.target == DATA else name_problem(job.target, key)
            if why:
                # The line may be a part of a value.
                message = f"{job.where}: what is before the = in line {number} cannot be written: "
                reason = Reason.INVALID_KEY if job.target == DATA else Reason.TEMPLATE_FAILED
                raise _RenderError(Problem(reason, f"{message}{why}", job.path))
            self._put(job, key, value)

    def _put(self, job: _TemplateJob, key: str, value: bytes) -> None:
        # One that is written again counts as well: each time is worth a warning.
        self._number += 1
        if self._number > MAX_KEYS:
            message = f"the templates write over {MAX_KEYS} keys; split the ExternalSecret"
            raise _RenderError(Problem(Reason.TOO_COSTLY, message, _TEMPLATE))
        if job.target != DATA and (why := value_problem(job.target, value)):
            what = job.target.lower().removesuffix("s")
            named = f"{what} {key!r}" if job.key else f"a {what}"
            message = f"{job.where}: {named} cannot be written: {why}"
            raise _RenderError(Problem(Reason.TEMPLATE_FAILED, message, job.path))
        before = self._writers.get((job.target, key))
        if before is not None:
            name = key if job.target == DATA else f"{job.target.lower()}/{key}"
            self._overwritten.append(Overwritten(name, before, job.where))
        self._writers[job.target, key] = job.where
        self._written[job.target][key] = value

    def finish(self, extracted: ExtractedData) -> ExtractedData:
        """Return the whole Secret, checked."""
        data = self._written[DATA]
        if not self._template.replaces:
            data = {**extracted.data, **data}
        metadata = NO_METADATA
        if self._written[LABELS] or self._written[ANNOTATIONS]:
            metadata = RenderedMetadata(
                *(
                    {name: value.decode() for name, value in self._written[target].items()}
                    for target in (LABELS, ANNOTATIONS)
                )
            )
        if size_of(*metadata) > MAX_ANNOTATIONS:
            message = (
                f"the annotations, with one that names all labels and annotations, have over "
                f"{MAX_ANNOTATIONS} bytes together; render fewer or shorter ones"
            )
            raise _RenderError(Problem(Reason.TOO_LARGE, message, _TEMPLATE))
        try:
            check_data(data)
        except DefiniteError as error:
            raise _RenderError(problem_of(error)) from None
        overwritten = () if self._template.replaces else extracted.overwritten
        return ExtractedData(data, (*overwritten, *self._overwritten), metadata)


def _lines(job: _TemplateJob, text: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield the number, key and value of each line ``key=value``."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        key, equals, value = stripped.partition(b"=")
        name = key.strip()
        if not equals or not name:
            message = (
                f"{job.where}: line {number} of what it renders is not key=value, as "
                "KeysAndValues requires; a value of several lines needs a key of its own (Values)"
            )
            raise _RenderError(Problem(Reason.TEMPLATE_FAILED, message, job.path))
        yield number, name.decode(errors="replace"), value.strip()


def template_problem(
    error: TemplateError, where: str, path: FieldPath, *, hidden: bool = False
) -> Problem:
    """Return what to report of a template.

    Args:
        error: What is wrong.
        where: How the message calls the template.
        path: Of the field.
        hidden: Whether nothing of the template may be quoted.
    """
    place = f"{where}, line {error.line} column {error.column}" if error.line else where
    message = error.message
    if hidden:
        message = (
            "it cannot be parsed or rendered; what of it is wrong is not shown, since it comes "
            "from a Secret: try it with `secret-sync check`"
        )
    return Problem(problem_of(error).reason, f"{place}: {message}", path)


def where_of(path: FieldPath) -> str:
    """Return how messages call a template: ``target.template.data["url"]``."""
    parts = list(path[1:])
    last = ""
    if len(parts) > 2 and parts[-2] in ("data", "labels", "annotations"):  # noqa: PLR2004
        last = f'["{parts.pop()}"]'
    steps = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)
    return f"{steps.removeprefix('.')}{last}"
