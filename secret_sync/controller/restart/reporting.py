"""Reports restarts: as the condition ``Restarted``, Event and log line; never as ``Ready``."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

import structlog

from secret_sync.controller.sync import condition
from secret_sync.resources import Reason
from secret_sync.resources.conditions import RESTARTED
from secret_sync.resources.external_secret import workload_key

if TYPE_CHECKING:
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.restart.pacing import RestartState
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


def report_progress(
    statuses: StatusWriter[ExternalSecretStatus],
    publisher: EventPublisher,
    key: str,
    es: ExternalSecret,
    status: ExternalSecretStatus,
    kept: RestartState,
) -> None:
    """Put a status whose restart is due; it is over once all workloads that are named are done.

    Args:
        statuses: Writes it.
        publisher: Publishes a problem that is a new one.
        key: Of the object.
        es: The object, as it is now.
        status: What else it is to say.
        kept: What is kept of its restarts.
    """
    restart = status.restart
    if restart is None or es.restart is None:
        return
    keys = {workload_key(es.namespace, workload): workload for workload in es.restart.workloads}
    problem = kept.first_problem()
    is_over = bool(keys) and keys.keys() <= kept.done
    if is_over:
        restart = replace(restart, restarted=restart.data, nonce=new_nonce())
        status = replace(status, restart=restart)
    elif problem is None:
        statuses.put(key, es, status)
        return
    names = ", ".join(str(w) for k, w in keys.items() if k not in kept.problems)
    notes = "".join(f"; {note}" for note in kept.notes.values())
    message = f"restarted {names} for new data of Secret {es.target.name}{notes}"
    report(statuses, publisher, key, es, status, problem, message)
    if is_over:
        kept.settle()


def new_nonce() -> str:
    """Return what tells the next restart of an object from all others."""
    return token_hex(4)
