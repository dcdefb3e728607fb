"""Restarts workloads after the data of a Secret changed.

The status of an ExternalSecret has two keyed digests: of the data that was written last, and of the
data that its workloads restarted for. The first status has the same digest twice, so nothing
restarts then. Where the two differ, a restart is due. A crash loses nothing: the status
keeps the old digest until the first workload has restarted, and none until all have; the pod
template of a workload says for which data it did.
"""
