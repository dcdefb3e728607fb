"""Names that are part of the interface: groups, annotations, field managers."""

from __future__ import annotations

from typing import Final

GROUP: Final = "alibabacloud.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

#: The one field manager of all our applies; it must not change between releases.
FIELD_MANAGER: Final = "secret-sync"

#: On each Secret of ours: ``<ExternalSecret name>/<its uid>``.
OWNER_ANNOTATION: Final = "secret-sync.alibabacloud.com/owner"

#: On a Secret of ours with rendered labels or annotations: which, as ``labels/<name>`` and
#: ``annotations/<name>``. What else our field manager owns was carried over from a predecessor.
RENDERED_ANNOTATION: Final = "secret-sync.alibabacloud.com/rendered-metadata"

#: On each Secret of ours, unless another writer or a template sets it: a label to select by. It
#: decides nothing, so its absence is no reason to write.
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "secret-sync"

#: On an ExternalSecret: any new value asks for a fetch now.
FORCE_SYNC_ANNOTATION: Final = "secret-sync.alibabacloud.com/force-sync"

#: On an ExternalSecret: ``"true"`` lets it take over a Secret that it did not make.
ADOPT_ANNOTATION: Final = "secret-sync.alibabacloud.com/adopt"

#: On an ExternalSecret: the workloads that restart once the data of its Secret changed.
RESTART_ANNOTATION: Final = "secret-sync.alibabacloud.com/restart"

#: In the pod template of such a workload: a keyed digest of the data that it restarted for, by
#: ExternalSecret.
RESTARTED_FOR_ANNOTATION: Final = "secret-sync.alibabacloud.com/restarted-for"

#: Who sets that.
RESTART_MANAGER: Final = f"{FIELD_MANAGER}-restart"

#: What begins the field manager of an ExternalSecret that merges; its uid follows.
MERGE_MANAGER: Final = f"{FIELD_MANAGER}-merge-"

#: What ack-secret-manager leaves: on ExternalSecrets and stores, on Secrets (0.5.x), and as the
#: field manager of its updates (0.6.x; the second is the default name of such a program).
LEGACY_FINALIZER: Final = "finalizer.ack.secrets-manager.alibabacloud.com"
LEGACY_LABEL: Final = "lastUpdatedAt"
LEGACY_MANAGERS: Final = frozenset({"ack-secret-manager", "manager"})

#: kubectl's copy of the whole object: for a Secret it carries the payload.
LAST_APPLIED_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"

#: On a Secret, ServiceAccount or SecretStore: the namespaces that may refer to it, ``*`` for all.
ALLOW_NAMESPACES_ANNOTATION: Final = "secret-sync.alibabacloud.com/allow-namespaces"

#: On a Secret: ``"true"`` lets templates be taken from it, where the operator requires that.
TEMPLATE_ANNOTATION: Final = "secret-sync.alibabacloud.com/template"

#: On a ServiceAccount: the RAM role that its tokens assume; ACK's own name for it.
ROLE_ARN_ANNOTATION: Final = "ack.alibabacloud.com/role-arn"

#: On a child of a ClusterExternalSecret that was renamed: the child that takes its Secret over.
REPLACED_BY_ANNOTATION: Final = "secret-sync.alibabacloud.com/replaced-by"
