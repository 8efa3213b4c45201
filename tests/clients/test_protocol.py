"""What a picky client sees on the wire: each test is named after what was wrong."""

import concurrent.futures
import datetime
import http.client
import re
import ssl
import time
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import ACCESS_KEY, REGION, SECRET_KEY


class Answer:
    """A response read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def field(self, name):
        found = re.search(f"<{name}>(.*?)</{name}>".encode(), self.body, re.DOTALL)
        return found.group(1).decode() if found else None

    @property
    def outcome(self):
        return self.status, self.field("Code")


def connection(server):
    host, port = server.host.split(":")
    if server.tls:
        return http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=server.certificate))
    return http.client.HTTPConnection(host, int(port))


def head_of(server, method, target, headers=(), body=b"", secret=SECRET_KEY):
    """The headers of a signed request."""
    request = AWSRequest(method=method, url=server.endpoint + target, data=body, headers=dict(headers))
    S3SigV4Auth(Credentials(ACCESS_KEY, secret), "s3", REGION).add_auth(request)
    return dict(request.headers.items())


def send(server, method, target, headers=(), body=b"", secret=SECRET_KEY):
    link = connection(server)
    link.request(method, target, body=body or None, headers=head_of(server, method, target, headers, body, secret))
    answer = Answer(link.getresponse())
    link.close()
    return answer


@pytest.fixture
def key(server, bucket):
    """An object of 11 bytes: its path and its entity tag."""
    tag = server.boto3().put_object(Bucket=bucket, Key="k", Body=b"hello world", CacheControl="max-age=1")["ETag"]
    return f"/{bucket}/k", tag


def test_if_range_was_ignored(server, key):
    path, tag = key
    for condition, status, length in [(tag, 206, "5"), ('"other"', 200, "11")]:
        answer = send(server, "GET", path, {"Range": "bytes=0-4", "If-Range": condition})
        assert (answer.status, answer.headers["content-length"]) == (status, length)


def test_a_date_on_a_write_was_ignored(server, key):
    path, _ = key
    date = {"If-Unmodified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}
    for method, body in (("PUT", b"new"), ("DELETE", b"")):
        assert send(server, method, path, date, body).outcome == (501, "NotImplemented")
    assert send(server, "GET", path).body == b"hello world"


def test_304_did_not_say_how_long_to_cache(server, key):
    path, tag = key
    answer = send(server, "GET", path, {"If-None-Match": tag})
    assert answer.status == 304 and not answer.body
    assert answer.headers["etag"] == tag and answer.headers["cache-control"] == "max-age=1"


def test_a_checksum_of_an_unknown_algorithm_was_ignored(server, key):
    answer = send(server, "PUT", key[0], {"x-amz-checksum-crc16": "AAA="}, b"new")
    assert answer.outcome == (400, "InvalidRequest")


def test_an_override_that_no_header_can_carry_was_ignored(server, key):
    for value in ("a\r\nb", "日本"):
        answer = send(server, "GET", f"{key[0]}?response-content-disposition={quote(value)}")
        assert answer.outcome == (400, "InvalidArgument")
        assert answer.field("ArgumentName") == "response-content-disposition"


def test_delete_by_time_and_size_was_not_implemented(server, bucket):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"1234567")
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for wrong in ({"IfMatchSize": 8}, {"IfMatchLastModifiedTime": datetime.datetime(2020, 1, 1)}):
        with pytest.raises(ClientError) as raised:
            s3.delete_object(Bucket=bucket, Key="k", **wrong)
        assert raised.value.response["Error"]["Code"] == "PreconditionFailed"
        batch = {"Objects": [{"Key": "k", **{name.removeprefix("IfMatch"): value for name, value in wrong.items()}}]}
        errors = s3.delete_objects(Bucket=bucket, Delete=batch)["Errors"]
        assert [error["Code"] for error in errors] == ["PreconditionFailed"]
    right = {"IfMatchSize": 7, "IfMatchLastModifiedTime": modified}
    s3.delete_object(Bucket=bucket, Key="k", **right)
    # Nothing is there any more, and both conditions hold for that.
    s3.delete_object(Bucket=bucket, Key="k", **right)


def test_a_wrong_upload_id_marker_was_no_such_upload(server, bucket):
    answer = send(server, "GET", f"/{bucket}?key-marker=k&upload-id-marker=bad&uploads=")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.field("ArgumentName") == "upload-id-marker"


def test_no_such_upload_did_not_name_the_upload(server, bucket):
    answer = send(server, "PUT", f"/{bucket}/k?partNumber=1&uploadId={'0' * 32}", body=b"x")
    assert answer.outcome == (404, "NoSuchUpload")
    assert answer.field("UploadId") == "0" * 32


def test_a_mismatch_did_not_say_what_was_signed(server, key):
    answer = send(server, "GET", key[0], secret="wrong")
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    assert answer.field("AWSAccessKeyId") == ACCESS_KEY
    assert answer.field("StringToSign").startswith("AWS4-HMAC-SHA256\n")
    assert answer.field("CanonicalRequest").startswith(f"GET\n{key[0]}\n\nhost:{server.host}\n")
    assert SECRET_KEY.encode() not in answer.body


def test_an_expired_url_did_not_say_when(server, bucket, key):
    from botocore.config import Config
    import boto3

    s3 = boto3.client("s3", endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=ACCESS_KEY,
                      aws_secret_access_key=SECRET_KEY,
                      config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    url = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=1))
    time.sleep(2.1)
    link = connection(server)
    link.request("GET", f"{url.path}?{url.query}")
    answer = Answer(link.getresponse())
    assert answer.outcome == (403, "AccessDenied") and answer.field("X-Amz-Expires") == "1"
    assert answer.field("Expires") < answer.field("ServerTime")


def test_a_refused_body_spoiled_the_connection(server, key):
    link = connection(server)
    for method, target, body, status in [
        ("PUT", "/no-such-bucket/k", b"x" * 300_000, 404),
        ("GET", key[0], b"", 200),
        ("DELETE", key[0], b"", 204),
        ("HEAD", key[0], b"", 404),
        ("GET", key[0], b"", 404),
    ]:
        link.request(method, target, body=body or None, headers=head_of(server, method, target, (), body))
        assert Answer(link.getresponse()).status == status
    link.close()


def test_the_answer_to_a_large_body_that_is_refused_unread_was_lost(server, bucket):
    body = bytes(64 * 1024 * 1024)
    large = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    refusals = [
        (f"/no-{bucket}/k", {}, SECRET_KEY, (404, "NoSuchBucket")),
        (f"/{bucket}/k", {}, "wrong", (403, "SignatureDoesNotMatch")),
        (f"/{bucket}/k", {"x-amz-storage-class": "NO_SUCH"}, SECRET_KEY, (400, "InvalidStorageClass")),
    ]
    for target, headers, secret, outcome in refusals:
        assert send(server, "PUT", target, large | headers, body, secret).outcome == outcome


def test_a_refused_expectation_asked_for_the_body(server, key):
    headers = head_of(server, "PUT", key[0], {"If-None-Match": "*"}, b"new")
    lines = [f"PUT {key[0]} HTTP/1.1", "Host: " + server.host, "Expect: 100-continue", "Content-Length: 3"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    link = connection(server)
    link.connect()
    link.sock.settimeout(30)
    link.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert link.sock.recv(65536).startswith(b"HTTP/1.1 412 ")
    link.close()


def complete(server, bucket, key, upload, tag, headers=()):
    document = (f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
                "</CompleteMultipartUpload>").encode()
    return send(server, "POST", f"/{bucket}/{key}?uploadId={upload}", headers, document)


def test_a_race_of_completions_was_an_invalid_part(server, bucket):
    s3 = server.boto3()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for number in range(5):
            place = {"Bucket": bucket, "Key": f"k{number}"}
            upload = s3.create_multipart_upload(**place)["UploadId"]
            tag = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
            racers = [pool.submit(complete, server, bucket, f"k{number}", upload, tag) for _ in range(16)]
            assert {racer.result().outcome for racer in racers} == {(200, None)}


def test_a_completion_sent_again_was_no_such_upload(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    tag = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    once = {"If-None-Match": "*"}
    first, again = (complete(server, bucket, "k", upload, tag, once) for _ in range(2))
    assert first.outcome == again.outcome == (200, None) and first.body == again.body
    other = f'"{"0" * 32}"'
    assert complete(server, bucket, "k", upload, other).outcome == (404, "NoSuchUpload")
    assert complete(server, bucket, "k", "0" * 32, tag).outcome == (404, "NoSuchUpload")
    assert send(server, "DELETE", f"/{bucket}/k?uploadId={upload}").outcome == (404, "NoSuchUpload")
    s3.put_object(**place, Body=b"y")
    assert complete(server, bucket, "k", upload, tag).outcome == (404, "NoSuchUpload")


def test_a_request_signed_for_another_region_is_told_the_right_one(server, bucket, key):
    """Every region was taken, so that a client with a wrong one was never told."""
    request = AWSRequest(method="GET", url=f"{server.endpoint}/{bucket}", headers={})
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "eu-west-1").add_auth(request)
    link = connection(server)
    link.request("GET", f"/{bucket}", headers=dict(request.headers.items()))
    answer = Answer(link.getresponse())
    link.close()
    assert answer.outcome == (400, "AuthorizationHeaderMalformed")
    assert answer.field("Region") == REGION
    # SDKs go by that, and sign again.
    import boto3

    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="eu-west-1", aws_access_key_id=ACCESS_KEY,
                          aws_secret_access_key=SECRET_KEY, verify=str(server.certificate) if server.tls else None)
    assert client.get_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_buckets_are_made_in_the_server_s_region_only(server):
    """Any name was taken for the region of a bucket, and then shown as where it lies."""
    client = server.boto3()
    for region, code in [("eu-west-1", "IllegalLocationConstraintException"), ("EU", "IllegalLocationConstraintException"),
                         ("mars", "InvalidLocationConstraint"), (REGION, "InvalidLocationConstraint")]:
        with pytest.raises(ClientError) as refused:
            client.create_bucket(Bucket="region-bucket", CreateBucketConfiguration={"LocationConstraint": region})
        assert refused.value.response["Error"]["Code"] == code, region
    body = "<CreateBucketConfiguration><LocationConstraint></LocationConstraint></CreateBucketConfiguration>"
    assert send(server, "PUT", "/region-bucket", body=body.encode()).status == 200
    assert client.get_bucket_location(Bucket="region-bucket")["LocationConstraint"] is None
    assert client.head_bucket(Bucket="region-bucket")["BucketRegion"] == REGION


def test_unknown_list_types_are_refused(server, bucket):
    for value in ["3", "", "v2"]:
        assert send(server, "GET", f"/{bucket}?list-type={value}").outcome == (400, "InvalidArgument")


def test_heads_that_are_too_large_get_a_document(server, bucket):
    """The answer was a bare 431, which no S3 client can read."""
    for headers in [{"x-amz-meta-a": "a" * 20_000}, {"x-amz-meta-a": "a" * 500_000}, {f"x-{n}": "a" for n in range(150)}]:
        link = connection(server)
        link.request("GET", f"/{bucket}", headers=headers)
        answer = Answer(link.getresponse())
        assert answer.outcome == (400, "RequestHeaderSectionTooLarge")
        assert answer.headers["connection"] == "close"
        link.close()


def test_the_type_of_a_part_s_checksum_was_not_shown(server, bucket):
    client = server.boto3()
    parts = [b"a" * (5 << 20), b"b"]
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
    sent = [client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=n, Body=part,
                               ChecksumAlgorithm="SHA256") for n, part in enumerate(parts, 1)]
    named = [{"PartNumber": n, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]} for n, part in enumerate(sent, 1)]
    client.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": named})
    for number, part in enumerate(sent, 1):
        found = client.get_object(Bucket=bucket, Key="parts", PartNumber=number, ChecksumMode="ENABLED")
        assert (found["ChecksumSHA256"], found["ChecksumType"]) == (part["ChecksumSHA256"], "COMPOSITE")
