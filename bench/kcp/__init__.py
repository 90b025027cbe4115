"""
KCP measured: C{python -m bench kcp} over loopback, and with C{--lossy} over a
bad link.

C{command} reads the options. C{loopback} and C{lossy} measure C{contenders},
which are pairs of C{programs}: our own two ends (C{peer}), kcptun, or plain TCP
(C{streams}). C{figures} is what comes out, C{plot} draws it, and C{layers} says
where the time goes.
"""
