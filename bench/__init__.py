"""
Speed of this proxy beside that of others: C{python -m bench}.

Not installed, and not a test: what it prints depends on the machine, so that
only ratios within one run say something.
"""
