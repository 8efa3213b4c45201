"""Inventories: what is in a bucket, listed into another one."""

import csv
import gzip
import hashlib
import io
import json
import re
import time
from urllib.parse import unquote

import pytest

from harness import refusal, running


DAY_S = 4


@pytest.fixture(scope="module")
def server():
    with running(settings={"GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS": str(DAY_S)}) as server:
        yield server


def let_in(s3, source, target):
    """The policy of AWS's own example."""
    statement = {"Sid": "InventoryExamplePolicy", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
                 "Action": "s3:PutObject", "Resource": [f"arn:aws:s3:::{target}/*"],
                 "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
                               "StringEquals": {"aws:SourceAccount": "000000000000",
                                                "s3:x-amz-acl": "bucket-owner-full-control"}}}
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def ask(s3, source, target, versions="Current", fields=("Size", "ETag"), id="daily", **more):
    configuration = {
        "Id": id, "IsEnabled": True, "IncludedObjectVersions": versions, "OptionalFields": list(fields),
        "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": f"arn:aws:s3:::{target}", "Format": "CSV", "Prefix": "p"}}}
    s3.put_bucket_inventory_configuration(Bucket=source, Id=id, InventoryConfiguration=configuration | more)


def manifests(s3, target):
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=target).get("Contents", [])]
    return sorted(key for key in keys if key.endswith("manifest.json"))


def wait_for(s3, source, target, deadline_s=120):
    end = time.monotonic() + deadline_s
    while not (found := manifests(s3, target)):
        assert time.monotonic() < end, f"no manifest in {deadline_s} s"
        time.sleep(0.1)
    assert re.fullmatch(rf"p/{source}/daily/\d{{4}}-\d\d-\d\dT\d\d-\d\dZ/manifest.json", found[0])
    text = s3.get_object(Bucket=target, Key=found[0])["Body"].read()
    manifest = json.loads(text)
    checksum = found[0].replace(".json", ".checksum")
    deadline = time.monotonic() + 60
    while True:
        try:
            assert s3.get_object(Bucket=target, Key=checksum)["Body"].read().decode() == hashlib.md5(text).hexdigest()
            break
        except s3.exceptions.NoSuchKey:
            assert time.monotonic() < deadline, f"{checksum} does not come"
    rows = []
    for file in manifest["files"]:
        packed = s3.get_object(Bucket=target, Key=file["key"])["Body"].read()
        assert (len(packed), hashlib.md5(packed).hexdigest()) == (file["size"], file["MD5checksum"])
        rows += csv.reader(io.StringIO(gzip.decompress(packed).decode()))
    year, month, day, hour, minute = re.search(r"/(\d{4})-(\d\d)-(\d\d)T(\d\d)-(\d\d)Z/", found[0]).groups()
    symlink = f"p/{source}/daily/hive/dt={year}-{month}-{day}-{hour}-{minute}/symlink.txt"
    addresses = s3.get_object(Bucket=target, Key=symlink)["Body"].read().decode()
    assert addresses.splitlines() == [f"s3://{target}/{file['key']}" for file in manifest["files"]]
    columns = manifest["fileSchema"].split(", ")
    return manifest, [dict(zip(columns, row, strict=True)) for row in rows]


def test_current_objects_are_listed(server, source, target):
    s3 = server.boto3()
    let_in(s3, source, target)
    bodies = {f"k{number}": bytes(number) for number in range(30)} | {'a "b",\u00fc/x': b"hello"}
    tags = {key: s3.put_object(Bucket=source, Key=key, Body=body)["ETag"].strip('"') for key, body in bodies.items()}
    s3.put_object(Bucket=source, Key="gone", Body=b"x")
    s3.delete_object(Bucket=source, Key="gone")
    ask(s3, source, target)
    manifest, rows = wait_for(s3, source, target)
    assert (manifest["sourceBucket"], manifest["destinationBucket"]) == (source, f"arn:aws:s3:::{target}")
    assert (manifest["version"], manifest["fileFormat"]) == ("2016-11-30", "CSV")
    assert manifest["fileSchema"] == "Bucket, Key, Size, ETag"
    assert {unquote(row["Key"]): (row["Bucket"], int(row["Size"]), row["ETag"]) for row in rows} == {
        key: (source, len(body), tags[key]) for key, body in bodies.items()}


