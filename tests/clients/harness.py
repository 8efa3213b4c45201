"""The real binary as a child process, for the client tests."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pty
import random
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import time
import urllib.request
from pathlib import Path

ACCESS_KEY = "GRANARYTESTACCESSKEY"
SECRET_KEY = "granary-test-secret-key-0123456789"
REGION = "us-east-1"
START_DEADLINE_S = 120
STOP_DEADLINE_S = 120


def binary() -> Path:
    """The server's binary, from GRANARY_TEST_BINARY or the dev profile's target directory."""
    default = Path(__file__).parents[2] / "target" / "debug" / "granary"
    path = Path(os.environ.get("GRANARY_TEST_BINARY", default))
    assert path.exists(), f"{path} is missing; run `cargo xtask clients`"
    return path


def take_port() -> tuple[int, socket.socket]:
    """A port that nobody else is given while the name that comes with it is held, across restarts of who listens on it.

    The kernel chooses from those above, and the tests in Rust hold the same names (`tests/bench/src/ports.rs`).
    """
    first, count = 12_000, 20_000
    start = random.SystemRandom().randrange(count)
    for step in range(count):
        port = first + (start + step) % count
        held, probe = socket.socket(socket.AF_UNIX), socket.socket()
        # As the server does: what was connected to another a moment ago is not in its way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(f"\0granary-test-port-{port}")
            with probe:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            return port, held
        except OSError as error:
            held.close()
            probe.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("no port is left")


class Server:
    """A server with its own directories; `start`, `stop`, `kill`, `start` again."""

    def __init__(self, root: Path, drives: int = 1, tls: bool = False, settings: dict | None = None,
                 hdds: int | None = None):
        self.root = root
        self.tls = tls
        self.settings = settings or {}
        # The last so many drives are said to be disks, and the others SSDs; without it nothing is said of them.
        self.hdds = hdds
        self.port, self._port_name = take_port()
        self.drives = [root / f"d{number + 1}" for number in range(drives)]
        for drive in self.drives:
            drive.mkdir(parents=True, exist_ok=True)
        self.log_path = root / "server.log"
        self.certificate = root / "cert.pem"
        self.key = root / "key.pem"
        self.process = None
        if tls:
            self._make_certificate()

    def _make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-keyout", self.key, "-out", self.certificate, "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"],
            check=True, capture_output=True,
        )

    @property
    def endpoint(self) -> str:
        # A name, because some TLS clients do not verify IP addresses.
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return self.endpoint.split("//")[1]

    def start(self):
        command = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}"]
        for number, drive in enumerate(self.drives):
            told = "hdd:" if number >= len(self.drives) - (self.hdds or 0) else "ssd:"
            command += ["--data", drive if self.hdds is None else f"{told}{drive}"]
        if self.tls:
            command += ["--tls-cert", self.certificate, "--tls-key", self.key]
        env = dict(os.environ, GRANARY_ROOT_ACCESS_KEY=ACCESS_KEY, GRANARY_ROOT_SECRET_KEY=SECRET_KEY,
                   GRANARY_DOMAIN="localhost", **self.settings)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_ready()
        return self

    def _wait_ready(self):
        deadline = time.monotonic() + START_DEADLINE_S
        context = ssl.create_default_context(cafile=self.certificate) if self.tls else None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the server exited: {self.log_tail()}"
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"{self.endpoint}/health/ready", timeout=5, context=context) as answer:
                    if answer.status == 200:
                        return
            time.sleep(0.02)
        raise AssertionError(f"the server was not ready in {START_DEADLINE_S} s: {self.log_tail()}")

    def kill(self):
        """SIGKILL: a crash of the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM, and a clean exit."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=STOP_DEADLINE_S)
        self.process = None
        assert code == 0, f"the server ended with {code} on SIGTERM: {self.log_tail()}"

    def admin(self, *words) -> str:
        """Runs another subcommand of the binary against this server."""
        return run([binary(), *words], env=self.admin_env())

    def admin_env(self) -> dict:
        """The environment that points other subcommands of the binary at this server."""
        env = dict(os.environ, GRANARY_ROOT_ACCESS_KEY=ACCESS_KEY, GRANARY_ROOT_SECRET_KEY=SECRET_KEY,
                   GRANARY_ENDPOINT=self.endpoint)
        if self.tls:
            env["GRANARY_CA_CERT"] = str(self.certificate)
        return env

    def log_tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join(lines[-60:])

    def stored_bytes(self) -> int:
        """What the drives really take on disk."""
        total = 0
        for drive in self.drives:
            for directory, _, names in os.walk(drive):
                for name in names:
                    # Compaction may remove a file between the listing and the look.
                    with contextlib.suppress(FileNotFoundError):
                        total += os.stat(os.path.join(directory, name)).st_blocks * 512
        return total

    def client_env(self) -> dict:
        """The environment that points any AWS-configured client at this server."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env.update(
            AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_DEFAULT_REGION=REGION,
            AWS_REGION=REGION, AWS_ENDPOINT_URL=self.endpoint, AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=str(self.root / "no-aws-config"), AWS_MAX_ATTEMPTS="1",
            AWS_SHARED_CREDENTIALS_FILE=str(self.root / "no-aws-credentials"), AWS_PAGER="",
        )
        if self.tls:
            env.update(AWS_CA_BUNDLE=str(self.certificate), SSL_CERT_FILE=str(self.certificate))
        return env

    def boto3(self, **config):
        """A boto3 client that retries nothing, so that a test sees every failure."""
        import boto3
        from botocore.config import Config

        config.setdefault("retries", {"total_max_attempts": 1})
        config.setdefault("s3", {"addressing_style": "path"})
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name=REGION, verify=str(self.certificate) if self.tls else None, config=Config(**config),
        )


def run(command, env, cwd=None, timeout_s=600) -> str:
    """Runs a client program; returns what it printed, and shows everything if it fails."""
    done = subprocess.run(
        [str(word) for word in command], env=env, cwd=cwd, timeout=timeout_s, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_at_a_terminal(command, env, timeout_s=180) -> str:
    """Runs a program whose standard error is a terminal; returns what that shows, when it has ended well."""
    leader, terminal = pty.openpty()
    # Rows and columns: a terminal without a width shows no bar.
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    shown = b""
    with subprocess.Popen([str(word) for word in command], env={**env, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=terminal) as process:
        os.close(terminal)
        deadline = time.monotonic() + timeout_s
        # The leader says EIO when nobody holds the other end any more.
        with contextlib.suppress(OSError):
            while select.select([leader], [], [], max(0, deadline - time.monotonic()))[0]:
                shown += os.read(leader, 65536)
        if time.monotonic() >= deadline:
            process.kill()
        code = process.wait()
    os.close(leader)
    assert code == 0, f"{command} ended with {code}\n{shown.decode(errors='replace')}"
    return shown.decode()


def program(name: str) -> str:
    """The path of a client program; its absence is a failure."""
    path = shutil.which(name)
    assert path, f"{name} is missing; run `cargo xtask clients`"
    return path


def refusal(call, **parameters) -> tuple:
    """The status and the code that a call of a boto3 client is refused with."""
    from botocore.exceptions import ClientError

    try:
        call(**parameters)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError(f"{call} was not refused: {parameters}")


def seeded_bytes(seed: int, length: int) -> bytes:
    """Incompressible bytes that a seed determines."""
    return hashlib.shake_128(f"granary {seed}".encode()).digest(length)


def scratch_root() -> Path:
    return Path(tempfile.mkdtemp(prefix="granary-clients-"))


@contextlib.contextmanager
def running(**options):
    """A server on drives of its own, which go with it; the options are those of `Server`."""
    root = scratch_root()
    server = Server(root, **options)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
