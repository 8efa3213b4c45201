"""boto3 in its common uses, including what its transfer manager does by itself."""

import hashlib
import io
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import ACCESS_KEY, REGION, SECRET_KEY, run, seeded_bytes

MIB = 1024 * 1024


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_put_get_head_delete(server, bucket):
    s3 = server.boto3()
    body = seeded_bytes(1, 70_000)
    put = s3.put_object(Bucket=bucket, Key="a/b ü+&.bin", Body=body, Metadata={"origin": "test"},
                        ContentType="application/x-thing", CacheControl="no-cache")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="a/b ü+&.bin", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert got["Metadata"] == {"origin": "test"}
    assert got["ContentType"] == "application/x-thing" and got["CacheControl"] == "no-cache"
    assert got["ChecksumCRC32"]
    head = s3.head_object(Bucket=bucket, Key="a/b ü+&.bin")
    assert head["ContentLength"] == len(body) and head["ETag"] == put["ETag"]
    s3.delete_object(Bucket=bucket, Key="a/b ü+&.bin")
    assert error_of(s3.get_object, Bucket=bucket, Key="a/b ü+&.bin") == (404, "NoSuchKey")
    assert error_of(s3.head_object, Bucket=bucket, Key="a/b ü+&.bin") == (404, "404")


def test_small_objects_put_together_get_the_md5_of_their_own_bytes(server, bucket):
    """Bodies that are packed together are hashed together: each must get its own tag, in the answer and in the listing."""
    client = server.boto3(max_pool_connections=48)
    lengths = [1, 55, 56, 64, 65, 4096, 16 * 1024, 32 * 1024, 32 * 1024 + 1, 100_000]
    bodies = {f"{number:03}": seeded_bytes(number, lengths[number % len(lengths)]) for number in range(240)}

    def put(key):
        return client.put_object(Bucket=bucket, Key=key, Body=bodies[key])["ETag"]

    with ThreadPoolExecutor(48) as pool:
        answered = dict(zip(bodies, pool.map(put, bodies)))
    expected = {key: f'"{hashlib.md5(body).hexdigest()}"' for key, body in bodies.items()}
    assert answered == expected
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {entry["Key"]: entry["ETag"] for entry in listed} == expected
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="000", Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert refused.value.response["Error"]["Code"] == "BadDigest"


def test_ranges(server, bucket):
    s3 = server.boto3()
    body = seeded_bytes(2, 3 * MIB + 17)
    s3.put_object(Bucket=bucket, Key="r", Body=body)
    for text, expected in [("bytes=0-0", body[:1]), ("bytes=65535-65537", body[65535:65538]),
                           ("bytes=1048570-2097160", body[1048570:2097161]), ("bytes=-5", body[-5:]),
                           ("bytes=3145740-", body[3145740:]), ("bytes=0-99999999", body)]:
        got = s3.get_object(Bucket=bucket, Key="r", Range=text)
        assert got["Body"].read() == expected, text
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert error_of(s3.get_object, Bucket=bucket, Key="r", Range="bytes=9999999-")[1] == "InvalidRange"


def test_an_empty_object_downloads_through_the_transfer_manager(server, bucket):
    """boto3 asks for bytes=0-8388607 first and expects 416 InvalidRange of an empty object."""
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert error_of(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-8388607") == (416, "InvalidRange")
    sink = io.BytesIO()
    s3.download_fileobj(bucket, "empty", sink)
    assert sink.getvalue() == b""


def test_multipart_by_the_transfer_manager(server, bucket, tmp_path):
    s3 = server.boto3()
    body = seeded_bytes(3, 23 * MIB + 5)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(body)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_file(str(source), bucket, "big", Config=config)
    assert s3.head_object(Bucket=bucket, Key="big")["ETag"].endswith('-5"')
    s3.download_file(bucket, "big", str(target), Config=config)
    assert target.read_bytes() == body
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=5)
    assert part["Body"].read() == body[20 * MIB:] and part["PartsCount"] == 5


def test_transfers_on_the_aws_common_runtime(server, bucket, tmp_path):
    """awscrt lives in a process of its own, because it keeps one client per process."""
    script = Path(__file__).with_name("crt_transfer.py")
    certificate = [str(server.certificate)] if server.tls else []
    run([sys.executable, script, server.endpoint, bucket, tmp_path, *certificate], env=server.client_env())
    keys = server.boto3().list_objects_v2(Bucket=bucket).get("Contents", [])
    assert keys == [], "the common runtime has deleted what it wrote"


