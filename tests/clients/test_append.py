"""PutObject with a write offset: what is appended is there whole, once and at its place."""

import base64
import concurrent.futures
import zlib

import pytest
from botocore.exceptions import ClientError

from harness import refusal, seeded_bytes


@pytest.fixture
def client(server):
    return server.boto3()


def append(client, bucket, offset, body, **more):
    return client.put_object(Bucket=bucket, Key="log", Body=body, WriteOffsetBytes=offset, **more)


@pytest.mark.parametrize("lengths", [(0, 5, 0, 7), (100_000, 40_000, 10), (1_000_000, 3, 200_000, 1), (131_072, 1)])
def test_pieces_of_all_sizes_become_one_object(server, bucket, client, lengths):
    whole = b""
    for number, length in enumerate(lengths):
        piece = seeded_bytes(number, length)
        answer = append(client, bucket, len(whole), piece, ContentType="text/plain", Metadata={"n": str(number)})
        whole += piece
        assert answer["Size"] == len(whole)
        found = client.get_object(Bucket=bucket, Key="log")
        assert found["Body"].read() == whole and found["ETag"] == answer["ETag"]
    # What the object was made with stays.
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"n": "0"})
    middle = client.get_object(Bucket=bucket, Key="log", Range=f"bytes={len(whole) // 3}-{len(whole) // 2}")
    assert middle["Body"].read() == whole[len(whole) // 3:len(whole) // 2 + 1]
    server.kill()
    server.start()
    assert client.get_object(Bucket=bucket, Key="log")["Body"].read() == whole
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "log"})
    client.delete_object(Bucket=bucket, Key="log")
    assert client.get_object(Bucket=bucket, Key="copy")["Body"].read() == whole


def test_only_the_end_can_be_written(bucket, client):
    assert refusal(append, client=client, bucket=bucket, offset=5, body=b"x") == (400, "InvalidWriteOffset")
    append(client, bucket, 0, b"hello")
    for offset in (0, 4, 6):
        assert refusal(append, client=client, bucket=bucket, offset=offset, body=b"x") == (400, "InvalidWriteOffset")
    assert client.get_object(Bucket=bucket, Key="log")["Body"].read() == b"hello"
    etag = client.head_object(Bucket=bucket, Key="log")["ETag"]
    wrong = {"client": client, "bucket": bucket, "offset": 5, "body": b"x", "IfMatch": '"other"'}
    assert refusal(append, **wrong) == (412, "PreconditionFailed")
    append(client, bucket, 5, b" world", IfMatch=etag)
    assert client.get_object(Bucket=bucket, Key="log")["Body"].read() == b"hello world"


def test_the_checksum_of_the_whole_is_kept(bucket, client):
    pieces = [b"a" * 300_000, b"b" * 10]
    append(client, bucket, 0, pieces[0], ChecksumAlgorithm="CRC32")
    answer = append(client, bucket, len(pieces[0]), pieces[1], ChecksumAlgorithm="CRC32")
    expected = base64.b64encode(zlib.crc32(b"".join(pieces)).to_bytes(4, "big")).decode()
    assert answer["ChecksumCRC32"] == expected
    found = client.head_object(Bucket=bucket, Key="log", ChecksumMode="ENABLED")
    assert (found["ChecksumCRC32"], found["ChecksumType"]) == (expected, "FULL_OBJECT")


@pytest.mark.parametrize("length", [10, 200_000])
def test_of_many_at_one_offset_one_wins(bucket, client, length):
    append(client, bucket, 0, b"." * length)

    def one(number):
        try:
            append(client, bucket, length, f"{number:04}".encode())
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidWriteOffset", error
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = [number for number in pool.map(one, range(16)) if number is not None]
    assert len(won) == 1
    assert client.get_object(Bucket=bucket, Key="log")["Body"].read() == b"." * length + f"{won[0]:04}".encode()


def test_an_append_to_a_multipart_object_and_to_a_version(bucket, client):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    part = seeded_bytes(5, 5 << 20)
    upload = client.create_multipart_upload(Bucket=bucket, Key="log")["UploadId"]
    tag = client.upload_part(Bucket=bucket, Key="log", UploadId=upload, PartNumber=7, Body=part)["ETag"]
    first = client.complete_multipart_upload(Bucket=bucket, Key="log", UploadId=upload,
                                             MultipartUpload={"Parts": [{"PartNumber": 7, "ETag": tag}]})["VersionId"]
    second = append(client, bucket, len(part), b"more")["VersionId"]
    assert client.get_object(Bucket=bucket, Key="log", VersionId=first)["Body"].read() == part
    client.delete_object(Bucket=bucket, Key="log", VersionId=first)
    assert client.get_object(Bucket=bucket, Key="log", VersionId=second)["Body"].read() == part + b"more"


def test_what_is_no_put_of_an_object_takes_no_offset(bucket, client):
    client.put_object(Bucket=bucket, Key="source", Body=b"x")

    def with_offset(call, **parameters):
        def add(params, **_):
            params["headers"]["x-amz-write-offset-bytes"] = "0"
        client.meta.events.register("before-call.s3", add)
        try:
            return refusal(call, Bucket=bucket, Key="k", **parameters)
        finally:
            client.meta.events.unregister("before-call.s3", add)

    assert with_offset(client.copy_object, CopySource=f"{bucket}/source") == (501, "NotImplemented")
    assert with_offset(client.create_multipart_upload) == (501, "NotImplemented")
