"""Access logs: what is asked of a bucket is written into another, if that lets it in."""

import json
import re
import shutil
import time
import urllib.request

import boto3
import pytest

from harness import ACCESS_KEY, Server, refusal, running, scratch_root
from test_access import anyone

# One group for each field, as AWS's own examples parse them.
LINE = re.compile(
    r'^(\S+) (\S+) \[([^]]+)\] (\S+) (\S+) (\S+) (\S+) (\S+) "([^"]*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) '
    r'"([^"]*)" "([^"]*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)$')
NAMES = ("owner bucket time ip requester request_id operation key uri status error sent size total turnaround referrer agent "
         "version host_id signature cipher auth host tls access_point acl").split()


@pytest.fixture(scope="module")
def server():
    with running(settings={"GRANARY_ACCESS_LOG_INTERVAL_MS": "300"}) as server:
        yield server


def let_in(s3, target, **condition):
    statement = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
                 "Resource": f"arn:aws:s3:::{target}/*"}
    if condition:
        statement["Condition"] = {"StringEquals": condition}
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def log_to(s3, source, target, prefix="logs/", **more):
    enabled = {"TargetBucket": target, "TargetPrefix": prefix, **more}
    s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert s3.get_bucket_logging(Bucket=source)["LoggingEnabled"] == enabled


def lines(s3, target):
    found = []
    for entry in s3.list_objects_v2(Bucket=target).get("Contents", []):
        text = s3.get_object(Bucket=target, Key=entry["Key"])["Body"].read().decode()
        assert text.endswith("\n")
        for line in text.splitlines():
            matched = LINE.match(line)
            assert matched, line
            found.append(dict(zip(NAMES, matched.groups())))
    return found


def wait_for(s3, target, count, deadline_s=120, operation=None):
    """The lines that were delivered, of one operation or of all, once there are so many."""
    def wanted():
        return [line for line in lines(s3, target) if operation in (None, line["operation"])]

    end = time.monotonic() + deadline_s
    while len(found := wanted()) < count:
        assert time.monotonic() < end, f"not {count} lines in {deadline_s} s: {found}"
        time.sleep(0.1)
    return found


def test_requests_are_logged_in_the_format_of_aws(server, source, target):
    s3 = server.boto3()
    let_in(s3, target, **{"aws:SourceAccount": "000000000000"})
    log_to(s3, source, target)
    s3.put_object(Bucket=source, Key="a b", Body=b"hello")
    got = s3.get_object(Bucket=source, Key="a b", Range="bytes=0-1")
    assert got["Body"].read() == b"he"
    assert refusal(s3.get_object, Bucket=source, Key="none") == (404, "NoSuchKey")
    refusal(anyone(server).get_object, Bucket=source, Key="a b")
    signer = server.boto3(signature_version="s3v4")
    url = signer.generate_presigned_url("head_object", Params={"Bucket": source, "Key": "a b"})
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
        assert answer.status == 200
    s3.list_objects_v2(Bucket=source)
    found = {(line["operation"], line["status"]): line for line in wait_for(s3, target, 7)}
    put = found["REST.PUT.OBJECT", "200"]
    assert (put["bucket"], put["key"], put["size"], put["error"]) == (source, "a%20b", "5", "-")
    assert (put["ip"], put["requester"], put["signature"], put["auth"]) == (
        "127.0.0.1", ACCESS_KEY, "SigV4", "AuthHeader")
    assert put["uri"].startswith("PUT /") and put["uri"].endswith("HTTP/1.1") and "Boto3" in put["agent"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", put["time"])
    get = found["REST.GET.OBJECT", "206"]
    assert (get["sent"], get["size"], get["request_id"]) == ("2", "5", got["ResponseMetadata"]["RequestId"])
    assert found["REST.GET.OBJECT", "404"]["error"] == "NoSuchKey"
    denied = found["REST.GET.OBJECT", "403"]
    assert (denied["requester"], denied["error"], denied["auth"]) == ("-", "AccessDenied", "-")
    assert ("REST.GET.BUCKET", "200") in found
    presigned = found["REST.HEAD.OBJECT", "200"]
    assert (presigned["auth"], presigned["size"]) == ("QueryString", "5")
    assert "X-Amz-Credential=" in presigned["uri"] and re.search("X-Amz-Signature=-( |&)", presigned["uri"])
    key = s3.list_objects_v2(Bucket=target)["Contents"][0]["Key"]
    assert re.fullmatch(r"logs/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", key)


def test_a_target_that_does_not_let_logs_in_gets_none(server, source, target):
    s3 = server.boto3()
    log_to(s3, source, target)
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    time.sleep(1.5)
    let_in(s3, target, **{"aws:SourceArn": "arn:aws:s3:::another"})
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    time.sleep(1.5)
    assert lines(s3, target) == []
    let_in(s3, target, **{"aws:SourceArn": f"arn:aws:s3:::{source}"})
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    wait_for(s3, target, 1)


def test_a_list_lets_logs_in_where_lists_count(server, source, target):
    s3 = server.boto3()
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls=owned)
    s3.put_bucket_acl(Bucket=target, ACL="log-delivery-write")
    log_to(s3, source, target)
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    wait_for(s3, target, 1)


