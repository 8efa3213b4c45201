"""S3 over HTTP/2, negotiated in the TLS handshake or known beforehand; and clients that abuse its streams."""

import asyncio
import hashlib
import os
import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpx
import pytest

from harness import running, seeded_bytes
from test_protocol import head_of, send

MIB = 1024 * 1024
ATTACKERS = 4
STREAMS_EACH = 3000
DEADLINE_S = 180
SLOWEST_S = 20
# Each attacker may have 128 streams at a time, and each of them may have had its first MiB read; and what others take.
MEMORY_BYTES = ATTACKERS * 128 * MIB + 256 * MIB


@pytest.fixture(scope="module", params=[True, False], ids=["tls", "known-beforehand"])
def server(request):
    with running(drives=6, tls=request.param) as server:
        server.boto3().create_bucket(Bucket="http2")
        yield server


def client_of(server, kind=httpx.Client):
    """A client that can do nothing but HTTP/2 where no handshake tells that the server can."""
    context = ssl.create_default_context(cafile=server.certificate) if server.tls else True
    return kind(http1=server.tls, http2=True, verify=context, timeout=DEADLINE_S, trust_env=False)


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def ask(client, server, method, target, headers=(), body=b""):
    """Sends a signed request; whatever the answer, it must have come over HTTP/2."""
    answer = client.request(method, server.endpoint + target, content=body or None,
                            headers=head_of(server, method, target, headers, body))
    assert answer.http_version == "HTTP/2"
    return answer


def test_both_protocols_are_negotiated(server):
    if not server.tls:
        assert send(server, "GET", "/").status == 200
        return
    host, port = server.host.split(":")
    for offered, chosen in [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"), (["http/1.1"], "http/1.1")]:
        context = ssl.create_default_context(cafile=server.certificate)
        context.set_alpn_protocols(offered)
        with socket.create_connection((host, int(port))) as link, context.wrap_socket(link, server_hostname=host) as tls:
            assert tls.selected_alpn_protocol() == chosen, offered


def test_put_get_head_list_and_delete(server, client):
    for length in (0, 1, 70_000, 20 * MIB + 7):
        body, target = seeded_bytes(length, length), f"/http2/a%20b/{length}"
        put = ask(client, server, "PUT", target, {"x-amz-meta-origin": "test"}, body)
        assert put.status_code == 200 and put.headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
        got = ask(client, server, "GET", target)
        assert (got.status_code, got.content, got.headers["x-amz-meta-origin"]) == (200, body, "test")
        head = ask(client, server, "HEAD", target)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(length))
        assert f"<Key>a b/{length}</Key>" in ask(client, server, "GET", "/http2").text
        assert ask(client, server, "DELETE", target).status_code == 204
        assert ask(client, server, "HEAD", target).status_code == 404
        missing = ask(client, server, "GET", target)
        assert missing.status_code == 404 and "<Code>NoSuchKey</Code>" in missing.text


def test_ranges(server, client):
    body = seeded_bytes(2, 3 * MIB + 17)
    ask(client, server, "PUT", "/http2/r", body=body)
    for text, expected in [("bytes=0-0", body[:1]), ("bytes=65535-65537", body[65535:65538]), ("bytes=-5", body[-5:]),
                           ("bytes=1048570-2097160", body[1048570:2097161]), ("bytes=3145740-", body[3145740:])]:
        got = ask(client, server, "GET", "/http2/r", {"Range": text})
        assert got.status_code == 206 and got.content == expected, text
        assert got.headers["content-range"].endswith(f"/{len(body)}")
    beyond = ask(client, server, "GET", "/http2/r", {"Range": "bytes=9999999-"})
    assert beyond.status_code == 416 and "<Code>InvalidRange</Code>" in beyond.text
    assert ask(client, server, "GET", "/http2/r", {"If-None-Match": ask(client, server, "HEAD", "/http2/r").headers["etag"]}).status_code == 304


def test_what_is_refused_leaves_the_connection_to_others(server, client):
    body = seeded_bytes(3, 2 * MIB)
    headers = head_of(server, "PUT", "/http2/refused", (), body)
    for wrong in (b"x" * len(body), b""):
        answer = client.put(f"{server.endpoint}/http2/refused", content=wrong, headers=headers)
        assert answer.http_version == "HTTP/2" and answer.status_code in (400, 403), answer.text
    unsigned = client.get(f"{server.endpoint}/http2/r")
    assert unsigned.status_code == 403 and "<Code>AccessDenied</Code>" in unsigned.text
    assert ask(client, server, "PUT", "/no-such-bucket/k", body=body).status_code == 404
    assert ask(client, server, "HEAD", "/http2/refused").status_code == 404
    assert ask(client, server, "PUT", "/http2/accepted", body=body).status_code == 200
    assert ask(client, server, "GET", "/http2/accepted").content == body


