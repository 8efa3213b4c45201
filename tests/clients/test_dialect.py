"""Ceph's rules where the operator asks for them (`--dialect ceph`). That AWS's hold otherwise, the other tests tell."""

import datetime
import json
import uuid

import pytest

from harness import refusal, running
from test_access import Account, anyone
from test_bucket_logging import wait_for

SETTINGS = {"GRANARY_DIALECT": "ceph", "GRANARY_DEFAULT_OBJECT_OWNERSHIP": "ObjectWriter",
            "GRANARY_ACCESS_LOG_INTERVAL_MS": "300"}
CANONICAL = "0" * 64


@pytest.fixture(scope="module")
def server():
    with running(settings=SETTINGS) as server:
        yield server


def asking(s3, operation, addition):
    """Adds to the URLs of an operation what boto3 does not know there."""
    s3.meta.events.register(f"before-call.s3.{operation}", lambda params, **_: params.update(url=params["url"] + addition))


def test_conditions_stand_beside_each_other(server, bucket):
    s3 = server.boto3()
    filter_, tag = {"Prefix": "a", "Tag": {"Key": "k", "Value": "v"}}, [{"Key": "k", "Value": "v"}]
    rule = {"ID": "r", "Status": "Enabled", "Filter": filter_, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    [kept] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert kept["Filter"] == {"And": {"Prefix": "a", "Tags": tag}}


def test_a_conditional_delete_sees_markers_and_does_not_mind_nothing(server, bucket):
    s3, failed = server.boto3(), (412, "PreconditionFailed")
    for condition in ({"IfMatch": "*"}, {"IfMatch": "none"}, {"IfMatchSize": 9}):
        assert "DeleteMarker" not in s3.delete_object(Bucket=bucket, Key="k", **condition)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket)
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    assert refusal(s3.delete_object, Bucket=bucket, Key="k", IfMatch="none") == failed
    marker = s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)["VersionId"]
    long_ago = datetime.datetime(2015, 1, 1)
    for condition in ({"IfMatch": etag}, {"IfMatchSize": 1}, {"IfMatchLastModifiedTime": long_ago}):
        assert refusal(s3.delete_object, Bucket=bucket, Key="k", **condition) == failed
    several = {"Objects": [{"Key": "k", "ETag": "none"}, {"Key": "k", "VersionId": marker, "ETag": "*"}, {"Key": "j", "Size": 3}]}
    answer = s3.delete_objects(Bucket=bucket, Delete=several)
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["k", "j"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_listings_and_usage(server, bucket):
    s3 = server.boto3()
    asking(s3, "ListObjects", "&allow-unordered=true")
    asking(s3, "HeadBucket", "?read-stats=true")
    for key in ("a", "b/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"123")
    assert len(s3.list_objects(Bucket=bucket, Prefix="a")["Contents"]) == 1
    assert refusal(s3.list_objects, Bucket=bucket, Delimiter="/") == (400, "InvalidArgument")
    told = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    assert (told["x-rgw-object-count"], told["x-rgw-bytes-used"]) == ("2", "6")
    assert anyone(server).list_buckets()["Buckets"] == []
    assert refusal(anyone(server).list_objects, Bucket=bucket) == (403, "AccessDenied")


def test_new_buckets(server, bucket):
    s3 = server.boto3()
    assert refusal(s3.create_bucket, Bucket="a-.b") == (400, "InvalidBucketName")
    assert refusal(s3.get_bucket_ownership_controls, Bucket=bucket) == (404, "OwnershipControlsNotFoundError")
    # Lists count all the same.
    s3.put_bucket_acl(Bucket=bucket, ACL="log-delivery-write")


def log_policy(target, prefix, *sources):
    def statement(source, account):
        return {"Sid": "Logs", "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{target}/{prefix}", "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"}, "StringEquals": {"aws:SourceAccount": account}}}

    return json.dumps({"Version": "2012-10-17", "Statement": [statement(*source) for source in sources]})


def test_logs_go_where_a_policy_for_their_prefix_lets_them(server, bucket):
    s3, target = server.boto3(), f"{bucket}-target"
    other = Account(server, f"logs-{uuid.uuid4().hex[:8]}").client()
    other.create_bucket(Bucket=target)
    enabled = {"TargetBucket": target, "TargetPrefix": "log/"}

    def put(**changed):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled | changed})

    assert refusal(put, TargetBucket=f"{bucket}-none") == (404, "NoSuchKey")
    assert refusal(put) == (403, "AccessDenied")
    other.put_bucket_policy(Bucket=target, Policy=log_policy(target, "log/", (bucket, "1" * 64), ("elsewhere", CANONICAL)))
    assert refusal(put) == (403, "AccessDenied")
    other.put_bucket_policy(Bucket=target, Policy=log_policy(target, "log/", (bucket, CANONICAL), ("elsewhere", CANONICAL)))
    assert refusal(put, TargetPrefix="other/") == (403, "AccessDenied")
    put()
    kept = s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert kept == enabled | {"TargetObjectKeyFormat": {"SimplePrefix": {}}}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}]})
    # One line is of the configuration that was read.
    found = sorted((line["operation"], line["key"]) for line in wait_for(other, target, 5))
    assert found == [("REST.GET.LOGGING_STATUS", "-"), ("REST.POST.DELETE_MULTI_OBJECT", "copy"),
                     ("REST.POST.DELETE_MULTI_OBJECT", "k"), ("REST.PUT.OBJECT", "copy"), ("REST.PUT.OBJECT", "k")]
