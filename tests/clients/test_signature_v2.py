"""Signature Version 2: refused, unless the operator lets it; then by boto3's signer of it."""

import shutil
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config

from harness import ACCESS_KEY, REGION, SECRET_KEY, Server, refusal, scratch_root


def old_client(server, secret=SECRET_KEY, style="path"):
    config = Config(signature_version="s3", s3={"addressing_style": style}, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=ACCESS_KEY,
                        aws_secret_access_key=secret, config=config)


@pytest.fixture(scope="module")
def lenient():
    root = scratch_root()
    server = Server(root, drives=1, settings={"GRANARY_ALLOW_SIGNATURE_V2": "true"}).start()
    server.boto3().create_bucket(Bucket="bucket")
    yield server
    server.kill()
    shutil.rmtree(root, ignore_errors=True)


def read(url, method="GET", data=None):
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_version_2_is_refused_by_default(tmp_path):
    server = Server(tmp_path, drives=1).start()
    try:
        server.boto3().create_bucket(Bucket="bucket")
        old = old_client(server)
        assert refusal(old.list_buckets) == (400, "InvalidRequest")
        status, body = read(old.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}))
        assert status == 400 and b"InvalidRequest" in body
    finally:
        server.kill()


def test_an_old_client_works(lenient):
    old = old_client(lenient)
    old.put_object(Bucket="bucket", Key="a b/\u00e9+", Body=b"hello", ContentType="text/x", Metadata={"a": "b  c"})
    assert old.get_object(Bucket="bucket", Key="a b/\u00e9+")["Body"].read() == b"hello"
    assert [found["Key"] for found in old.list_objects_v2(Bucket="bucket", Prefix="a b", MaxKeys=5)["Contents"]] == ["a b/\u00e9+"]
    old.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    upload = old.create_multipart_upload(Bucket="bucket", Key="m")["UploadId"]
    tag = old.upload_part(Bucket="bucket", Key="m", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    old.complete_multipart_upload(Bucket="bucket", Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    old.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "m"}]})
    assert refusal(old_client(lenient, "x" * 20).list_buckets) == (403, "SignatureDoesNotMatch")


def test_presigned_urls_of_version_2(lenient):
    old = old_client(lenient)
    old.put_object(Bucket="bucket", Key="k", Body=b"k")
    url = old.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k", "ResponseContentType": "text/plain"})
    assert "AWSAccessKeyId=" in url and read(url) == (200, b"k")
    assert read(url.replace("/k?", "/j?"))[0] == 403
    assert read(url, "DELETE")[0] == 403
    assert read(url.replace("text%2Fplain", "text%2Fhtml"))[0] == 403
    over = old.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=-1)
    assert read(over)[0] == 403
    put = old.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "k"})
    # What the signature does not cover must not make another request of it.
    for more in ["&renameObject", "&retention", "&legal-hold", "&x-amz-copy-source=bucket%2Fother", "&attributes", "&tagging"]:
        assert read(put + more, "PUT", b"evil")[0] in (400, 403), more
    assert old.get_object(Bucket="bucket", Key="k")["Body"].read() == b"k"


def test_a_policy_can_refuse_version_2(lenient):
    import json

    s3, old = lenient.boto3(), old_client(lenient)
    s3.create_bucket(Bucket="strict")
    s3.put_object(Bucket="strict", Key="k", Body=b"k")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::strict/*",
            "Condition": {"StringEquals": {"s3:signatureversion": "AWS"}}}
    s3.put_bucket_policy(Bucket="strict", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert refusal(old.get_object, Bucket="strict", Key="k") == (403, "AccessDenied")
    assert s3.get_object(Bucket="strict", Key="k")["Body"].read() == b"k"