def test_boto3_that_prefers_the_aws_common_runtime(server, bucket, tmp_path):
    script = Path(__file__).with_name("crt_preferred.py")
    certificate = [str(server.certificate)] if server.tls else []
    run([sys.executable, script, bucket, tmp_path, *certificate], env=server.client_env())
    assert server.boto3().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_conditional_requests(server, bucket):
    s3 = server.boto3()
    first = s3.put_object(Bucket=bucket, Key="c", Body=b"one", IfNoneMatch="*")
    assert error_of(s3.put_object, Bucket=bucket, Key="c", Body=b"x", IfNoneMatch="*") == (412, "PreconditionFailed")
    s3.put_object(Bucket=bucket, Key="c", Body=b"two", IfMatch=first["ETag"])
    assert error_of(s3.put_object, Bucket=bucket, Key="c", Body=b"x", IfMatch=first["ETag"])[0] == 412
    assert error_of(s3.get_object, Bucket=bucket, Key="c", IfMatch=first["ETag"])[0] == 412
    now = s3.head_object(Bucket=bucket, Key="c")["ETag"]
    assert error_of(s3.get_object, Bucket=bucket, Key="c", IfNoneMatch=now)[0] == 304
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"two"


def test_listing(server, bucket):
    s3 = server.boto3()
    keys = sorted([f"dir{n % 3}/key {n:03}" for n in range(30)] + ["a", "a/b", "z\u00fc"], key=str.encode)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
        assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [item["Prefix"] for item in page["CommonPrefixes"]] == ["a/", "dir0/", "dir1/", "dir2/"]
    assert [item["Key"] for item in page["Contents"]] == ["a", "z\u00fc"]
    page = s3.list_objects_v2(Bucket=bucket, Prefix="dir1/", StartAfter="dir1/key 015")
    assert page["KeyCount"] == len([key for key in keys if key.startswith("dir1/") and key > "dir1/key 015"])


def test_delete_many_and_copy(server, bucket):
    s3 = server.boto3()
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k19"})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x" * 19
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{n}"} for n in range(25)]})
    assert len(answer["Deleted"]) == 25 and "Errors" not in answer
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]
    assert error_of(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")


def test_multipart_by_hand(server, bucket):
    s3 = server.boto3()
    parts = {1: seeded_bytes(6, 5 * MIB), 2: seeded_bytes(7, 5 * MIB + 1), 7: seeded_bytes(8, 10)}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Metadata={"a": "b"})["UploadId"]
    done = []
    for number, body in parts.items():
        etag = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        done.append({"PartNumber": number, "ETag": etag})
    listed = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(n, len(b)) for n, b in parts.items()]
    assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    made = s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": done})
    assert made["Location"] == f"{server.endpoint}/{bucket}/m"
    got = s3.get_object(Bucket=bucket, Key="m")
    assert got["Body"].read() == b"".join(parts.values()) and got["Metadata"] == {"a": "b"}
    digests = b"".join(hashlib.md5(body).digest() for body in parts.values())
    assert got["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'

    upload = s3.create_multipart_upload(Bucket=bucket, Key="n")["UploadId"]
    copied = s3.upload_part_copy(Bucket=bucket, Key="n", UploadId=upload, PartNumber=1,
                                 CopySource={"Bucket": bucket, "Key": "m"}, CopySourceRange="bytes=5-104")
    part = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}
    s3.complete_multipart_upload(Bucket=bucket, Key="n", UploadId=upload, MultipartUpload={"Parts": [part]})
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == parts[1][5:105]

    upload = s3.create_multipart_upload(Bucket=bucket, Key="gone")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="gone", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="gone", UploadId=upload)
    assert error_of(s3.list_parts, Bucket=bucket, Key="gone", UploadId=upload) == (404, "NoSuchUpload")


def test_presigned_urls(server, bucket):
    import ssl

    s3 = server.boto3(signature_version="s3v4")
    context = ssl.create_default_context(cafile=server.certificate) if server.tls else None
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "p q"}, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"presigned", method="PUT")
    with urllib.request.urlopen(request, context=context) as answer:
        assert answer.status == 200
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "p q"}, ExpiresIn=60)
    with urllib.request.urlopen(url, context=context) as answer:
        assert answer.read() == b"presigned"
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), context=context)
    assert raised.value.code == 403


