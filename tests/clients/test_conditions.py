"""Conditions over the wire: on reads, on the sources of copies and on their destinations; and what a copy says of itself."""

import datetime
from email.utils import format_datetime

import pytest

from harness import refusal
from test_protocol import send

DAY = datetime.timedelta(days=1)
BODY = b"hello world"
OTHER_TAG = f'"{"0" * 32}"'


@pytest.fixture
def stored(server, bucket):
    """The path, the entity tag and the time of an object; no second passes between it and what a test says of the time."""
    s3 = server.boto3()
    tag = s3.put_object(Bucket=bucket, Key="k", Body=BODY)["ETag"]
    return f"/{bucket}/k", tag, s3.head_object(Bucket=bucket, Key="k")["LastModified"]


def http_date(moment):
    return format_datetime(moment.astimezone(datetime.timezone.utc), usegmt=True)


def read_cases(tag, modified):
    """Conditions of a read, and the status they have: by themselves, and together as RFC 9110 and S3 rank them."""
    before, at, after = (http_date(moment) for moment in (modified - DAY, modified, modified + DAY))
    return [
        ({"If-Modified-Since": before}, 200),
        ({"If-Modified-Since": at}, 304),
        ({"If-Modified-Since": after}, 304),
        ({"If-Unmodified-Since": before}, 412),
        ({"If-Unmodified-Since": at}, 200),
        ({"If-Unmodified-Since": after}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": OTHER_TAG}, 412),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"{OTHER_TAG}, {tag}"}, 200),
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f"W/{tag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": OTHER_TAG}, 200),
        # A tag decides over the date beside it.
        ({"If-Match": tag, "If-Unmodified-Since": before}, 200),
        ({"If-Match": OTHER_TAG, "If-Unmodified-Since": at}, 412),
        ({"If-None-Match": tag, "If-Modified-Since": before}, 304),
        ({"If-None-Match": OTHER_TAG, "If-Modified-Since": after}, 200),
        # What fails comes before what is not modified.
        ({"If-Match": OTHER_TAG, "If-None-Match": tag}, 412),
        ({"If-Unmodified-Since": before, "If-Modified-Since": after}, 412),
        ({"If-Match": tag, "If-None-Match": tag}, 304),
        ({"If-Unmodified-Since": at, "If-Modified-Since": at}, 304),
        # What is no date is no condition.
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Unmodified-Since": "yesterday"}, 200),
    ]


def test_conditions_of_reads(server, stored):
    path, tag, modified = stored
    for headers, status in read_cases(tag, modified):
        for method in ("GET", "HEAD"):
            answer = send(server, method, path, headers)
            assert answer.status == status, (method, headers)
            if status != 412:
                assert answer.headers["etag"] == tag and answer.headers["last-modified"] == http_date(modified)
            if method == "HEAD" or status == 304:
                assert answer.body == b"", headers
            elif status == 412:
                assert answer.outcome == (412, "PreconditionFailed")
                assert answer.field("Condition") in headers, headers
            else:
                assert answer.body == BODY


def test_conditions_decide_before_ranges_and_parts(server, stored):
    path, tag, modified = stored
    at, before = http_date(modified), http_date(modified - DAY)
    for target in (path, f"{path}?partNumber=1"):
        part = {} if "?" in target else {"Range": "bytes=6-"}
        assert send(server, "GET", target, {**part, "If-Modified-Since": at}).status == 304
        assert send(server, "GET", target, {**part, "If-Unmodified-Since": before}).status == 412
        assert send(server, "GET", target, {**part, "If-Unmodified-Since": at}).status == 206
    assert send(server, "GET", path, {"Range": "bytes=100-", "If-Match": OTHER_TAG}).status == 412


def test_boto3_reads_on_conditions(server, bucket, stored):
    s3, (_, tag, modified) = server.boto3(), stored
    place = {"Bucket": bucket, "Key": "k"}
    assert s3.get_object(**place, IfModifiedSince=modified - DAY)["Body"].read() == BODY
    assert refusal(s3.get_object, **place, IfModifiedSince=modified)[0] == 304
    assert s3.get_object(**place, IfUnmodifiedSince=modified, IfMatch=tag)["Body"].read() == BODY
    assert refusal(s3.get_object, **place, IfUnmodifiedSince=modified - DAY) == (412, "PreconditionFailed")
    assert refusal(s3.head_object, **place, IfUnmodifiedSince=modified - DAY)[0] == 412
    assert refusal(s3.get_object, Bucket=bucket, Key="none", IfMatch=tag) == (404, "NoSuchKey")


def copy_cases(tag, modified):
    """Conditions on the source of a copy, and whether they hold."""
    before, after = modified - DAY, modified + DAY
    return [
        ({"IfMatch": tag}, True),
        ({"IfMatch": OTHER_TAG}, False),
        ({"IfNoneMatch": OTHER_TAG}, True),
        ({"IfNoneMatch": tag}, False),
        ({"IfModifiedSince": before}, True),
        ({"IfModifiedSince": modified}, False),
        ({"IfUnmodifiedSince": modified}, True),
        ({"IfUnmodifiedSince": before}, False),
        # As S3 documents them in pairs.
        ({"IfMatch": tag, "IfUnmodifiedSince": before}, True),
        ({"IfNoneMatch": tag, "IfModifiedSince": before}, False),
        ({"IfNoneMatch": OTHER_TAG, "IfModifiedSince": after}, True),
        ({"IfMatch": OTHER_TAG, "IfUnmodifiedSince": after}, False),
    ]


