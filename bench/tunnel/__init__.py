"""
Tunnels measured, as they are run: C{python -m bench tunnel}.

C{command} reads the options. C{bulk} lets daemons that forward a port through
KCP, and kcptun, carry what C{traffic} sends, on one stream and on many.
C{firstbyte} counts how long a C{page} takes to begin behind C{ways} that lead
through a proxy far away. C{figures} is what comes out, and C{plot} draws it.
"""
