"""Servers for the client tests: plain and TLS, one drive and six (4+2)."""

import itertools
import shutil

import pytest

from harness import Server, running, scratch_root

LAYOUTS = {"one-drive": (1, False), "six-drives": (6, False), "six-drives-tls": (6, True)}
_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=LAYOUTS)
def server(request):
    """A running server in every layout, shared by the tests of a session."""
    drives, tls = LAYOUTS[request.param]
    with running(drives=drives, tls=tls) as server:
        yield server


@pytest.fixture
def fresh_server():
    """A six-drive server of the test's own, which the test may kill and restart; it reclaims eagerly."""
    root = scratch_root()
    eager = {"GRANARY_GRACE_MS": "1000", "GRANARY_MAINTENANCE_INTERVAL_MS": "200"}
    server = Server(root, drives=6, settings=eager).start()
    yield server
    server.kill()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def bucket(server):
    """A new bucket with a name of its own."""
    name = f"bucket-{next(_numbers)}"
    server.boto3().create_bucket(Bucket=name)
    return name


@pytest.fixture
def source(bucket):
    """The bucket that something is told of."""
    return bucket


@pytest.fixture
def target(server, source):
    """The bucket it is told in."""
    name = f"{source}-target"
    server.boto3().create_bucket(Bucket=name)
    return name


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the server's last lines to a failure."""
    outcome = yield
    report = outcome.get_result()
    for name in ("server", "fresh_server"):
        server = getattr(item, "funcargs", {}).get(name)
        if report.failed and server is not None:
            report.sections.append(("server log", server.log_tail()))
