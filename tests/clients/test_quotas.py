"""Quotas of buckets, and how many requests users and buckets may take."""

import json
import shutil
import threading
import time

import pytest

from harness import Server, refusal, running, scratch_root, seeded_bytes
from test_protocol import Answer, connection, head_of

KIB = 1024
FULL = (403, "QuotaExceeded")


@pytest.fixture(scope="module", params=[1, 6])
def server(request):
    """Without TLS: the commands do not take the certificate that the shared server makes for itself."""
    with running(drives=request.param) as server:
        yield server


def show(server, bucket):
    return json.loads(server.admin("bucket", "show", bucket, "--json"))


def quota(server, bucket, **limits):
    words = [word for name, limit in limits.items() for word in (f"--{name}", str(limit))]
    return json.loads(server.admin("bucket", "quota", bucket, *words, "--json"))


def put(s3, bucket, key, length):
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(length))


def test_usage_counts_versions_and_parts(server, bucket):
    s3 = server.boto3()
    assert show(server, bucket) == {
        "bucket": bucket, "bytes": 0, "objects": 0,
        "limits": {"bytes_max": None, "objects_max": None, "requests_per_s": None}}

    def used():
        found = show(server, bucket)
        return found["bytes"], found["objects"]

    put(s3, bucket, "a", 1000)
    put(s3, bucket, "a", 300)
    put(s3, bucket, "large", 300 * KIB)
    assert used() == (300 + 300 * KIB, 2)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
    s3.rename_object(Bucket=bucket, Key="moved", RenameSource="copy")
    s3.put_object(Bucket=bucket, Key="a", Body=b"more", WriteOffsetBytes=300)
    assert used() == (304 + 600 * KIB, 3)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    tags = [s3.upload_part(**part, PartNumber=number, Body=bytes(5 << 20))["ETag"] for number in (1, 2)]
    assert used() == (304 + 600 * KIB + (10 << 20), 3)
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tags[0]}]})
    assert used() == (304 + 600 * KIB + (5 << 20), 4)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, "a", 10)
    s3.delete_object(Bucket=bucket, Key="a")
    assert used() == (314 + 600 * KIB + (5 << 20), 5)
    listed = s3.list_object_versions(Bucket=bucket)
    targets = [{"Key": one["Key"], "VersionId": one["VersionId"]}
               for one in listed["Versions"] + listed["DeleteMarkers"]]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": targets})
    assert used() == (0, 0)
    server.admin("bucket", "recount")
    assert used() == (0, 0)


def test_a_bucket_holds_no_more_bytes_than_its_quota(server, bucket):
    s3 = server.boto3()
    assert quota(server, bucket, bytes="20KiB")["limits"]["bytes_max"] == 20 * KIB
    put(s3, bucket, "a", 8 * KIB)
    put(s3, bucket, "b", 8 * KIB)
    assert refusal(s3.put_object, Bucket=bucket, Key="c", Body=bytes(8 * KIB)) == FULL
    assert refusal(s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/a") == FULL
    assert refusal(s3.put_object, Bucket=bucket, Key="a", Body=bytes(5 * KIB), WriteOffsetBytes=8 * KIB) == FULL
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload, "PartNumber": 1}
    assert refusal(s3.upload_part, **part, Body=bytes(8 * KIB)) == FULL
    s3.upload_part(**part, Body=bytes(4 * KIB))
    assert refusal(s3.put_object, Bucket=bucket, Key="c", Body=b"x") == FULL
    # Reads and deletes go on, and room that was given back counts at once.
    assert s3.get_object(Bucket=bucket, Key="a")["ContentLength"] == 8 * KIB
    s3.delete_object(Bucket=bucket, Key="b")
    put(s3, bucket, "c", 8 * KIB)
    assert refusal(s3.put_object, Bucket=bucket, Key="d", Body=b"x") == FULL
    quota(server, bucket, bytes="none")
    put(s3, bucket, "d", 40 * KIB)
    quota(server, bucket, bytes=100)
    assert refusal(s3.put_object, Bucket=bucket, Key="d", Body=b"x") == FULL
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")


def test_a_bucket_holds_no_more_objects_than_its_quota(server, bucket):
    s3 = server.boto3()
    quota(server, bucket, objects=3)
    for key in "ab":
        put(s3, bucket, key, 0)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    tag = s3.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    put(s3, bucket, "c", 0)
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    assert refusal(s3.complete_multipart_upload, **part, MultipartUpload=parts) == FULL
    assert refusal(s3.create_multipart_upload, Bucket=bucket, Key="n") == FULL
    assert refusal(s3.put_object, Bucket=bucket, Key="d", Body=b"") == FULL
    s3.delete_object(Bucket=bucket, Key="a")
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    assert show(server, bucket)["objects"] == 3


