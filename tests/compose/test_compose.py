"""`docker compose up`, then real clients: any node takes any request, and two may be lost."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from conftest import NODES

KEYS = 60


def body(n: int) -> bytes:
    """Something else for each key, of 1 KiB to 4 MiB."""
    size = 1024 if n % 10 else 4 * 1024 * 1024
    return hashlib.sha256(str(n).encode()).digest() * (size // 32)


def check_all(s3) -> None:
    for n in range(KEYS):
        assert s3.get_object(Bucket="corpus", Key=f"k/{n}")["Body"].read() == body(n), n


def test_every_node_takes_every_request_and_two_may_be_lost(cluster):
    cluster.s3(1).create_bucket(Bucket="corpus")
    for n in range(KEYS):
        cluster.s3(1 + n % 6).put_object(Bucket="corpus", Key=f"k/{n}", Body=body(n))
    for node in NODES:
        listed = cluster.s3(node).list_objects_v2(Bucket="corpus")
        assert listed["KeyCount"] == KEYS
        check_all(cluster.s3(node))

    cluster.compose("kill", "--signal", "SIGKILL", "node2", "node5")
    check_all(cluster.s3(1))
    cluster.s3(3).put_object(Bucket="corpus", Key="while-two-are-lost", Body=b"written")
    assert cluster.s3(6).get_object(Bucket="corpus", Key="while-two-are-lost")["Body"].read() == b"written"

    cluster.compose("start", "node2", "node5")
    for node in (2, 5):
        cluster.wait(f"node {node} is back", lambda node=node: cluster.s3(node).list_buckets())
        check_all(cluster.s3(node))


def test_aws_cli_syncs_a_tree_through_one_node_and_back_through_another(cluster, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    for n in range(200):
        path = source / f"d{n % 7}" / f"f{n}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body(n))

    def aws(node: int, *args: str) -> None:
        program = Path(sys.executable).with_name("aws")
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": os.environ["GRANARY_ROOT_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": os.environ["GRANARY_ROOT_SECRET_KEY"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": cluster.endpoint(node),
        }
        subprocess.run([program, *args, "--only-show-errors"], check=True, env=environment, timeout=300)

    cluster.s3(4).create_bucket(Bucket="tree")
    aws(4, "s3", "sync", str(source), "s3://tree/")
    aws(6, "s3", "sync", "s3://tree/", str(back))
    for n in range(200):
        assert (back / f"d{n % 7}" / f"f{n}").read_bytes() == body(n)
