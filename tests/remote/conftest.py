"""Object stores of this machine: real servers, each behind a proxy that fails when it is told to."""

import dataclasses
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import fsspec
import pytest
from flaky_proxy import FlakyProxy

from pruning import object_stores
from pruning.object_stores import objects_below
from pruning.run_costs import COSTS

# What the tests of each store need: its client and a server.
NEEDS = {"s3": ("s3fs", "moto", "flask"), "gs": ("gcsfs", "gcp_storage_emulator")}
BUCKET = "corpora"


@dataclasses.dataclass(frozen=True)
class Store:
    scheme: str
    proxy: FlakyProxy
    root: str  # a URL of this test's own

    @property
    def fs(self):
        return fsspec.core.url_to_fs(self.root)[0]

    def put(self, folder):
        """Copies a local folder into the store."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{self.root}/{folder.name}/{path.relative_to(folder).as_posix()}"
                self.fs.pipe_file(name, path.read_bytes())
        return f"{self.root}/{folder.name}"

    def tree(self, url):
        """Every object below a URL with its bytes, but for what runs cost."""
        names = [name for name in objects_below(url) if COSTS not in name.split("/")]
        return {name: self.fs.cat_file(f"{url}/{name}") for name in names}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def server_command(scheme, port):
    if scheme == "s3":
        return ["moto.server", "--host", "127.0.0.1", "--port", str(port)]
    # The bucket is made by its own option: gcsfs asks for a project to make one in.
    return [
        *("gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port)),
        *("--in-memory", "--default-bucket", BUCKET),
    ]


@pytest.fixture(scope="session", params=["s3", "gs"])
def server(request):
    scheme = request.param
    for package in NEEDS[scheme]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{scheme}:// needs the package {package}")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *server_command(scheme, port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (
                "the server does not come"
            )
            time.sleep(0.05)
    if scheme == "s3":
        make = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
        urllib.request.urlopen(make).close()
    proxy = FlakyProxy(port)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "STORAGE_EMULATOR_HOST": proxy.url,
            "TENSORSTORE_GCS_HTTP_URL": proxy.url,
            "EPATH_USE_TF": "false",
        }.items():
            patch.setenv(name, value)
        object_stores.use_object_stores()
        yield scheme, proxy
    proxy.shutdown()
    process.kill()
    process.wait()


@pytest.fixture
def store(server, request, monkeypatch):
    scheme, proxy = server
    monkeypatch.setattr(object_stores, "_said", set())
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return Store(scheme, proxy, f"{scheme}://{BUCKET}/{name}-{os.getpid()}")
