"""Classes of errors of writes, which depend on the field that was rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.kube.errors import (
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
)

if TYPE_CHECKING:
    from secret_sync.kube.errors import (
        ApiError,
    )

_UNPROCESSABLE: Final = 422
#: The causes that deleting the object would help against, by field and reason. A value that is
#: too long, say, is about ``data`` as well, and would be refused again.
_FROZEN: Final = frozenset(
    {
        ("type", "FieldValueInvalid"),
        ("data", "FieldValueForbidden"),
        ("immutable", "FieldValueForbidden"),
    }
)
#: How a conflict names a key of a Secret, a label and an annotation.
_DATA: Final = ".data."
_METADATA: Final = (".metadata.labels.", ".metadata.annotations.")


class AlreadyExistsError(ApiConflictError):
    """A create-only write found an object of that name."""


class OutdatedError(ApiConflictError):
    """The object or its version is not the one on which the write was based."""


class OwnedByOthersError(ApiConflictError):
    """Without force: another field manager owns a field with another value."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of these fields that we write, as of `owned_fields`; see `ApplyWriter.owners`."""
        data = [f.removeprefix(_DATA) for f in self.managers if f.startswith(_DATA)]
        return (
            *data,
            *(
                f"{field.split('.')[2]}/{field.removeprefix(beginning)}"
                for field in self.managers
                for beginning in _METADATA
                if field.startswith(beginning)
            ),
        )


class ImmutableError(ApiRefusedError):
    """The object's type or data cannot be changed any more; nothing else is wrong."""


def classify_write_error(error: ApiError) -> ApiError:
    """Return an error of a write to an existing object in its own class."""
    if isinstance(error, ApiConflictError):
        return reclassify(OwnedByOthersError if error.managers else OutdatedError, error)
    if isinstance(error, ApiNotFoundError):
        return reclassify(OutdatedError, error)
    if error.status != _UNPROCESSABLE or not error.causes:
        return error
    if error.about("metadata.uid"):
        return reclassify(OutdatedError, error)
    if {(cause.field, cause.reason) for cause in error.causes} <= _FROZEN:
        return reclassify(ImmutableError, error)
    return error


def reclassify(kind: type[ApiError], error: ApiError) -> ApiError:
    """Return the same error in another class."""
    return kind(
        error.message,
        status=error.status,
        reason=error.code,
        causes=error.causes,
        retry_after=error.retry_after,
    )
