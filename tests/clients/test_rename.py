"""RenameObject: one step, with its conditions, for objects of every shape."""

import datetime

import pytest
from harness import refusal, seeded_bytes


@pytest.fixture
def client(server):
    return server.boto3()


def keys(client, bucket):
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.parametrize("length", [0, 10, 131_072, 1_000_000])
def test_a_renamed_object_is_the_same_object(server, bucket, client, length):
    body = seeded_bytes(length, length)
    client.put_object(Bucket=bucket, Key="old name", Body=body, ContentType="text/plain", Metadata={"a": "b"},
                      Tagging="c=d", StorageClass="STANDARD_IA")
    before = client.head_object(Bucket=bucket, Key="old name")
    client.rename_object(Bucket=bucket, Key="dir/new", RenameSource="old%20name")
    found = client.get_object(Bucket=bucket, Key="dir/new")
    assert found["Body"].read() == body
    for name in ("ETag", "ContentType", "Metadata", "StorageClass", "LastModified"):
        assert found.get(name) == before.get(name), name
    assert client.get_object_tagging(Bucket=bucket, Key="dir/new")["TagSet"] == [{"Key": "c", "Value": "d"}]
    assert keys(client, bucket) == ["dir/new"]
    # And again, back; the key may be given behind its bucket.
    client.rename_object(Bucket=bucket, Key="old name", RenameSource=f"/{bucket}/dir/new")
    assert client.get_object(Bucket=bucket, Key="old name")["Body"].read() == body
    assert keys(client, bucket) == ["old name"]
    server.kill()
    server.start()
    assert client.get_object(Bucket=bucket, Key="old name")["Body"].read() == body


def test_a_multipart_object_is_renamed_and_replaces(bucket, client):
    parts = [seeded_bytes(1, 5 << 20), seeded_bytes(2, 100)]
    upload = client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    sent = [client.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=n, Body=part)["ETag"]
            for n, part in enumerate(parts, 1)]
    done = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(sent, 1)]
    client.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": done})
    client.put_object(Bucket=bucket, Key="n", Body=b"in the way")
    client.rename_object(Bucket=bucket, Key="n", RenameSource="m")
    found = client.get_object(Bucket=bucket, Key="n")
    assert found["ETag"].endswith('-2"') and found["Body"].read() == b"".join(parts)
    assert client.head_object(Bucket=bucket, Key="n", PartNumber=2)["ContentLength"] == 100
    assert keys(client, bucket) == ["n"]


def test_the_conditions_of_a_rename(bucket, client):
    old = client.put_object(Bucket=bucket, Key="old", Body=b"old")["ETag"]
    new = client.put_object(Bucket=bucket, Key="new", Body=b"new")["ETag"]
    hour = datetime.timedelta(hours=1)
    now = datetime.datetime.now(datetime.timezone.utc)
    refused = [
        {"DestinationIfNoneMatch": "*"}, {"DestinationIfMatch": old}, {"SourceIfMatch": new}, {"SourceIfNoneMatch": old},
        {"SourceIfModifiedSince": now + hour}, {"SourceIfUnmodifiedSince": now - hour},
    ]
    for conditions in refused:
        asked = {"Bucket": bucket, "Key": "new", "RenameSource": "old", **conditions}
        assert refusal(client.rename_object, **asked) == (412, "PreconditionFailed"), conditions
    assert refusal(client.rename_object, Bucket=bucket, Key="new", RenameSource="missing") == (404, "NoSuchKey")
    assert refusal(client.rename_object, Bucket=bucket, Key="new", RenameSource="new") == (400, "InvalidRequest")
    assert refusal(client.rename_object, Bucket="no-such-bucket", Key="a", RenameSource="b") == (404, "NoSuchBucket")
    assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"new"
    client.rename_object(Bucket=bucket, Key="new", RenameSource="old", DestinationIfMatch=new, SourceIfMatch=old,
                         SourceIfUnmodifiedSince=now + hour)
    assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"old"
    assert keys(client, bucket) == ["new"]


def test_a_rename_leaves_versions(bucket, client):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="old", Body=b"x" * 200_000)["VersionId"]
    client.rename_object(Bucket=bucket, Key="new", RenameSource="old")
    assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"x" * 200_000
    assert refusal(client.get_object, Bucket=bucket, Key="old") == (404, "NoSuchKey")
    assert client.get_object(Bucket=bucket, Key="old", VersionId=old)["Body"].read() == b"x" * 200_000
    listed = client.list_object_versions(Bucket=bucket)
    assert [marker["Key"] for marker in listed["DeleteMarkers"]] == ["old"]
    # The bytes stay while one of the two versions refers to them.
    client.delete_object(Bucket=bucket, Key="old", VersionId=old)
    assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"x" * 200_000
