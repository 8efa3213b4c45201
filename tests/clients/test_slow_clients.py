"""Clients that send a few bytes at a time, stall, or are still sending when the server is told to stop: what docs/limits.md says
of them."""

import pathlib
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from harness import running, seeded_bytes
from test_protocol import head_of, send

STALL_S = 4.0
# Well below what is a stall, so that a busy machine makes no stall of it.
PAUSE_S = 0.25
SETTINGS = {"GRANARY_STALL_TIMEOUT_MS": str(int(STALL_S * 1000)), "GRANARY_HEADER_TIMEOUT_MS": "2000",
            "GRANARY_FIRST_BYTE_TIMEOUT_MS": "2000"}
DEADLINE_S = 60
TRICKLING = 150
MEMORY_EACH_BYTES = 2 * 1024 * 1024
MIB = 1024 * 1024


@pytest.fixture(scope="module", params=[False, True], ids=["http", "tls"])
def impatient(request):
    """A server that takes four seconds without a byte for a stall."""
    with running(drives=6, tls=request.param, settings=SETTINGS) as server:
        server.boto3().create_bucket(Bucket="slow")
        yield server


@contextmanager
def connected(server):
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as link:
        if server.tls:
            context = ssl.create_default_context(cafile=server.certificate)
            with context.wrap_socket(link, server_hostname=host) as wrapped:
                yield wrapped
        else:
            yield link


def head_bytes(server, method, target, headers):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {server.host}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def put_head(server, key, body, more=None):
    """The head of a put of that body."""
    target = f"/slow/{key}"
    headers = head_of(server, "PUT", target, {"Content-Length": str(len(body))}, body)
    return head_bytes(server, "PUT", target, headers | (more or {}))


def begin(link, server, key, body):
    """Sends the head of a put of that body; the server has begun with it then."""
    link.sendall(put_head(server, key, body, {"Expect": "100-continue"}))
    assert link.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"


def received(link):
    """All that comes until the server closes."""
    data = b""
    try:
        while piece := link.recv(65536):
            data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def status_of(link):
    return link.recv(65536).split(b" ")[1].decode()


def keys(server):
    return [item["Key"] for item in server.boto3().list_objects_v2(Bucket="slow").get("Contents", [])]


def empty(server):
    for key in keys(server):
        server.boto3().delete_object(Bucket="slow", Key=key)


def test_a_body_that_trickles_and_never_stalls_is_served(impatient):
    body = seeded_bytes(1, 112)
    with connected(impatient) as link:
        link.sendall(put_head(impatient, "trickled", body))
        began = time.monotonic()
        for start in range(0, len(body), 4):
            time.sleep(PAUSE_S)
            link.sendall(body[start: start + 4])
        assert time.monotonic() - began > 1.5 * STALL_S, "all of it took longer than a stall"
        assert status_of(link) == "200"
    assert impatient.boto3().get_object(Bucket="slow", Key="trickled")["Body"].read() == body
    empty(impatient)


