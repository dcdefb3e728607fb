"""Reports restarts: as the condition ``Restarted``, Event and log line; never as ``Ready``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from secret_sync.controller.sync import condition
from secret_sync.resources import Reason
from secret_sync.resources.conditions import RESTARTED

if TYPE_CHECKING:
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.sync import Problem
    from secret_sync.resources import ExternalSecret, ExternalSecretStatus

_log = structlog.get_logger(__name__)


def report(
    statuses: StatusWriter[ExternalSecretStatus],
    publisher: EventPublisher,
    key: str,
    es: ExternalSecret,
    status: ExternalSecretStatus,
    problem: Problem | None,
    message: str = "",
) -> None:
    """Put a status with the condition ``Restarted``.

    Args:
        statuses: Writes it.
        publisher: Publishes a problem that is a new one.
        key: Of the object.
        es: The object.
        status: What else it is to say.
        problem: Why something has not restarted.
        message: What has, if there is no problem.
    """
    before = status.restarted
    delayed = problem is not None and problem.reason is Reason.RESTART_DELAYED
    now = condition(
        before,
        generation=es.generation,
        status="Unknown" if delayed else "False" if problem is not None else "True",
        reason=problem.reason if problem is not None else Reason.RESTARTED,
        message=problem.message if problem is not None else message,
        type_=RESTARTED,
    )
    statuses.put(key, es, replace(status, restarted=now))
    if problem is not None and (
        before is None or (before.reason, before.message) != (now.reason, now.message)
    ):
        _log.warning("not restarted", **problem.log_fields())
        publisher.not_restarted(es, problem)
