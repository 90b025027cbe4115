"""
KCP: a reliable stream over datagrams, with encryption and forward error
correction, as kcp-go and kcptun speak it.
"""
