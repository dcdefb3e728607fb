"""Metrics of the API server: which requests count as writes."""

from __future__ import annotations

from benchmarks.api_server import ApiServer, read

TEXT = """\
# HELP apiserver_request_total Counter of requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="",resource="secrets",verb="LIST"} 7
apiserver_request_total{code="0",group="",resource="secrets",verb="WATCH"} 8
apiserver_request_total{code="201",group="",resource="events",verb="POST"} 1
apiserver_request_total{code="200",group="",resource="secrets",verb="APPLY"} 20
apiserver_request_total{code="200",group="alibabacloud.com",resource="x",verb="PATCH"} 300
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",verb="PUT"} 4e3
apiserver_request_total{code="201",group="authorization.k8s.io",resource="y",verb="POST"} 5e4
apiserver_request_total_of_others{code="200",group="",resource="secrets",verb="APPLY"} 6
process_cpu_seconds_total 12.5
process_resident_memory_bytes 3e+08
"""


def test_writes_to_the_groups_that_the_controller_writes_to_are_counted() -> None:
    assert read(TEXT) == ApiServer(writes=321, cpu_seconds=12.5)


def test_difference_is_what_was_added() -> None:
    assert ApiServer(5, 2.5) - ApiServer(3, 1.0) == ApiServer(2, 1.5)