def test_writes_at_once_do_not_exceed_a_quota_together(server, bucket):
    quota(server, bucket, bytes=f"{10 * KIB}B")
    outcomes = []

    def write(number):
        s3 = server.boto3()
        for key in range(5):
            try:
                put(s3, bucket, f"{number}/{key}", KIB)
                outcomes.append(True)
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "QuotaExceeded", error
                outcomes.append(False)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 40 and outcomes.count(True) <= 10
    assert show(server, bucket)["bytes"] == outcomes.count(True) * KIB
    # None of those that were refused keeps room.
    for left in range(10 - outcomes.count(True)):
        put(server.boto3(), bucket, f"left/{left}", KIB)
    assert show(server, bucket)["bytes"] == 10 * KIB


def test_quotas_outlive_a_crash_and_end_with_their_bucket(fresh_server):
    s3 = fresh_server.boto3()
    s3.create_bucket(Bucket="limited")
    quota(fresh_server, "limited", bytes="1KiB", objects=5)
    put(s3, "limited", "a", 1000)
    fresh_server.kill()
    fresh_server.start()
    assert refusal(s3.put_object, Bucket="limited", Key="b", Body=bytes(100)) == FULL
    found = show(fresh_server, "limited")
    assert (found["bytes"], found["objects"], found["limits"]["objects_max"]) == (1000, 1, 5)
    s3.delete_object(Bucket="limited", Key="a")
    s3.delete_bucket(Bucket="limited")
    s3.create_bucket(Bucket="limited")
    assert show(fresh_server, "limited")["limits"]["bytes_max"] is None
    put(s3, "limited", "a", 2000)


def test_what_is_refused_is_refused_before_its_body(server, bucket):
    """A client that waits for 100 Continue is not asked for a body that has no room, or that comes too soon."""
    def begin(target):
        headers = head_of(server, "PUT", target)
        link = connection(server)
        link.putrequest("PUT", target, skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, "Host": server.host, "Expect": "100-continue", "Content-Length": "9000"}.items():
            link.putheader(name, value)
        link.endheaders()
        # What comes first is the refusal; a 100 would be read as nothing and block.
        link.sock.settimeout(30)
        return Answer(link.getresponse())

    quota(server, bucket, bytes="8KiB")
    assert begin(f"/{bucket}/k").outcome == FULL
    server.admin("bucket", "limit", bucket, "--requests-per-second", "1")
    # On a slow machine a request may come due between any two of them.
    deadline = time.monotonic() + 60
    while (answer := begin(f"/{bucket}/k")).outcome != (503, "SlowDown"):
        assert answer.outcome == FULL and time.monotonic() < deadline, answer.outcome
    assert answer.headers["retry-after"] == "1"


def add_user(server, name, *words):
    made = json.loads(server.admin("user", "add", name, *words, "--json"))
    return made["users"][0], made["key"]


def client_of(server, key):
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=server.endpoint, aws_access_key_id=key["access_key"],
                        aws_secret_access_key=key["secret_key"], region_name="us-east-1", config=config,
                        aws_session_token=key.get("token"), verify=str(server.certificate) if server.tls else None)


def account_quota(server, name, **limits):
    words = [word for option, limit in limits.items() for word in (f"--{option}", str(limit))]
    return json.loads(server.admin("user", "quota", name, *words, "--json"))


def test_an_account_holds_no_more_in_all_its_buckets_than_its_quota(server):
    name = f"tenant{server.port}"
    user, key = add_user(server, name)
    s3 = client_of(server, key)
    first, second = f"one-{server.port}", f"two-{server.port}"
    for bucket in (first, second):
        s3.create_bucket(Bucket=bucket)
    put(s3, first, "a", 8 * KIB)
    assert account_quota(server, name) == {
        "account": user["account_id"], "bytes": 8 * KIB, "objects": 1, "bytes_max": None, "objects_max": None}
    account_quota(server, name, bytes="20KiB")
    put(s3, second, "b", 8 * KIB)
    assert refusal(s3.put_object, Bucket=first, Key="c", Body=bytes(8 * KIB)) == FULL
    assert refusal(s3.copy_object, Bucket=second, Key="c", CopySource=f"{first}/a") == FULL
    # It is the owner of the bucket who pays, whoever writes.
    assert refusal(server.boto3().put_object, Bucket=second, Key="c", Body=bytes(8 * KIB)) == FULL
    s3.delete_object(Bucket=first, Key="a")
    put(s3, second, "c", 8 * KIB)
    found = account_quota(server, name, bytes="none", objects=2)
    assert (found["bytes"], found["objects"], found["bytes_max"], found["objects_max"]) == (16 * KIB, 2, None, 2)
    assert refusal(s3.put_object, Bucket=first, Key="d", Body=b"") == FULL
    # A bucket's own quota counts beside it, and other accounts know nothing of it.
    account_quota(server, name, objects="none")
    quota(server, first, bytes=100)
    assert refusal(s3.put_object, Bucket=first, Key="d", Body=bytes(101)) == FULL
    put(s3, second, "d", KIB)
    with pytest.raises(AssertionError, match="quotas are those of root users"):
        server.admin("user", "add", "worker", "--account", user["account_id"])
        server.admin("user", "quota", "worker", "--account", user["account_id"], "--bytes", "1KiB")


