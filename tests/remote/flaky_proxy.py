"""Stands between a client and a server, and lets some requests fail as networks do."""

import contextlib
import http.client
import http.server
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

DROPPED = ("connection", "transfer-encoding", "keep-alive", "content-length")


class FlakyProxy(http.server.ThreadingHTTPServer):
    """A proxy that fails on purpose.

    Attributes:
      requests: method, path and whether it was let through, in order of arrival.
    """

    daemon_threads = True

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.backend = port
        self.requests: list[tuple[str, str, bool]] = []
        self._how = "not"
        self._every = self._times = 1
        self._delay = 0.0
        self._count = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextlib.contextmanager
    def failing(self, how: str, *, every: int = 1, times: int = 1) -> Iterator[None]:
        """Some requests of every so many fail: by `503`, `403`, or `reset` of the connection."""
        self._how, self._every, self._times, self._count = how, every, times, 0
        self.requests.clear()
        try:
            yield
        finally:
            self._how = "not"

    @contextlib.contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    def next_failure(self, method: str, path: str) -> str:
        with self._lock:
            self._count += 1
            fails = self._how != "not" and self._count % self._every < self._times
            self.requests.append((method, path, not fails))
        time.sleep(self._delay)
        return self._how if fails else "not"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy

    def forward(self) -> None:
        failure = self.server.next_failure(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if failure == "reset":
            # Closing with a linger of nothing sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif failure != "not":
            self.answer(int(failure), [], b"")
        else:
            backend = http.client.HTTPConnection("127.0.0.1", self.server.backend)
            backend.request(self.command, self.path, body, dict(self.headers))
            response = backend.getresponse()
            headers, content = response.getheaders(), response.read()
            if "alt=media" in self.path and response.status in (200, 206):
                headers.append(("x-goog-generation", self.generation(backend)))
            self.answer(response.status, headers, content)
            backend.close()

    def generation(self, backend: http.client.HTTPConnection) -> str:
        """What Google's server sends with an object, TensorStore needs, and the emulator lacks."""
        backend.request("GET", self.path.removeprefix("/download").partition("?")[0])
        return json.loads(backend.getresponse().read())["generation"]

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        # The answer to HEAD has the length of what it does not have.
        keeps_length = self.command == "HEAD" and "content-length" in names
        for name, value in headers:
            if name.lower() not in DROPPED or (keeps_length and name.lower() == "content-length"):
                self.send_header(name, value)
        if not keeps_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = forward

    def log_message(self, *_: object) -> None:
        pass