@pytest.mark.parametrize("length", [1000, 8 * MIB], ids=["small", "large"])
def test_a_body_that_trickles_and_then_stalls_is_refused_and_not_stored(impatient, length):
    body = seeded_bytes(2, length)
    with connected(impatient) as link:
        link.sendall(put_head(impatient, "stalled", body))
        link.sendall(body[: length // 2])
        for start in range(length // 2, length // 2 + 12, 4):
            time.sleep(PAUSE_S)
            link.sendall(body[start: start + 4])
        began = time.monotonic()
        answer = received(link)
        assert STALL_S / 2 < time.monotonic() - began < DEADLINE_S
        assert answer.startswith(b"HTTP/1.1 400 ") and b"<Code>RequestTimeout</Code>" in answer, answer
    assert keys(impatient) == []


def test_a_body_that_trickles_and_hangs_up_is_not_stored(impatient):
    body = seeded_bytes(3, 1000)
    with connected(impatient) as link:
        link.sendall(put_head(impatient, "gone", body))
        for start in range(0, 12, 4):
            time.sleep(PAUSE_S)
            link.sendall(body[start: start + 4])
    time.sleep(PAUSE_S)
    assert keys(impatient) == []


def test_a_trickled_body_that_is_not_what_was_signed_is_not_stored(impatient):
    body = seeded_bytes(4, 12)
    with connected(impatient) as link:
        link.sendall(put_head(impatient, "other", body))
        for start in range(0, len(body), 4):
            time.sleep(PAUSE_S)
            link.sendall(b"else")
        assert status_of(link) == "400"
    assert keys(impatient) == []


def test_a_head_that_trickles_is_not_waited_for(impatient):
    """Its time is for all of it: a head is small, and nobody has signed anything yet."""
    with connected(impatient) as link:
        began = time.monotonic()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            for byte in put_head(impatient, "never", b"x" * 10):
                link.sendall(bytes([byte]))
                time.sleep(PAUSE_S)
                assert time.monotonic() - began < DEADLINE_S, "a trickling head is waited for"
        assert time.monotonic() - began < DEADLINE_S
    assert keys(impatient) == []


def memory_bytes(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@contextmanager
def trickling(links, pause_s):
    """Sends a few bytes on each of them now and then, until it ends."""
    ended = threading.Event()

    def trickle():
        while not ended.wait(pause_s):
            for link in links:
                with suppress(OSError):
                    link.sendall(b"abc")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("length", [100_000, 64 * MIB], ids=["small", "large"])
def test_many_bodies_that_trickle_take_bounded_memory_and_hold_up_nobody(impatient, length):
    s3 = impatient.boto3()
    s3.put_object(Bucket="slow", Key="served", Body=b"x" * 1000)
    before = memory_bytes(impatient)
    with ExitStack() as stack:
        links = [stack.enter_context(connected(impatient)) for _ in range(TRICKLING)]
        for number, link in enumerate(links):
            target = f"/slow/trickle-{number}"
            headers = head_of(impatient, "PUT", target, {"Content-Length": str(length)}, b"y")
            link.sendall(head_bytes(impatient, "PUT", target, headers))
        slowest = 0.0
        with trickling(links, PAUSE_S):
            for _ in range(6):
                began = time.monotonic()
                s3.put_object(Bucket="slow", Key="served", Body=b"y" * 1000)
                assert s3.get_object(Bucket="slow", Key="served")["Body"].read() == b"y" * 1000
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(PAUSE_S)
        # None of them ends by itself before that.
        assert slowest < DEADLINE_S / 2, f"others waited for {slowest} s"
        grown = memory_bytes(impatient) - before
        assert grown < TRICKLING * MEMORY_EACH_BYTES, f"{grown >> 20} MiB for {TRICKLING} bodies of a few bytes"
        assert keys(impatient) == ["served"]
    empty(impatient)


def test_parts_that_trickle_do_not_use_up_the_memory_of_large_uploads():
    """Each part that has begun holds a stripe of the memory that all share; as many as there is room for would hold up all others."""
    parts = 140
    with running(drives=6) as server, ExitStack() as stack:
        s3 = server.boto3(read_timeout=120)
        s3.create_bucket(Bucket="slow")
        upload = s3.create_multipart_upload(Bucket="slow", Key="parts")["UploadId"]
        links = [stack.enter_context(connected(server)) for _ in range(parts)]
        for number, link in enumerate(links, 1):
            target = f"/slow/parts?partNumber={number}&uploadId={upload}"
            headers = head_of(server, "PUT", target, {"Content-Length": str(8 * MIB)}, b"y")
            link.sendall(head_bytes(server, "PUT", target, headers))

        with trickling(links, 1):
            time.sleep(3)
            body, began = seeded_bytes(9, 8 * MIB), time.monotonic()
            s3.put_object(Bucket="slow", Key="large", Body=body)
            assert time.monotonic() - began < 60, "a large upload waited for slow ones"
            assert s3.get_object(Bucket="slow", Key="large")["Body"].read() == body
        assert "Parts" not in s3.list_parts(Bucket="slow", Key="parts", UploadId=upload)


def test_who_is_refused_before_the_body_need_not_send_it(impatient):
    body = b"x" * 10_000_000
    target = "/no-such-bucket/k"
    headers = head_of(impatient, "PUT", target, {"Content-Length": str(len(body))}, body)
    with connected(impatient) as link:
        link.sendall(head_bytes(impatient, "PUT", target, headers))
        assert status_of(link) == "404"


@pytest.fixture(params=[False, True], ids=["http", "tls"])
def stopping(request):
    """A server of the test's own, to be stopped while it is at work."""
    with running(drives=6, tls=request.param, settings={"GRANARY_DRAIN_TIMEOUT_MS": "60000"}) as server:
        server.boto3().create_bucket(Bucket="slow")
        yield server


@contextmanager
def stop_of(server):
    """Sends SIGTERM, goes on once new connections are refused, and waits for the clean exit at the end."""
    process, failures = server.process, []

    def stop():
        try:
            server.stop()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    stopper = threading.Thread(target=stop)
    stopper.start()
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with connected(server):
                time.sleep(0.02)
        except OSError:
            break
        assert time.monotonic() < deadline, "a server that stops still takes connections"
    yield process
    stopper.join()
    if failures:
        raise failures[0]


def test_sigterm_lets_an_upload_finish(stopping):
    small, large = seeded_bytes(5, 100_000), seeded_bytes(6, 24 * MIB)
    s3 = stopping.boto3()
    upload = s3.create_multipart_upload(Bucket="slow", Key="parts")["UploadId"]
    bodies = {"small": small, "large": large, f"parts?partNumber=1&uploadId={upload}": large}
    with ExitStack() as stack:
        links = {key: stack.enter_context(connected(stopping)) for key in bodies}
        for key, link in links.items():
            # The server must have begun with them, or it would be right to close their connections.
            begin(link, stopping, key, bodies[key])
            link.sendall(bodies[key][:50_000])
        with stop_of(stopping) as process:
            for step in range(8):
                assert process.poll() is None, "the process ended before its uploads"
                for key, link in links.items():
                    rest = bodies[key][50_000:]
                    link.sendall(rest[len(rest) * step // 8: len(rest) * (step + 1) // 8])
                time.sleep(0.2)
            for key, link in links.items():
                answer = link.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200 "), (key, answer)
                assert received(link) == b"", "the connection ends with its answer"
    stopping.start()
    s3 = stopping.boto3()
    for key in ("small", "large"):
        assert s3.get_object(Bucket="slow", Key=key)["Body"].read() == bodies[key]
    parts = s3.list_parts(Bucket="slow", Key="parts", UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, len(large))]
    assert "drain timeout" not in stopping.log_tail()


def kernel_buffers_bytes():
    """What a server may have sent and no client has taken yet."""
    limits = [pathlib.Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split() for way in "rw"]
    return sum(int(most) for _, _, most in limits)


def test_sigterm_lets_a_download_finish(stopping):
    # Twice what the kernel may hold: half of it is still to be sent when the signal comes.
    body = seeded_bytes(7, max(48 * MIB, 2 * kernel_buffers_bytes()))
    stopping.boto3().put_object(Bucket="slow", Key="k", Body=body)
    got = stopping.boto3().get_object(Bucket="slow", Key="k")["Body"]
    read = got.read(MIB)
    with stop_of(stopping) as process:
        while piece := got.read(4 * MIB):
            read += piece
            time.sleep(0.05)
            assert process.poll() is None or len(read) >= len(body) - kernel_buffers_bytes()
    assert read == body


def test_sigterm_closes_connections_that_wait_for_nothing(stopping):
    with connected(stopping) as idle, connected(stopping):
        idle.sendall(put_head(stopping, "k", b"x") + b"x")
        assert status_of(idle) == "200"
        began = time.monotonic()
        stopping.stop()
        assert time.monotonic() - began < 40, "idle connections were waited for"
        assert received(idle) == b""


def test_an_upload_that_outlasts_the_drain_is_cut_off_and_not_stored():
    with running(drives=2, settings={"GRANARY_DRAIN_TIMEOUT_MS": "1000"}) as server:
        server.boto3().create_bucket(Bucket="slow")
        body = seeded_bytes(8, 8 * MIB)
        with connected(server) as link:
            begin(link, server, "cut", body)
            link.sendall(body[: 4 * MIB])
            began = time.monotonic()
            server.stop()
            assert 0.5 < time.monotonic() - began < DEADLINE_S
            assert received(link) == b""
        server.start()
        assert keys(server) == []
        assert send(server, "GET", "/slow/cut").outcome == (404, "NoSuchKey")
