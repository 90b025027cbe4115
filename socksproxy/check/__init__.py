"""
Finding out whether a proxy works: C{python -m socksproxy check URL}.
"""
