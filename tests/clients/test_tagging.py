"""Tags of objects and buckets, with the limits and errors that AWS documents."""

import pytest
from botocore.exceptions import ClientError

from harness import seeded_bytes


def code(call, *args, **kwargs):
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["ResponseMetadata"]["HTTPStatusCode"], raised.value.response["Error"]["Code"]


def tag_set(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(s3, bucket, key):
    return s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]


# Empty, packed with others, and a blob of its own.
@pytest.mark.parametrize("length", [0, 5, 300_000])
def test_an_object_gets_its_tags_with_its_put(server, bucket, length):
    s3 = server.boto3()
    body = seeded_bytes(1, length)
    s3.put_object(Bucket=bucket, Key="k", Body=body, Tagging="a=1&b%20c=%C3%A9&d=")
    assert tags_of(s3, bucket, "k") == [
        {"Key": "a", "Value": "1"}, {"Key": "b c", "Value": "é"}, {"Key": "d", "Value": ""}]
    assert s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "3"
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["TagCount"] == 3 and answer["Body"].read() == body
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert tags_of(s3, bucket, "k") == [] and "TagCount" not in s3.get_object(Bucket=bucket, Key="k")


def test_tags_are_replaced_and_removed(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**place, Body=b"x", Tagging="a=1")["ETag"]
    s3.put_object_tagging(**place, Tagging={"TagSet": tag_set(b="2", c="3")})
    assert tags_of(s3, bucket, "k") == tag_set(b="2", c="3")
    answer = s3.get_object(**place)
    assert (answer["ETag"], answer["TagCount"], answer["Body"].read()) == (etag, 2, b"x")
    assert s3.delete_object_tagging(**place)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert tags_of(s3, bucket, "k") == []
    s3.delete_object(**place)
    for call in (s3.get_object_tagging, s3.delete_object_tagging):
        assert code(call, **place) == (404, "NoSuchKey")
    assert code(s3.put_object_tagging, **place, Tagging={"TagSet": []}) == (404, "NoSuchKey")
    assert code(s3.get_object_tagging, Bucket=bucket + "-none", Key="k") == (404, "NoSuchBucket")


def test_tags_that_are_not_allowed(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x", Tagging="kept=1")
    longest = [{"Key": f"{n}".ljust(128, "k"), "Value": "v" * 256} for n in range(10)]
    s3.put_object_tagging(**place, Tagging={"TagSet": longest})
    assert sorted(tags_of(s3, bucket, "k"), key=str) == sorted(longest, key=str)
    for wrong in (
        [{"Key": f"{n}", "Value": ""} for n in range(11)],
        [{"Key": "k" * 129, "Value": ""}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}],
        [{"Key": "aws:k", "Value": "1"}],
    ):
        assert code(s3.put_object_tagging, **place, Tagging={"TagSet": wrong}) == (400, "InvalidTag")
    assert code(s3.put_object, **place, Body=b"y", Tagging="a=1&a=2") == (400, "InvalidArgument")
    assert code(s3.put_object, **place, Body=b"y", Tagging="a=" + "v" * 257) == (400, "InvalidTag")
    answer = s3.get_object(**place)
    assert (answer["Body"].read(), answer["TagCount"]) == (b"x", 10)


def test_a_copy_has_the_tags_of_its_source_or_its_own(server, bucket):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    source = {"Bucket": bucket, "CopySource": f"{bucket}/k"}
    s3.copy_object(**source, Key="same")
    s3.copy_object(**source, Key="ignored", Tagging="b=2", TaggingDirective="COPY")
    s3.copy_object(**source, Key="own", Tagging="b=2", TaggingDirective="REPLACE")
    s3.copy_object(**source, Key="none", TaggingDirective="REPLACE")
    assert [tags_of(s3, bucket, key) for key in ("same", "ignored", "own", "none")] == [
        tag_set(a="1"), tag_set(a="1"), tag_set(b="2"), []]


def test_an_upload_gives_its_tags_to_its_object(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**place, Tagging="a=1&b=2", CacheControl="no-store")["UploadId"]
    tag = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**place, UploadId=upload,
                                 MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert tags_of(s3, bucket, "k") == tag_set(a="1", b="2")
    answer = s3.head_object(**place)
    assert answer["CacheControl"] == "no-store" and answer["ContentLength"] == 1
    assert not [name for name in answer["ResponseMetadata"]["HTTPHeaders"] if name.startswith("tag:")]


def test_tags_survive_a_crash_and_the_loss_of_the_database(fresh_server):
    import shutil

    s3 = fresh_server.boto3()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x", Tagging="a=1")
    s3.put_object_tagging(Bucket="bucket", Key="k", Tagging={"TagSet": tag_set(b="2")})
    s3.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": tag_set(c="3")})
    fresh_server.kill()
    for lost in fresh_server.drives[:2]:
        if (lost / "metadata").exists():
            shutil.rmtree(lost / "metadata")
    fresh_server.start()
    assert tags_of(s3, "bucket", "k") == tag_set(b="2")
    assert s3.get_bucket_tagging(Bucket="bucket")["TagSet"] == tag_set(c="3")


def test_a_bucket_has_tags_of_its_own(server, bucket):
    s3 = server.boto3()
    assert code(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_set(a="1", b="2")})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set(a="1", b="2")
    many = [{"Key": f"{n}", "Value": ""} for n in range(51)]
    assert code(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": many}) == (400, "InvalidTag")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many[:50]})
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    first = {"Tags": tag_set(first="1")}
    s3.create_bucket(Bucket=bucket + "-tagged", CreateBucketConfiguration=first)
    assert s3.get_bucket_tagging(Bucket=bucket + "-tagged")["TagSet"] == first["Tags"]
    assert code(s3.get_bucket_tagging, Bucket=bucket + "-none") == (404, "NoSuchBucket")
