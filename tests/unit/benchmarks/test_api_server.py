"""Metrics of the API server: which requests count as writes."""

from __future__ import annotations

from collections import Counter

from benchmarks.api_server import ApiServer, read

OTHERS = """\
# HELP apiserver_request_total Counter of requests.
# TYPE apiserver_request_total counter
apiserver_request_total_of_others{code="200",group="",resource="secrets",verb="APPLY"} 6
process_cpu_seconds_total 12.5
process_resident_memory_bytes 3e+08
"""


def requests(verb: str, group: str, resource: str, value: str, *, code: str = "200") -> str:
    resource, _, subresource = resource.partition("/")
    labels = {"code": code, "group": group, "resource": resource, "subresource": subresource}
    told = ",".join(f'{name}="{text}"' for name, text in {**labels, "verb": verb}.items())
    return f"apiserver_request_total{{{told}}} {value}\n"


TEXT = OTHERS + "".join(
    [
        requests("LIST", "", "secrets", "7"),
        requests("WATCH", "", "secrets", "8"),
        requests("POST", "", "events", "1"),
        requests("APPLY", "", "secrets", "20"),
        requests("APPLY", "alibabacloud.com", "externalsecrets/status", "3e+02"),
        requests("APPLY", "alibabacloud.com", "externalsecrets/status", "4", code="409"),
        requests("PUT", "coordination.k8s.io", "leases", "4000"),
        requests("POST", "authorization.k8s.io", "selfsubjectaccessreviews", "50000"),
    ]
)


def test_writes_to_the_groups_that_the_controller_writes_to_are_counted() -> None:
    writes = {"POST events": 1, "APPLY secrets": 20, "APPLY externalsecrets/status": 304}
    assert read(TEXT) == ApiServer(Counter(writes), cpu_seconds=12.5)


def test_difference_is_what_was_added() -> None:
    earlier = ApiServer(Counter({"POST a": 3, "PUT b": 1}), 1.0)
    later = ApiServer(Counter({"POST a": 5, "PUT b": 1}), 2.5)
    assert later - earlier == ApiServer(Counter({"POST a": 2}), 1.5)