def test_logs_are_granted_to_whom_the_configuration_says(server, source, target):
    s3 = server.boto3()
    made = json.loads(server.admin("user", "add", f"reader-{target}", "--email", f"{target}@example.com", "--json"))
    canonical, key = made["users"][0]["canonical_id"], made["key"]
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": canonical}, "Permission": "READ"}]
    enabled = {"TargetBucket": target, "TargetPrefix": "logs/", "TargetGrants": grants}
    assert refusal(s3.put_bucket_logging, Bucket=source, BucketLoggingStatus={"LoggingEnabled": enabled}) == (
        400, "AccessControlListNotSupported")
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls=owned)
    s3.put_bucket_acl(Bucket=target, ACL="log-delivery-write")
    nobody = [{"Grantee": {"Type": "CanonicalUser", "ID": "0" * 63 + "1"}, "Permission": "READ"}]
    assert refusal(s3.put_bucket_logging, Bucket=source, BucketLoggingStatus={
        "LoggingEnabled": enabled | {"TargetGrants": nobody}}) == (400, "InvalidArgument")
    by_mail = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": f"{target}@example.com"},
               "Permission": "FULL_CONTROL"}
    log_to(s3, source, target, TargetGrants=[*grants, by_mail])
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    wait_for(s3, target, 1)
    log = s3.list_objects_v2(Bucket=target)["Contents"][0]["Key"]
    found = s3.get_object_acl(Bucket=target, Key=log)["Grants"]
    assert sorted(one["Permission"] for one in found if one["Grantee"]["ID"] == canonical) == ["FULL_CONTROL", "READ"]
    reader = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1",
                          aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret_key"])
    assert reader.get_object(Bucket=target, Key=log)["Body"].read()


def test_copies_are_logged_where_their_source_is(server, source, target):
    s3 = server.boto3()
    let_in(s3, target)
    log_to(s3, source, target)
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    copies = source + "-copies"
    s3.create_bucket(Bucket=copies)
    s3.copy_object(Bucket=copies, Key="copy", CopySource={"Bucket": source, "Key": "k"})
    upload = {"Bucket": copies, "Key": "part", "UploadId": s3.create_multipart_upload(Bucket=copies, Key="part")["UploadId"]}
    s3.upload_part_copy(**upload, PartNumber=1, CopySource={"Bucket": source, "Key": "k"})
    for operation in ("REST.COPY.OBJECT_GET", "REST.COPY.PART_GET"):
        found = wait_for(s3, target, 1, operation=operation)[0]
        assert (found["bucket"], found["key"], found["status"], found["acl"]) == (source, "k", "200", "-")
        assert found["uri"].startswith(f"PUT /{copies}/")


def test_a_request_that_needs_a_list_says_so(server, source, target):
    s3 = server.boto3()
    let_in(s3, target)
    s3.put_bucket_ownership_controls(Bucket=source, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=source)
    s3.put_object(Bucket=source, Key="k", Body=b"x", ACL="public-read")
    log_to(s3, source, target)
    anyone(server).get_object(Bucket=source, Key="k")
    s3.get_object(Bucket=source, Key="k")
    found = wait_for(s3, target, 2, operation="REST.GET.OBJECT")
    assert [line["acl"] for line in sorted(found, key=lambda line: line["requester"])] == ["Yes", "-"]


def test_keys_are_partitioned_where_it_is_asked_for(server, source, target):
    s3 = server.boto3()
    let_in(s3, target)
    log_to(s3, source, target, "p/", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}})
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    wait_for(s3, target, 1)
    key = s3.list_objects_v2(Bucket=target)["Contents"][0]["Key"]
    assert re.fullmatch(rf"p/000000000000/us-east-1/{source}/\d{{4}}/\d\d/\d\d/[-0-9]{{20}}[0-9A-F]{{16}}", key), key


def test_logging_ends_and_no_client_writes_lines_of_its_own(server, source, target):
    s3 = server.boto3()
    let_in(s3, target)
    log_to(s3, source, target)
    evil = server.boto3(user_agent='x" 200 - -\t"y')
    evil.put_object(Bucket=source, Key='a\n" forged', Body=b"x")
    found = wait_for(s3, target, 1, operation="REST.PUT.OBJECT")
    assert len(found) == 1 and "%22" in found[0]["key"] and '"' not in found[0]["agent"]
    s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={})
    # Its end counts soon, and what was asked for before that may still be delivered.
    time.sleep(1)
    s3.put_object(Bucket=source, Key="later", Body=b"x")
    time.sleep(1.5)
    assert "later" not in {line["key"] for line in lines(s3, target)}


def test_a_server_that_stops_delivers_what_it_has():
    root = scratch_root()
    server = Server(root, settings={"GRANARY_ACCESS_LOG_INTERVAL_MS": "3600000"}).start()
    try:
        s3 = server.boto3()
        for name in ("source", "target"):
            s3.create_bucket(Bucket=name)
        let_in(s3, "target")
        log_to(s3, "source", "target")
        s3.put_object(Bucket="source", Key="k", Body=b"x")
        server.stop()
        server.start()
        assert "REST.PUT.OBJECT" in {line["operation"] for line in lines(s3, "target")}
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
