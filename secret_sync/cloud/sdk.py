"""The parts of the SDK that are used: models of requests and responses, and the signature.

With its clients come two HTTP clients, a scheduler and WebSockets, which would be a third of all
that the controller imports.
"""

from __future__ import annotations

from secret_sync.partial_imports import deferred, without_init

# What is deferred serves functions that are not called.
with (
    without_init("alibabacloud_tea_openapi.utils_models"),
    deferred(
        "cryptography.hazmat.primitives",
        "cryptography.hazmat.primitives.asymmetric",
        "cryptography.hazmat.primitives.serialization",
        "darabonba.core",
        "darabonba.utils.form",
    ),
):
    from alibabacloud_tea_openapi.utils import Utils, get_canonical_query_string
    from alibabacloud_tea_openapi.utils_models._open_api_request import OpenApiRequest
    from alibabacloud_tea_openapi.utils_models._params import Params

__all__ = ["OpenApiRequest", "Params", "Utils", "get_canonical_query_string"]
