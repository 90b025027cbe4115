"""
Shadowsocks.
"""
