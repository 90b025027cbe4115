"""
Names.
"""