def test_all_versions_are_listed_with_what_is_asked_for(server, source, target):
    s3 = server.boto3()
    let_in(s3, source, target)
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=source, Key="in/k", Body=body)["VersionId"] for body in (b"1", b"22")]
    marker = s3.delete_object(Bucket=source, Key="in/k")["VersionId"]
    s3.put_object(Bucket=source, Key="out", Body=b"x")
    fields = ["StorageClass", "LastModifiedDate", "Size", "IsMultipartUploaded", "ChecksumAlgorithm", "ReplicationStatus"]
    ask(s3, source, target, "All", fields, Filter={"Prefix": "in/"})
    manifest, rows = wait_for(s3, source, target)
    assert manifest["fileSchema"] == ("Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, StorageClass, "
                                      "IsMultipartUploaded, ReplicationStatus, ChecksumAlgorithm")
    shown = [(row["VersionId"], row["IsLatest"], row["IsDeleteMarker"], row["Size"], row["StorageClass"]) for row in rows]
    assert shown == [(marker, "true", "true", "", ""), (versions[1], "false", "false", "2", "STANDARD"),
                     (versions[0], "false", "false", "1", "STANDARD")]
    assert rows[1]["ChecksumAlgorithm"] and rows[1]["IsMultipartUploaded"] == "false"


def test_a_policy_may_say_which_fields_are_told(server, source, target):
    """s3:InventoryAccessibleOptionalFields was no key, and a policy that asked for it was ignored or refused."""
    s3 = server.boto3()
    let_in(s3, source, target)
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutInventoryConfiguration", "Resource": f"arn:aws:s3:::{source}",
                 "Condition": {"ForAnyValue:StringEquals": {"s3:InventoryAccessibleOptionalFields": ["Size", "ETag"]}}}
    s3.put_bucket_policy(Bucket=source, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert refusal(lambda: ask(s3, source, target, fields=["StorageClass", "Size"])) == (403, "AccessDenied")
    # The name is read without the space around it, so the policy has to see it without as well.
    assert refusal(lambda: ask(s3, source, target, fields=[" Size\n"])) == (403, "AccessDenied")
    assert "InventoryConfigurationList" not in s3.list_bucket_inventory_configurations(Bucket=source)
    ask(s3, source, target, fields=["StorageClass"])
    ask(s3, source, target, fields=[], id="bare")


def test_a_destination_that_does_not_let_it_in_gets_none(server, source, target):
    s3 = server.boto3()
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    ask(s3, source, target)
    time.sleep(3)
    assert "Contents" not in s3.list_objects_v2(Bucket=target)
    let_in(s3, source, target)
    wait_for(s3, source, target)


def test_each_day_has_one_and_disabled_ones_have_none(server, source, target):
    s3 = server.boto3()
    let_in(s3, source, target)
    began = time.monotonic()
    ask(s3, source, target)
    wait_for(s3, source, target)
    data = len(data_files(s3, target))
    end = time.monotonic() + 120
    while len(data_files(s3, target)) <= data:
        assert time.monotonic() < end, "the next day has none"
        time.sleep(0.2)
    ask(s3, source, target, IsEnabled=False)
    days = 1 + (time.monotonic() - began) / DAY_S
    # One that was begun before that may still be made.
    last = None
    while (data := len(data_files(s3, target))) != last:
        assert time.monotonic() < end, "more are made when it is disabled"
        last = data
        time.sleep(1.5 * DAY_S)
    assert data <= days + 2, f"{data} in {days} days"


def data_files(s3, target):
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=target).get("Contents", [])]
    return [key for key in keys if key.endswith(".csv.gz")]


def test_what_is_not_made_is_refused(server, source, target):
    s3 = server.boto3()

    def refused(**changed):
        try:
            ask(s3, source, target, **changed)
        except s3.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        raise AssertionError(f"not refused: {changed}")

    def to(**changed):
        place = {"Bucket": f"arn:aws:s3:::{target}", "Format": "CSV"} | changed
        return {"Destination": {"S3BucketDestination": place}}

    assert refused(**to(Format="Parquet")) == (501, "NotImplemented")
    assert refused(**to(Encryption={"SSES3": {}})) == (501, "NotImplemented")
    assert refused(fields=["Size", "EncryptionStatus"]) == (501, "NotImplemented")
    assert refused(**to(Bucket=target)) == (400, "InvalidArgument")
    assert refusal(s3.get_bucket_inventory_configuration, Bucket=source, Id="daily") == (404, "NoSuchConfiguration")