def test_many_requests_share_a_connection(server):
    bodies = {f"/http2/shared-{number}": seeded_bytes(number, 1 + number * 997) for number in range(200)}

    # Threads that share one of its connections number their streams wrong: it is for tasks.
    async def both(client, target):
        body = bodies[target]
        put = await client.put(server.endpoint + target, content=body, headers=head_of(server, "PUT", target, (), body))
        assert put.status_code == 200
        got = await client.get(server.endpoint + target, headers=head_of(server, "GET", target, (), b""))
        assert got.http_version == "HTTP/2"
        return got.content

    async def all_of_them():
        async with client_of(server, httpx.AsyncClient) as client:
            return await asyncio.gather(*(both(client, target) for target in bodies))

    assert asyncio.run(all_of_them()) == list(bodies.values())


class Attacker:
    """A connection that opens streams and resets them before they can be answered."""

    def __init__(self, server):
        host, port = server.host.split(":")
        self.server = server
        self.link = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        if server.tls:
            context = ssl.create_default_context(cafile=server.certificate)
            context.set_alpn_protocols(["h2"])
            self.link = context.wrap_socket(self.link, server_hostname=host)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()
        self.opened = 0

    def flush(self):
        self.link.sendall(self.http.data_to_send())

    def head(self, method, target, body):
        headers = head_of(self.server, method, target, (), body)
        return [(":method", method), (":path", target), (":scheme", "https" if self.server.tls else "http"),
                (":authority", self.server.host), *((name.lower(), value) for name, value in headers.items())]

    def run(self, heads, with_data):
        """Until it has opened its streams, or the server has had enough of it."""
        try:
            for _ in range(STREAMS_EACH):
                stream = self.http.get_next_available_stream_id()
                self.http.send_headers(stream, heads[self.opened % len(heads)], end_stream=not with_data)
                if with_data:
                    self.http.send_data(stream, b"a part of it")
                self.http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                self.opened += 1
                if self.opened % 20 == 0:
                    self.flush()
                    self.take()
            self.flush()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.link.close()

    def take(self):
        """Takes what has come, so that the server is not held up by its answers."""
        self.link.settimeout(0.001)
        try:
            data = self.link.recv(1 << 20)
            if not data:
                raise ConnectionError("closed")
            for event in self.http.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise ConnectionError("told to go away")
        except (TimeoutError, ssl.SSLWantReadError):
            pass
        finally:
            self.link.settimeout(DEADLINE_S)


def memory_bytes(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_streams_that_are_opened_and_reset_harm_nobody(server, client, method):
    """The "rapid reset" attack: each stream costs the client a few bytes, and the server a request."""
    body = seeded_bytes(4, 4 * MIB)
    ask(client, server, "PUT", "/http2/large", body=body)
    before, open_before = memory_bytes(server), descriptors(server)
    attackers = [Attacker(server) for _ in range(ATTACKERS)]
    targets = ["/http2/large"] if method == "GET" else [f"/http2/attack-{number}" for number in range(20)]
    heads = [attackers[0].head(method, target, b"" if method == "GET" else b"a part of it and the rest") for target in targets]
    threads = [threading.Thread(target=attacker.run, args=(heads, method == "PUT")) for attacker in attackers]
    for thread in threads:
        thread.start()
    slowest, rounds, started = 0.0, 0, time.monotonic()
    while any(thread.is_alive() for thread in threads) or rounds < 5:
        began = time.monotonic()
        assert ask(client, server, "PUT", "/http2/victim", body=body[:50_000]).status_code == 200
        assert ask(client, server, "GET", "/http2/large").content == body
        assert send(server, "GET", "/http2/victim").body == body[:50_000]
        slowest, rounds = max(slowest, time.monotonic() - began), rounds + 1
        assert began - started < DEADLINE_S, "the attack does not end"
    for thread in threads:
        thread.join()
    assert slowest < SLOWEST_S, f"others waited for {slowest} s"
    assert all(attacker.opened > 60 for attacker in attackers), "nobody attacked"
    assert memory_bytes(server) - before < MEMORY_BYTES
    found = {item["Key"] for item in server.boto3().list_objects_v2(Bucket="http2").get("Contents", [])}
    assert not [key for key in found if key.startswith("attack")], "what was reset is stored"
    deadline = time.monotonic() + DEADLINE_S
    while descriptors(server) > open_before + 3:
        assert time.monotonic() < deadline, "connections of attackers stay open"
        time.sleep(0.1)
