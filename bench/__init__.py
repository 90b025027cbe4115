"""
Speed of this proxy beside that of others: C{python -m bench}, and C{python -m
bench udp} for datagrams.

Not installed, and not a test: what it prints depends on the machine, so that
only ratios within one run say something.
"""
