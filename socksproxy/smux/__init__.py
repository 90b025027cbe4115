"""
smux: many streams over one, as kcptun has them over KCP.
"""