def test_conditions_on_the_source_of_a_copy(server, bucket, stored):
    s3, (_, tag, modified) = server.boto3(), stored
    upload = {"Bucket": bucket, "Key": "m", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]}
    for number, (conditions, holds) in enumerate(copy_cases(tag, modified), 1):
        given = {f"CopySource{name}": value for name, value in conditions.items()}
        copy = {"Bucket": bucket, "Key": f"copy-{number}", "CopySource": f"{bucket}/k", **given}
        part = {**upload, "PartNumber": number, "CopySource": f"{bucket}/k", **given}
        if holds:
            assert s3.copy_object(**copy)["CopyObjectResult"]["ETag"] == tag, conditions
            assert s3.upload_part_copy(**part)["CopyPartResult"]["ETag"] == tag, conditions
            assert s3.get_object(Bucket=bucket, Key=copy["Key"])["Body"].read() == BODY
        else:
            # Of a copy there is no 304.
            assert refusal(s3.copy_object, **copy) == (412, "PreconditionFailed"), conditions
            assert refusal(s3.upload_part_copy, **part) == (412, "PreconditionFailed"), conditions
            assert refusal(s3.head_object, Bucket=bucket, Key=copy["Key"])[0] == 404
    held = {number for number, (_, holds) in enumerate(copy_cases(tag, modified), 1) if holds}
    assert {part["PartNumber"] for part in s3.list_parts(**upload)["Parts"]} == held


def test_conditions_on_the_destination_of_a_copy(server, bucket, stored):
    s3, (_, tag, _) = server.boto3(), stored
    copy = {"Bucket": bucket, "CopySource": f"{bucket}/k"}
    there = s3.put_object(Bucket=bucket, Key="there", Body=b"there")["ETag"]
    for conditions, refused in [({"IfNoneMatch": "*"}, (412, "PreconditionFailed")), ({"IfMatch": tag}, (412, "PreconditionFailed")),
                                ({"IfMatch": OTHER_TAG}, (412, "PreconditionFailed"))]:
        assert refusal(s3.copy_object, **copy, Key="there", **conditions) == refused, conditions
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == b"there"
    assert refusal(s3.copy_object, **copy, Key="new", IfMatch=tag) == (404, "NoSuchKey")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    s3.copy_object(**copy, Key="there", IfMatch=there)
    s3.copy_object(**copy, Key="new", IfNoneMatch="*")
    assert refusal(s3.copy_object, **copy, Key="new", IfNoneMatch="*") == (412, "PreconditionFailed")
    for key in ("there", "new"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
    # Conditions on both ends: the source's do not count for the destination, nor the other way around.
    s3.put_object(Bucket=bucket, Key="there", Body=b"there")
    s3.copy_object(**copy, Key="there", CopySourceIfMatch=tag, IfMatch=there)
    assert refusal(s3.copy_object, **copy, Key="there", CopySourceIfMatch=there, IfMatch=tag) == (412, "PreconditionFailed")


HEADERS = {"ContentType": "text/x-first", "CacheControl": "max-age=1", "ContentDisposition": "inline", "ContentLanguage": "en",
           "ContentEncoding": "x-coding"}


def test_a_copy_keeps_or_replaces_what_is_said_of_its_source(server, bucket):
    s3 = server.boto3()
    source = {"Bucket": bucket, "Key": "source"}
    s3.put_object(**source, Body=BODY, Metadata={"a": "1", "b": "2"}, **HEADERS)
    copy = {"Bucket": bucket, "CopySource": f"{bucket}/source"}

    def said(key):
        head = s3.head_object(Bucket=bucket, Key=key)
        return head["Metadata"], {name: head[name] for name in HEADERS if name in head}

    kept = ({"a": "1", "b": "2"}, HEADERS)
    for number, directive in enumerate([{}, {"MetadataDirective": "COPY"}]):
        # What the request says is not looked at.
        s3.copy_object(**copy, Key=f"kept-{number}", **directive, Metadata={"c": "3"}, ContentType="text/x-second")
        assert said(f"kept-{number}") == kept
    s3.copy_object(**copy, Key="replaced", MetadataDirective="REPLACE", Metadata={"c": "3"}, ContentType="text/x-second")
    assert said("replaced") == ({"c": "3"}, {"ContentType": "text/x-second"})
    s3.copy_object(**copy, Key="bare", MetadataDirective="REPLACE")
    assert said("bare") == ({}, {"ContentType": "binary/octet-stream"})
    for key in ("kept-0", "kept-1", "replaced", "bare"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
    assert said("source") == kept
    path, headers = f"/{bucket}/wrong", {"x-amz-copy-source": f"{bucket}/source", "x-amz-metadata-directive": "MERGE"}
    assert send(server, "PUT", path, headers).outcome == (400, "InvalidArgument")


def test_a_copy_onto_itself_replaces_or_is_refused(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    tag = s3.put_object(**place, Body=BODY, Metadata={"a": "1"}, ContentType="text/x-first")["ETag"]
    copy = {**place, "CopySource": f"{bucket}/k"}
    for directive in ({}, {"MetadataDirective": "COPY"}):
        assert refusal(s3.copy_object, **copy, **directive) == (400, "InvalidRequest")
    s3.copy_object(**copy, MetadataDirective="REPLACE", Metadata={"b": "2"}, CopySourceIfMatch=tag)
    head = s3.head_object(**place)
    assert head["Metadata"] == {"b": "2"} and head["ContentType"] == "binary/octet-stream" and head["ETag"] == tag
    assert s3.get_object(**place)["Body"].read() == BODY
