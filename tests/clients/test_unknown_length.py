"""Objects and parts that are sent without their length: refused, unless the operator lets them come."""

import hashlib
import http.client
import socket
import time

import pytest

from harness import refusal, running, seeded_bytes

MIB = 1024 * 1024
LENGTHS = [0, 5, 128 * 1024 + 1, 9 * MIB]


@pytest.fixture(scope="module")
def lenient():
    with running(drives=2, settings={"GRANARY_ALLOW_UNKNOWN_LENGTH": "true"}) as server:
        server.boto3().create_bucket(Bucket="bucket")
        yield server


def url_of(server, method, **parameters):
    return server.boto3(signature_version="s3v4").generate_presigned_url(method, Params=parameters)


def put(server, url, body):
    """Sends the pieces of a body one after the other, as what is made while it is sent."""
    pieces = (body[at:at + 100_000] for at in range(0, len(body), 100_000))
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    link.request("PUT", url.removeprefix(server.endpoint), body=pieces, headers={"Transfer-Encoding": "chunked"},
                 encode_chunked=True)
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer


def test_they_are_refused_where_nobody_lets_them():
    with running(drives=1) as server:
        s3 = server.boto3()
        s3.create_bucket(Bucket="bucket")
        assert put(server, url_of(server, "put_object", Bucket="bucket", Key="k"), b"hello").status == 411
        assert refusal(s3.head_object, Bucket="bucket", Key="k")[0] == 404


@pytest.mark.parametrize("length", LENGTHS)
def test_an_object_is_as_long_as_what_came(lenient, length):
    s3, body = lenient.boto3(), seeded_bytes(length, length)
    answer = put(lenient, url_of(lenient, "put_object", Bucket="bucket", Key="k"), body)
    assert answer.status == 200
    assert answer.headers["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    found = s3.get_object(Bucket="bucket", Key="k")
    assert found["ContentLength"] == length and found["Body"].read() == body


def test_parts_may_come_so_too(lenient):
    s3, bodies = lenient.boto3(), [seeded_bytes(1, 5 * MIB), seeded_bytes(2, 70_000)]
    place = {"Bucket": "bucket", "Key": "parts"}
    place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = put(lenient, url_of(lenient, "upload_part", PartNumber=number, **place), body)
        assert answer.status == 200
        parts.append({"PartNumber": number, "ETag": answer.headers["ETag"]})
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="bucket", Key="parts")["Body"].read() == b"".join(bodies)


def test_a_signed_body_is_verified(lenient):
    s3 = lenient.boto3()

    def without_length(request, **_):
        request.headers["Transfer-Encoding"] = "chunked"

    s3.meta.events.register_first("before-sign.s3.PutObject", without_length)
    s3.put_object(Bucket="bucket", Key="signed", Body=b"hello")
    assert s3.get_object(Bucket="bucket", Key="signed")["Body"].read() == b"hello"

    def another_body(request, **_):
        request.body = b"hallo"

    s3.meta.events.register("before-send.s3.PutObject", another_body)
    assert refusal(s3.put_object, Bucket="bucket", Key="other", Body=b"hello")[0] == 400
    assert refusal(s3.head_object, Bucket="bucket", Key="other")[0] == 404


def test_what_does_not_come_to_its_end_is_not_stored(lenient):
    s3, target = lenient.boto3(), url_of(lenient, "put_object", Bucket="bucket", Key="half").removeprefix(lenient.endpoint)
    with socket.create_connection(("127.0.0.1", lenient.port), timeout=30) as link:
        head = f"PUT {target} HTTP/1.1\r\nHost: {lenient.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        link.sendall(head.encode() + b"5\r\nhello\r\n")
    time.sleep(1)
    assert refusal(s3.head_object, Bucket="bucket", Key="half")[0] == 404
