"""The command-line clients people use: aws-cli, s5cmd, rclone, s3cmd. Each puts, gets, lists, reads a
range where it can, makes a multipart upload, and deletes."""

import json
import re
import ssl
import subprocess
import urllib.request

import pytest

from harness import ACCESS_KEY, REGION, SECRET_KEY, Server, binary, program, run, run_at_a_terminal, seeded_bytes

MIB = 1024 * 1024


@pytest.fixture
def tree(tmp_path):
    """A directory with small files, odd names, an empty file, and one that needs several parts."""
    root = tmp_path / "tree"
    files = {
        "small.txt": b"hello\n", "empty": b"", "with space & plus+.bin": seeded_bytes(1, 70_000),
        "deep/er/\u00fcml\u00e4ut.dat": seeded_bytes(2, 12_345), "big.bin": seeded_bytes(3, 20 * MIB + 7),
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def same_trees(left, right):
    def contents(root):
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert contents(left) == contents(right)


def keys_of(server, bucket):
    pages = server.boto3().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


def requests_of(server, operation):
    """How many requests of that operation the server has counted."""
    context = ssl.create_default_context(cafile=server.certificate) if server.tls else None
    with urllib.request.urlopen(f"{server.endpoint}/metrics", context=context) as answer:
        counted = re.findall(rf'^granary_s3_requests_total{{[^}}]*"{operation}"[^}}]*}} (\d+)$', answer.read().decode(), re.MULTILINE)
    return sum(map(int, counted))


def test_aws_cli(server, bucket, tree, tmp_path):
    env = server.client_env()

    def aws(*words):
        return run([program("aws"), *words], env=env)

    url = f"s3://{bucket}"
    aws("s3", "mb", f"s3://{bucket}-made")
    aws("s3", "rb", f"s3://{bucket}-made")
    aws("s3", "sync", str(tree), f"{url}/t/")
    assert len(keys_of(server, bucket)) == 5
    assert "big.bin" in aws("s3", "ls", f"{url}/t/") and "deep/er/" in aws("s3", "ls", "--recursive", url)
    assert aws("s3", "sync", str(tree), f"{url}/t/") == "", "a second sync has nothing to do"
    aws("s3", "sync", f"{url}/t/", str(tmp_path / "back"))
    same_trees(tree, tmp_path / "back")
    aws("s3", "cp", f"{url}/t/big.bin", f"{url}/copied.bin")
    aws("s3", "mv", f"{url}/t/small.txt", f"{url}/moved.txt")
    aws("s3api", "get-object", "--bucket", bucket, "--key", "copied.bin", "--range", "bytes=1048570-1048590",
        str(tmp_path / "range"))
    assert (tmp_path / "range").read_bytes() == seeded_bytes(3, 20 * MIB + 7)[1048570:1048591]
    head = json.loads(aws("s3api", "head-object", "--bucket", bucket, "--key", "moved.txt"))
    assert head["ContentLength"] == 6
    aws("s3", "rm", "--recursive", url)
    assert keys_of(server, bucket) == []


def test_s5cmd(server, bucket, tree, tmp_path):
    env = dict(server.client_env(), S3_ENDPOINT_URL=server.endpoint)

    def s5cmd(*words):
        trust = ["--no-verify-ssl"] if server.tls else []
        return run([program("s5cmd"), "--retry-count", "0", *trust, *words], env=env)

    url = f"s3://{bucket}"
    s5cmd("cp", "--part-size", "5", f"{tree}/", f"{url}/t/")
    assert len(keys_of(server, bucket)) == 5
    assert "big.bin" in s5cmd("ls", f"{url}/t/*")
    s5cmd("cp", "--part-size", "5", f"{url}/t/*", f"{tmp_path / 'back'}/")
    same_trees(tree, tmp_path / "back")
    # It has no option for a range, and reads what is larger than a part in ranges, here of 5 and of 50 MiB.
    for part_size, pieces in [("5", 5), ("50", 1)]:
        reads = requests_of(server, "GetObject")
        s5cmd("cp", "--part-size", part_size, "--concurrency", "4", f"{url}/t/big.bin", tmp_path / f"in-{part_size}")
        assert (tmp_path / f"in-{part_size}").read_bytes() == (tree / "big.bin").read_bytes()
        assert requests_of(server, "GetObject") - reads == pieces
    s5cmd("cp", f"{url}/t/small.txt", f"{url}/copied.txt")
    assert s5cmd("cat", f"{url}/copied.txt") == "hello\n"
    s5cmd("sync", f"{tree}/", f"{url}/t/")
    s5cmd("du", f"{url}/*")
    s5cmd("rm", f"{url}/*")
    assert keys_of(server, bucket) == []


def test_rclone(server, bucket, tree, tmp_path):
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[g]\ntype = s3\nprovider = Other\naccess_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
        f"endpoint = {server.endpoint}\nregion = {REGION}\nforce_path_style = true\n"
        "upload_cutoff = 5Mi\nchunk_size = 5Mi\n")

    def rclone(*words):
        trust = ["--ca-cert", server.certificate] if server.tls else []
        return run([program("rclone"), "--config", config, "--retries", "1", "--low-level-retries", "1", *trust,
                    *words], env=server.client_env())

    remote = f"g:{bucket}/t"
    rclone("copy", tree, remote)
    assert len(keys_of(server, bucket)) == 5
    rclone("check", "--download", tree, remote)
    assert "big.bin" in rclone("lsf", remote)
    rclone("copy", "--multi-thread-cutoff", "5Mi", remote, tmp_path / "back")
    same_trees(tree, tmp_path / "back")
    assert rclone("cat", "--offset", "2", "--count", "3", f"{remote}/small.txt") == "llo"
    rclone("copyto", f"{remote}/big.bin", f"g:{bucket}/copied.bin")
    rclone("moveto", f"{remote}/small.txt", f"g:{bucket}/moved.txt")
    rclone("delete", f"g:{bucket}")
    assert keys_of(server, bucket) == []


