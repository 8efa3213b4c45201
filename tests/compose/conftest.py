"""The cluster of docker-compose.yml, running: its S3 endpoints, and compose commands on it."""

import json
import os
import shlex
import subprocess
import time

import boto3
import botocore.config
import pytest

NODES = range(1, 7)


class Cluster:
    """Six nodes in containers; every one takes every request."""

    def compose(self, *args: str) -> str:
        line = shlex.split(os.environ["GRANARY_COMPOSE"]) + list(args)
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
        return done.stdout

    def granary(self, node: int, *args: str):
        """A command of the program in a node's container; what it prints as JSON, or None for nothing."""
        printed = self.compose("exec", "-T", f"node{node}", "granary", "--json", *args)
        return json.loads(printed) if printed.strip() else None

    def remove_volume(self, name: str) -> None:
        line = shlex.split(os.environ["GRANARY_COMPOSE"])
        project = line[line.index("--project-name") + 1]
        subprocess.run(["docker", "volume", "rm", f"{project}_{name}"], check=True, timeout=60)

    def is_complete(self) -> bool:
        """Whether every volume in use lies with full parity on drives that the nodes have now."""
        drives = {
            drive["id"] for node in NODES for drive in self.granary(node, "drive", "list") if drive["state"] == "online"
        }
        volumes = [v for v in self.granary(1, "volume", "list") if v["state"] != "freed"]
        return all(v["erasure"].endswith("+2") and drives.issuperset(v["drives"]) for v in volumes)

    def endpoint(self, node: int) -> str:
        return f"http://127.0.0.1:{9000 + node}"

    def s3(self, node: int):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint(node),
            region_name="us-east-1",
            aws_access_key_id=os.environ["GRANARY_ROOT_ACCESS_KEY"],
            aws_secret_access_key=os.environ["GRANARY_ROOT_SECRET_KEY"],
            config=botocore.config.Config(retries={"total_max_attempts": 10, "mode": "standard"}),
        )

    def wait_serving(self, node: int) -> None:
        self.wait(f"node {node} serves", lambda: self.s3(node).list_buckets())

    def wait(self, what: str, passes, timeout_seconds: float = 120) -> None:
        """Waits until `passes()` is true; an exception counts as not yet."""
        deadline = time.monotonic() + timeout_seconds
        last = None
        while time.monotonic() < deadline:
            try:
                if passes():
                    return
            except Exception as error:  # whatever a node that starts may answer
                last = error
            time.sleep(1)
        raise AssertionError(f"not in {timeout_seconds} s: {what}; last error: {last}")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    cluster = Cluster()
    for node in NODES:
        cluster.wait_serving(node)
    return cluster
