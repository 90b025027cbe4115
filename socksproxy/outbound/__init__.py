"""
Ways out of this proxy.
"""