def test_s3cmd(server, bucket, tree, tmp_path):
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\nhost_base = {server.host}\n"
        f"host_bucket = {server.host}\nuse_https = {server.tls}\nbucket_location = {REGION}\n"
        f"ca_certs_file = {server.certificate if server.tls else ''}\nmultipart_chunk_size_mb = 5\nmax_retries = 1\n")

    def s3cmd(*words):
        return run([program("s3cmd"), "-c", config, "--no-progress", *words], env=server.client_env())

    url = f"s3://{bucket}"
    s3cmd("mb", f"{url}-made")
    s3cmd("rb", f"{url}-made")
    s3cmd("sync", f"{tree}/", f"{url}/t/")
    assert len(keys_of(server, bucket)) == 5
    assert "big.bin" in s3cmd("ls", f"{url}/t/")
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"{url}/t/", f"{tmp_path / 'back'}/")
    same_trees(tree, tmp_path / "back")
    # It reads a range when it goes on with a file that was cut: from its length on, of whatever the file begins with.
    whole, cut = (tree / "big.bin").read_bytes(), tmp_path / "cut"
    for kept in (1, 5 * MIB + 11, len(whole) - 1):
        cut.write_bytes(whole[:kept])
        s3cmd("get", "--continue", f"{url}/t/big.bin", cut)
        assert cut.read_bytes() == whole, kept
    cut.write_bytes(b"-" * 1000)
    s3cmd("get", "--continue", f"{url}/t/big.bin", cut)
    assert cut.read_bytes() == b"-" * 1000 + whole[1000:], "what was there was not read again"
    # Without the flag s3cmd copies the access control list too, which a bucket without lists refuses, as AWS's do.
    s3cmd("cp", "--acl-private", f"{url}/t/big.bin", f"{url}/copied.bin")
    s3cmd("mv", "--acl-private", f"{url}/t/small.txt", f"{url}/moved.txt")
    assert s3cmd("ls", f"{url}/moved.txt").split()[2] == "6"
    s3cmd("del", "--recursive", "--force", url)
    assert keys_of(server, bucket) == []


@pytest.mark.parametrize("task", ["heal", "scrub"])
def test_long_tasks_show_a_bar_at_a_terminal_and_their_outcome_elsewhere(server, bucket, task):
    server.boto3().put_object(Bucket=bucket, Key="k", Body=seeded_bytes(1, 300_000))
    shown = run_at_a_terminal([binary(), task], server.admin_env())
    assert re.search(rf"{task} .*\d+/\d+ volumes, .* \d+ findings", shown), repr(shown)
    assert shown.endswith("\r\x1b[2K"), "the bar is taken away at the end"
    quiet = subprocess.run([binary(), task], env=server.admin_env(), timeout=300, text=True, capture_output=True)
    outcome = re.fullmatch(rf"{task} done: (\d+) of (\d+) volumes, .*, 0 findings, 0 repaired, 0 unrepairable\n", quiet.stdout)
    assert outcome and int(outcome[1]) == int(outcome[2]) > 0, quiet
    assert quiet.stderr == "", "where nobody looks there is no bar"


def test_commands_trust_the_servers_own_certificate_though_it_says_it_is_an_authoritys(server, tmp_path):
    """As certificates of `openssl req -x509` do."""
    assert len(json.loads(server.admin("drive", "list", "--json"))) == len(server.drives)
    if server.tls:
        other = Server(tmp_path / "other", tls=True)
        env = {**server.admin_env(), "GRANARY_CA_CERT": str(other.certificate)}
        refused = subprocess.run([binary(), "drive", "list"], env=env, timeout=300, text=True, capture_output=True)
        assert refused.returncode != 0 and "certificate" in refused.stderr, refused
