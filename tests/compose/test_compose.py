"""`docker compose up`, then real clients: any node takes any request, and two may be lost."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import NODES

KEYS = 60


def body(n: int) -> bytes:
    """Something else for each key, of 1 KiB to 4 MiB."""
    size = 1024 if n % 10 else 4 * 1024 * 1024
    return hashlib.sha256(str(n).encode()).digest() * (size // 32)


def put_all(cluster, bucket: str) -> None:
    """Makes the bucket and fills it, through all nodes in turn."""
    cluster.s3(1).create_bucket(Bucket=bucket)
    for n in range(KEYS):
        cluster.s3(1 + n % 6).put_object(Bucket=bucket, Key=f"k/{n}", Body=body(n))


def check_all(s3, bucket: str) -> None:
    """What `put_all` wrote is listed and reads as it was written."""
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="k/")
    assert listed["KeyCount"] == KEYS
    for n in range(KEYS):
        assert s3.get_object(Bucket=bucket, Key=f"k/{n}")["Body"].read() == body(n), n


def test_every_node_takes_every_request_and_two_may_be_lost(cluster):
    put_all(cluster, "corpus")
    for node in NODES:
        check_all(cluster.s3(node), "corpus")

    cluster.compose("kill", "--signal", "SIGKILL", "node2", "node5")
    check_all(cluster.s3(1), "corpus")
    cluster.s3(3).put_object(Bucket="corpus", Key="while-two-are-lost", Body=b"written")
    assert cluster.s3(6).get_object(Bucket="corpus", Key="while-two-are-lost")["Body"].read() == b"written"

    cluster.compose("start", "node2", "node5")
    for node in (2, 5):
        cluster.wait_serving(node)
        check_all(cluster.s3(node), "corpus")


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


def test_a_killed_database_and_a_node_restarted_meanwhile_come_back_by_themselves(cluster):
    cluster.s3(1).create_bucket(Bucket="database")
    cluster.s3(1).put_object(Bucket="database", Key="before", Body=b"before")
    cluster.compose("kill", "--signal", "SIGKILL", "postgres")
    # Longer than a node waits for its database at start: it ends and is started again.
    cluster.compose("restart", "--timeout", "5", "node3")
    time.sleep(20)
    cluster.compose("start", "postgres")
    for node in NODES:
        cluster.wait_serving(node)
        assert cluster.s3(node).get_object(Bucket="database", Key="before")["Body"].read() == b"before"
    cluster.s3(3).put_object(Bucket="database", Key="after", Body=b"after")
    assert cluster.s3(4).get_object(Bucket="database", Key="after")["Body"].read() == b"after"


def test_everything_killed_and_started_nodes_first_loses_nothing(cluster):
    put_all(cluster, "order")
    cluster.compose("kill", "--signal", "SIGKILL")
    cluster.compose("up", "--detach", "--no-build", "--no-deps", *(f"node{node}" for node in reversed(NODES)))
    time.sleep(20)
    cluster.compose("up", "--detach", "--no-build")
    for node in NODES:
        cluster.wait_serving(node)
    check_all(cluster.s3(2), "order")


def test_down_and_up_keeps_all_data(cluster):
    put_all(cluster, "kept")
    cluster.compose("down")
    cluster.compose("up", "--detach", "--no-build")
    for node in NODES:
        cluster.wait_serving(node)
        check_all(cluster.s3(node), "kept")


def test_a_node_that_lost_its_volume_joins_anew_and_the_lost_one_is_removed(cluster):
    put_all(cluster, "replaced")
    old = {node["id"] for node in cluster.granary(1, "node", "list")}
    cluster.compose("rm", "--stop", "--force", "node4")
    cluster.remove_volume("node4")
    cluster.compose("up", "--detach", "--no-build", "node4")
    cluster.wait_serving(4)

    def lost() -> list[str]:
        nodes = cluster.granary(1, "node", "list")
        return [node["id"] for node in nodes if node["id"] in old and node["state"] == "dead"]

    cluster.wait("the lost node counts as dead", lambda: len(lost()) == 1)
    cluster.granary(1, "node", "remove", lost()[0])
    cluster.wait("every volume has 4+2 columns on the drives there are", cluster.is_complete)
    for node in NODES:
        check_all(cluster.s3(node), "replaced")
