"""The reasons of the Events that this controller records."""

from __future__ import annotations

from enum import StrEnum


class EventReason(StrEnum):
    """One word for what happened; the Event's message says the rest."""

    SYNCED = "Synced"
    """The Secret is in sync: for the first time, after an edit or after a failure."""
    UPDATED = "Updated"
    """A new value was written to the Secret, or a change by another manager was reverted."""
    SYNC_FAILED = "SyncFailed"
    """The Secret could not be synced; the message begins with the condition's reason."""
    CONFLICT = "Conflict"
    """Somebody else has the Secret, a key of it, or keeps changing it."""
    KEY_OVERWRITTEN = "KeyOverwritten"
    """Two entries write one key; the later one wins."""
    SECRET_DELETED = "SecretDeleted"  # noqa: S105 (a reason, not a password)
    """A Secret of ours was deleted: the target has another name, or no value exists any more."""
    FINALIZER_REMOVED = "FinalizerRemoved"
    """The finalizer of ack-secret-manager was removed."""
    RESTARTED = "Restarted"
    """A workload restarts, because the data of the Secret changed."""
    RESTART_FAILED = "RestartFailed"
    """A workload did not restart; the message begins with the condition's reason."""
    STORE_READY = "StoreReady"
    """The references of a store resolve, and its credentials were obtained."""
    STORE_NOT_READY = "StoreNotReady"
    """A store cannot be used; the message begins with the condition's reason."""
    PROVISIONED = "Provisioned"
    """Each namespace that a ClusterExternalSecret selects has its ExternalSecret."""
    NOT_PROVISIONED = "NotProvisioned"
    """Some do not; the message begins with the condition's reason."""