def hammer(call, seconds=1.0, slowed_min=0):
    """How many calls went through and how many were told to slow down, each with when to come back.

    On a slow machine it goes on for longer, until so many were told to.
    """
    from botocore.exceptions import ClientError

    done = slowed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or (slowed < slowed_min and time.monotonic() < end + 60):
        try:
            call()
            done += 1
        except ClientError as error:
            answer = error.response["ResponseMetadata"]
            code = error.response["Error"].get("Code")
            assert answer["HTTPStatusCode"] == 503 and code in ("SlowDown", "503"), error
            assert answer["HTTPHeaders"]["retry-after"] == "1"
            slowed += 1
    return done, slowed


def most(per_second, began):
    """How many requests may have gone through since then: one second's worth at once, and what came due."""
    return per_second * (time.monotonic() - began + 1) + 1


def test_a_user_sends_no_more_requests_than_it_may(server):
    name = f"fast{server.port}"
    _, key = add_user(server, name)
    s3 = client_of(server, key)
    server.admin("user", "limit", name, "--requests-per-second", "5")
    began = time.monotonic()
    done, slowed = hammer(s3.list_buckets, 2, slowed_min=11)
    assert 5 <= done <= most(5, began) and slowed > 10
    # Another key of the same user is no way around it; other users are not held up.
    other = json.loads(server.admin("key", "add", name, "--json"))["key"]
    assert done + hammer(client_of(server, other).list_buckets, 1)[0] <= most(5, began)
    assert hammer(server.boto3().list_buckets, 0.3)[1] == 0
    server.admin("user", "limit", name, "--requests-per-second", "none")
    assert hammer(s3.list_buckets, 0.3)[1] == 0


def test_a_bucket_is_sent_no_more_requests_than_it_may(server, bucket):
    s3 = server.boto3()
    put(s3, bucket, "a", 5)
    server.admin("bucket", "limit", bucket, "--requests-per-second", "4")
    began = time.monotonic()
    done, slowed = hammer(lambda: s3.head_object(Bucket=bucket, Key="a"), 2, slowed_min=11)
    assert 4 <= done <= most(4, began) and slowed > 10
    # It is kept from uploads before they send their bodies, and other buckets know nothing of it.
    uploaded, slowed = hammer(lambda: s3.put_object(Bucket=bucket, Key="b", Body=seeded_bytes(1, 256 * KIB)), 2, slowed_min=1)
    assert done + uploaded <= most(4, began) and slowed > 0
    assert hammer(s3.list_buckets, 0.3)[1] == 0
    assert show(server, bucket)["limits"]["requests_per_s"] == 4
    server.admin("bucket", "limit", bucket, "--requests-per-second", "none")
    assert hammer(lambda: s3.head_object(Bucket=bucket, Key="a"), 0.3)[1] == 0


def test_more_requests_at_once_than_a_node_takes_are_told_to_come_back():
    root = scratch_root()
    server = Server(root, settings={"GRANARY_MAX_REQUESTS": "2"}).start()
    try:
        s3 = server.boto3(signature_version="s3v4")
        s3.create_bucket(Bucket="busy")
        held = []
        for number in range(2):
            link = connection(server)
            url = s3.generate_presigned_url("put_object", Params={"Bucket": "busy", "Key": f"slow{number}"})
            link.putrequest("PUT", url.split(server.host)[1])
            link.putheader("Content-Length", "10")
            # It is told to go on when the server has taken the request.
            link.putheader("Expect", "100-continue")
            link.endheaders()
            assert link.sock.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
            link.send(b"12345")
            held.append(link)
        assert refusal(s3.list_buckets) == (503, "SlowDown")
        for link in held:
            link.send(b"67890")
            assert link.getresponse().status == 200
        assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["busy"]
        assert len(s3.list_objects_v2(Bucket="busy")["Contents"]) == 2
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
