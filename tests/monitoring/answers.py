"""What Prometheus answered, as panels that can be drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tests.monitoring.drawing import NUMBERS, Panel, Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PLACEHOLDER: Final = re.compile(r"{{\s*(\w+)\s*}}")
#: Labels that say where the scrape was, which is nobody's business.
_OF_THE_SCRAPE: Final = frozenset({"__name__", "instance", "job"})


def panel_of(
    model: Mapping[str, Any], answers: Sequence[Sequence[Mapping[str, Any]]], begin: float
) -> Panel:
    """A panel of the dashboard with its numbers.

    Args:
        model: As the dashboard has it.
        answers: For each of its targets what the API calls ``result``.
        begin: When the picture begins, in seconds of Unix.
    """
    place = model["gridPos"]
    defaults = model.get("fieldConfig", {}).get("defaults", {})
    series = [
        Series(
            named(target.get("legendFormat", ""), one["metric"]),
            tuple((float(at) - begin, float(text)) for at, text in samples(one)),
        )
        for target, answer in zip(model.get("targets", []), answers, strict=True)
        for one in sorted(answer, key=lambda one: sorted(one["metric"].items()))
    ]
    return Panel(
        title=model["title"],
        kind=model["type"],
        place=(place["x"], place["y"], place["w"], place["h"]),
        unit=defaults.get("unit", "none"),
        least=defaults.get("min"),
        by_name=model.get("options", {}).get("textMode") == "name",
        series=tuple(series),
    )


def samples(one: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Of a range or of an instant."""
    return list(one["values"]) if "values" in one else [one["value"]]


def named(form: str, labels: Mapping[str, str]) -> str:
    """The name of a series: the form of the legend, or all its labels where there is none."""
    if form and form != "__auto":
        return _PLACEHOLDER.sub(lambda found: labels.get(found[1], ""), form).strip()
    said = [f"{k}={v}" for k, v in sorted(labels.items()) if k not in _OF_THE_SCRAPE]
    return ", ".join(said) or "value"


def is_instant(model: Mapping[str, Any]) -> bool:
    """Whether only its last numbers are shown."""
    return model["type"] in NUMBERS
