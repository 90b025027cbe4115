"""
Speed of this proxy beside that of others: C{python -m bench}, C{python -m bench
udp} for datagrams, and C{python -m bench kcp} for KCP.

Not installed, and not a test: what it prints depends on the machine, so that
only ratios within one run say something.
"""
