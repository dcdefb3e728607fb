"""Alibaba Cloud as seen from the wire: one session, signing, endpoints, limits, error classes.

Nothing here depends on the caller.
"""
