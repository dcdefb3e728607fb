"""Alibaba Cloud as seen from the wire: one session, signing, endpoints, limits, error classes.

Nothing in here knows who is calling or why.
"""
