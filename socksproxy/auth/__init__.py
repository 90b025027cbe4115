"""
Who clients are.
"""
