"""
Speed of this proxy beside that of others: C{python -m bench}, C{python -m bench
udp} for datagrams, C{python -m bench http} for HTTP, C{python -m bench kcp} for KCP,
and C{python -m bench tunnel} for tunnels.

Not installed, and not a test: what it prints depends on the machine, so that
only ratios within one run say something.
"""