def test_virtual_host_style(server, bucket, monkeypatch):
    """The bucket in the Host header. Names under `localhost` are this machine (RFC 6761)."""
    import boto3

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve(
        "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more))
    s3 = boto3.client("s3", endpoint_url=f"{server.endpoint.split(':')[0]}://localhost:{server.port}",
                      aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION,
                      verify=str(server.certificate) if server.tls else None,
                      config=Config(s3={"addressing_style": "virtual"}, retries={"total_max_attempts": 1}))
    s3.put_object(Bucket=bucket, Key="v/h", Body=b"host")
    assert s3.get_object(Bucket=bucket, Key="v/h")["Body"].read() == b"host"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["v/h"]


def test_metrics_tell_where_the_time_of_large_objects_went_by_operation(server, bucket):
    s3 = server.boto3()

    def phases():
        context = ssl.create_default_context(cafile=server.certificate) if server.tls else None
        with urllib.request.urlopen(f"{server.endpoint}/metrics", context=context) as answer:
            lines = re.findall(r"^granary_s3_phase_seconds_count{([^}]*)} (\d+)$", answer.read().decode(), re.MULTILINE)
        labels = [(dict(re.findall(r'(\w+)="([^"]*)"', text)), int(count)) for text, count in lines]
        return {(label["operation"], label["phase"]): count for label, count in labels}

    before = phases()
    body = seeded_bytes(9, 5 * MIB)
    s3.put_object(Bucket=bucket, Key="large", Body=body)
    upload = {"Bucket": bucket, "Key": "m", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]}
    tag = s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    deadline = time.monotonic() + 60
    expected = {
        "PutObject": {"receive", "engine", "flush", "metadata"},
        "UploadPart": {"receive", "engine", "flush", "metadata"},
        "CompleteMultipartUpload": {"engine", "flush", "metadata"},
        "CopyObject": {"engine", "flush", "metadata"},
        "GetObject": {"engine", "send"},
    }
    # A request is counted when its answer is on its way, so that it may be seen a little later.
    while True:
        counted = {place for place, count in phases().items() if count > before.get(place, 0)}
        told = {operation: {phase for name, phase in counted if name == operation} for operation in expected}
        if told == expected or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert told == expected


def drive_bytes_written(server):
    context = ssl.create_default_context(cafile=server.certificate) if server.tls else None
    with urllib.request.urlopen(f"{server.endpoint}/metrics", context=context) as answer:
        counts = re.findall(r"^granary_drive_written_bytes_total(?:{[^}]*})? (\d+)$", answer.read().decode(), re.MULTILINE)
    return sum(int(count) for count in counts)


def test_copies_of_large_objects_move_no_data_and_are_as_at_aws(server, bucket):
    s3, part_bytes = server.boto3(), 8 * MIB
    body = seeded_bytes(21, 3 * part_bytes + 5)
    pieces = [body[at:at + part_bytes] for at in range(0, len(body), part_bytes)]

    def multipart(key, send):
        upload = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]}
        tags = [send({**upload, "PartNumber": number}, number) for number in range(1, len(pieces) + 1)]
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ETag"]

    put = s3.put_object(Bucket=bucket, Key="whole", Body=body)
    tag = multipart("parts", lambda place, number: s3.upload_part(**place, Body=pieces[number - 1])["ETag"])
    before = drive_bytes_written(server)

    # One request makes one object: its tag is the MD5 of all bytes, however the source was uploaded.
    for source in ["whole", "parts"]:
        copied = s3.copy_object(Bucket=bucket, Key=f"copy-{source}", CopySource=f"{bucket}/{source}")["CopyObjectResult"]
        assert copied["ETag"] == put["ETag"]
        assert "PartsCount" not in s3.head_object(Bucket=bucket, Key=f"copy-{source}", PartNumber=1)
    s3.copy_object(Bucket=bucket, Key="whole", CopySource=f"{bucket}/whole", MetadataDirective="REPLACE", Metadata={"a": "b"})

    # Ranges that are parts of the source become parts of the copy; others are copied as they are.
    def copy_part(place, number):
        start = (number - 1) * part_bytes
        span = f"bytes={start}-{start + len(pieces[number - 1]) - 1}"
        return s3.upload_part_copy(**place, CopySource=f"{bucket}/parts", CopySourceRange=span)["CopyPartResult"]["ETag"]

    assert multipart("copied-parts", copy_part) == tag
    assert drive_bytes_written(server) - before < part_bytes, "copies wrote the bytes again"
    unaligned = {"Bucket": bucket, "Key": "unaligned"}
    unaligned["UploadId"] = s3.create_multipart_upload(**unaligned)["UploadId"]
    copied = s3.upload_part_copy(**unaligned, PartNumber=1, CopySource=f"{bucket}/parts", CopySourceRange=f"bytes=1-{2 * part_bytes}")
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**unaligned, MultipartUpload={"Parts": parts})

    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "whole"}, {"Key": "parts"}]})
    for key in ["copy-whole", "copy-parts", "copied-parts"]:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
    assert s3.get_object(Bucket=bucket, Key="unaligned")["Body"].read() == body[1:2 * part_bytes + 1]
    part = s3.get_object(Bucket=bucket, Key="copied-parts", PartNumber=4)
    assert (part["PartsCount"], part["Body"].read()) == (4, pieces[3])
