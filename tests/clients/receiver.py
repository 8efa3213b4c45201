"""A target of notifications: takes messages, checks their signatures, and answers as it is told."""

import hashlib
import hmac
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

from harness import take_port

SECRET = "a-secret-of-the-receiver-0123456789"


def certificates(root):
    """An authority, and the certificate and key of `localhost` that it signed."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "extensions").write_text("basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
    request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    for command in (
        [*request, "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"],
        [*request, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost"],
        ["openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-extfile", "extensions", "-out", "cert.pem"],
    ):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root / "ca.pem", (root / "cert.pem", root / "key.pem")


class Receiver:
    """Listens on a port of its own from `start` on; `stop` frees it, and `start` takes it again."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.status = 200
        self.headers = {}
        self.delay_s = 0
        self.messages = []
        self.wrong = []
        self.paths = []
        self.tls = tls
        self.host = host
        self.port, self._port_name = take_port()
        self.server = None

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(self.path, self.headers, body)
                time.sleep(receiver.delay_s)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((self.host, self.port), Handler)
        self.server.daemon_threads = True
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def take(self, path, headers, body):
        self.paths.append(path)
        signed = headers["x-granary-timestamp"].encode() + b"." + body
        expected = "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        is_now = abs(time.time() - int(headers["x-granary-timestamp"])) < 60
        if headers["x-granary-signature"] != expected or not is_now or headers["Content-Type"] != "application/json":
            self.wrong.append((dict(headers), body))
            return
        if self.status < 300:
            self.messages.append((headers["x-granary-event-id"], json.loads(body)))

    def records(self):
        """What came, each once, without the tests of the target."""
        assert not self.wrong, self.wrong
        by_id = {event_id: message for event_id, message in self.messages}
        return [record for message in by_id.values() for record in message.get("Records", [])]

    def wait(self, done, deadline_s=120):
        """Waits until what came is enough."""
        end = time.monotonic() + deadline_s
        while not done(self.records()):
            assert time.monotonic() < end, f"not enough in {deadline_s} s: {len(self.records())} records: {self.records()[-3:]}"
            time.sleep(0.02)
        return self.records()

    @property
    def url(self):
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{'localhost' if self.tls else self.host}:{self.port}/events?from=granary"


def settings(root, private=True, **targets):
    """The settings of a server that may send to these targets, each a receiver or a URL."""
    secrets = root / "notify-secrets"
    secrets.write_text("".join(f"{name.replace('_', '-')}={SECRET}\n" for name in targets))
    os.chmod(secrets, 0o600)
    urls = (f"{name.replace('_', '-')}={getattr(target, 'url', target)}" for name, target in targets.items())
    return {"GRANARY_NOTIFY": ",".join(urls), "GRANARY_NOTIFY_SECRET_FILE": str(secrets),
            "GRANARY_NOTIFY_ALLOW_PRIVATE": "true" if private else "false"}
