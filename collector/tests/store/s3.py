"""A service that speaks the protocol of Amazon's S3, on a free loopback port, with an empty bucket `profiles`.

Prints `port N`, and ends when its standard input ends. What it keeps is in memory. From `GET /-/fault?NAME` on it does what `NAME` says:

- `none`: what it should
- `cut`: answers that are tables end in the middle
- `elsewhere`: it knows no bucket, as another service would
- `spoil`: the next answer that is a table has one wrong byte; then as `none`
- `misread`: the same of the next one that is a description
- `lose`: the description of a merged block is stored, and the answer is that it was not
- `stick`: samples cannot be moved to the quarantine
"""

import sys
import urllib.request

from moto.server import ThreadedMotoServer


class Faulty:
    """The service, and what is done to its answers."""

    def __init__(self, app):
        self.app = app
        self.fault = "none"

    def __call__(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/-/fault":
            self.fault = environ["QUERY_STRING"]
            start("200 OK", [("Content-Length", "0")])
            return [b""]
        if self.fault == "elsewhere":
            return refuse(start, "404 Not Found", "NoSuchBucket")
        if self.fault == "stick" and "quarantine" in path and path.endswith("/samples.parquet"):
            return refuse(start, "400 Bad Request", "RequestTimeout")
        if self.fault == "lose" and method == "PUT" and "+" in path and path.endswith("/meta.json"):
            b"".join(self.app(environ, lambda *_: None))
            return refuse(start, "400 Bad Request", "RequestTimeout")
        body = self.app(environ, start)
        is_table = method == "GET" and path.endswith(".parquet")
        is_description = method == "GET" and path.endswith("/meta.json")
        if self.fault == "cut" and is_table:
            whole = b"".join(body)
            return [whole[: len(whole) // 2]]
        if (self.fault == "spoil" and is_table) or (self.fault == "misread" and is_description):
            self.fault = "none"
            whole = bytearray(b"".join(body))
            whole[len(whole) // 2] ^= 1
            return [bytes(whole)]
        return body


def refuse(start, status, code):
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
    return [text]


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
server._server.app = Faulty(server._server.app)
urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/profiles", method="PUT"))
print("port", port, flush=True)
sys.stdin.read()
server.stop()
