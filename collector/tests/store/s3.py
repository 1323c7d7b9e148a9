"""A service that speaks the protocol of Amazon's S3, on a free loopback port, with an empty bucket `profiles`.

Prints `port N`, and ends when its standard input ends. What it keeps is in memory.
"""

import sys
import urllib.request

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/profiles", method="PUT"))
print("port", port, flush=True)
sys.stdin.read()
server.stop()
