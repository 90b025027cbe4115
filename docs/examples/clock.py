"""
What time it is: a question in a datagram, by way of the proxy.
"""

import socket
import time

import socks  # PySocks

SERVER = ("pool.ntp.org", 123)
QUESTION = b"\x1b" + bytes(47)
FROM_1900_TO_1970 = 2208988800

with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as clock:
    clock.set_proxy(socks.SOCKS5, "127.0.0.1", 1080)
    clock.settimeout(5)
    clock.sendto(QUESTION, SERVER)
    answer, (host, port) = clock.recvfrom(48)

seconds = int.from_bytes(answer[40:44], "big") - FROM_1900_TO_1970
print(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)), "UTC, by", host)
