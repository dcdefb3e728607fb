"""The playground: a control plane and an Alibaba Cloud on one machine.

An extra of the package (`secret-sync[local]`) that stands on nothing else of it.
"""
