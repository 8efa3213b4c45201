"""Published weaknesses of object stores, on the way in: signatures, forms, paths, headers, logs.

Each test is named after the weakness it guards against, and holds a proof that the same request is served where it is right.
What becomes of those who are let in is in `test_security_access.py`. The last test keeps any of them from vanishing.
"""

import base64
import binascii
import datetime
import hashlib
import hmac
import inspect
import json
import os
import re
import shutil
import socket
import sys
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote, urlsplit

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import test_notifications
import test_security_access
import test_web_identity
from harness import ACCESS_KEY, REGION, SECRET_KEY, Server, refusal, scratch_root
from test_iam import client, server  # noqa: F401
from test_post_object import encode, policy_of, signed_v2
from test_protocol import Answer, connection, head_of, send

TESTS_AT_LEAST = 53
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.fixture
def s3(server):  # noqa: F811
    return server.boto3(signature_version="s3v4")


@pytest.fixture
def bucket(s3):
    name = f"security-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=name)
    return name


def raw(server, method, target, headers=(), body=None):
    """Sends what it is told to, and signs nothing."""
    link = connection(server)
    link.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        link.putheader(name, value)
    if body is not None:
        link.putheader("Content-Length", str(len(body)))
    link.endheaders(body)
    answer = Answer(link.getresponse())
    link.close()
    return answer


def raw_bytes(server, data):
    """Sends bytes, and returns what comes back until the server closes."""
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as link:
        link.sendall(data)
        received = link.recv(65536)
        # Not before: whoever hangs up while a request is looked at gets no answer.
        link.shutdown(socket.SHUT_WR)
        while piece := link.recv(65536):
            received += piece
    return received


class Streamed(S3SigV4Auth):
    """Signs the head of a request whose body is not signed and has trailers."""

    def payload(self, request):
        return UNSIGNED_TRAILER


def trailing(data=b"hello"):
    """An unsigned body with a trailer, and the headers that belong to it."""
    checksum = base64.b64encode(binascii.crc32(data).to_bytes(4, "big")).decode()
    body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(data), data, checksum.encode())
    headers = {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": "x-amz-checksum-crc32",
               "content-encoding": "aws-chunked"}
    return headers, body


def streamed(server, method, target, headers, body, credentials=(ACCESS_KEY, SECRET_KEY)):
    request = AWSRequest(method=method, url=server.endpoint + target, data=body, headers=dict(headers))
    Streamed(Credentials(*credentials), "s3", REGION).add_auth(request)
    return list(request.headers.items())


def made_up(signature="0" * 64, names="host;x-amz-content-sha256;x-amz-date"):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{ACCESS_KEY}/{now[:8]}/{REGION}/s3/aws4_request"
    return [("x-amz-date", now),
            ("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}")]


def modelled_writes(upload):
    """Every operation of botocore's model that writes in a bucket: its method and its target behind the bucket."""
    model = botocore.session.get_session().get_service_model("s3")
    values = {"uploadId": upload, "partNumber": "1"}
    for operation in map(model.operation_model, model.operation_names):
        method, uri = operation.http["method"], operation.http["requestUri"]
        if method in ("GET", "HEAD") or not uri.startswith("/{Bucket}"):
            continue
        members = [operation.input_shape.members[name].serialization for name in operation.input_shape.required_members]
        asked = [member["name"] for member in members if member.get("location") == "querystring"]
        target, _, query = uri.removeprefix("/{Bucket}").replace("{Key+}", "kept").partition("?")
        query = "&".join([*filter(None, [query]), *(f"{name}={values.get(name, 'a')}" for name in asked)])
        yield method, target + ("?" + query if query else "")


def write_routes(bucket, upload):
    """Every way to write: its method, its target behind the bucket, its headers, its body."""
    headers, body = trailing()
    for target, more in [("/new", {}), ("/kept", {"x-amz-write-offset-bytes": "4"}),
                         ("/new", {"x-amz-copy-source": f"/{bucket}/kept"}),
                         (f"/multi?partNumber=1&uploadId={upload}", {"x-amz-copy-source": f"/{bucket}/kept"}),
                         (f"/multi?partNumber=1&uploadId={upload}", {}), (f"/multi?uploadId={upload}", {})]:
        yield ("POST" if "?uploadId" in target else "PUT"), target, {**headers, **more}, body
    routes = list(modelled_writes(upload))
    assert len(routes) >= 60, "the model is read wrongly"
    for method, target in routes:
        keys = b"<Delete><Object><Key>kept</Key></Object></Delete>" if target == "?delete" else b""
        headers, body = trailing(keys)
        yield method, target, headers, body


def test_unsigned_trailer_uploads_with_a_made_up_signature_on_every_write_route(server, s3, bucket):
    """The weakness: the payload being unsigned, the signature of the head was not looked at either."""
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="multi")["UploadId"]
    for method, target, headers, body in write_routes(bucket, upload):
        names = ";".join(sorted({"host", "x-amz-content-sha256", "x-amz-date", *(n for n in headers if n.startswith("x-amz-"))}))
        sent = [*headers.items(), ("x-amz-content-sha256", UNSIGNED_TRAILER)]
        for signature in ["0" * 64, ""]:
            answer = raw(server, method, f"/{bucket}{target}", [*sent, *made_up(signature, names)], body)
            assert answer.outcome == (403, "SignatureDoesNotMatch"), (method, target, answer.body)
        # Each key of a delete of several is refused by itself.
        denied = (200 if target == "?delete" else 403, "AccessDenied")
        assert raw(server, method, f"/{bucket}{target}", sent, body).outcome == denied, (method, target)
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="multi", UploadId=upload)
    headers, body = trailing()
    assert raw(server, "PUT", f"/{bucket}/new", streamed(server, "PUT", f"/{bucket}/new", headers, body), body).status == 200
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"hello"


def test_unsigned_trailer_uploads_with_another_secret(server, s3, bucket):
    headers, body = trailing()
    signed = streamed(server, "PUT", f"/{bucket}/k", headers, body, (ACCESS_KEY, "another" * 6))
    assert raw(server, "PUT", f"/{bucket}/k", signed, body).outcome == (403, "SignatureDoesNotMatch")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_credentials_in_the_query_string_without_a_signature(server, s3, bucket):
    """The weakness: who named an access key in the query was taken for its owner."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = quote(f"{ACCESS_KEY}/{now[:8]}/{REGION}/s3/aws4_request", safe="")
    parameters = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": scope, "X-Amz-Date": now, "X-Amz-Expires": "60",
                  "X-Amz-SignedHeaders": "host", "X-Amz-Signature": "0" * 64}
    headers, body = trailing(b"changed")
    unsigned = [*headers.items(), ("x-amz-content-sha256", UNSIGNED_TRAILER)]
    for gone in [None, *parameters]:
        query = "&".join(f"{name}={value}" for name, value in parameters.items() if name != gone)
        for method, sent, data in [("GET", [], None), ("PUT", [], b"changed"), ("PUT", unsigned, body), ("DELETE", [], None)]:
            answer = raw(server, method, f"/{bucket}/k?{query}", sent, data)
            assert answer.status in (400, 403), (gone, method, answer.body)
    for query in [f"AWSAccessKeyId={ACCESS_KEY}", f"AWSAccessKeyId={ACCESS_KEY}&Signature=", f"X-Amz-Credential={scope}",
                  f"AWSAccessKeyId={ACCESS_KEY}&Expires=9999999999&Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"]:
        for method, sent, data in [("GET", [], None), ("PUT", unsigned, body), ("DELETE", [], None)]:
            assert raw(server, method, f"/{bucket}/k?{query}", sent, data).status in (400, 403), (query, method)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


def presigned(s3, method, bucket, key="k", seconds=60, **parameters):
    url = s3.generate_presigned_url(method, Params={"Bucket": bucket, "Key": key, **parameters}, ExpiresIn=seconds)
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_unsigned_copy_source_on_a_presigned_put(server, s3, bucket):
    """The weakness: who was given a URL to put one object copied any other into it by a header."""
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presigned(s3, "put_object", bucket)
    for header in [("x-amz-copy-source", f"{bucket}/secret"), ("X-Amz-Copy-Source", f"/{bucket}/secret"),
                   ("x-amz-rename-source", f"{bucket}/secret"), ("x-amz-copy-source-range", "bytes=0-1")]:
        assert raw(server, "PUT", url, [header], b"").outcome == (403, "AccessDenied"), header
    for more in [f"&x-amz-copy-source={bucket}%2Fsecret", f"&x-amz-rename-source={bucket}%2Fsecret&renameObject"]:
        assert raw(server, "PUT", url + more, [], b"").outcome == (403, "SignatureDoesNotMatch"), more
    assert refusal(s3.head_object, Bucket=bucket, Key="k")[0] == 404
    assert raw(server, "PUT", url, [], b"mine").status == 200


def test_unsigned_headers_on_a_presigned_put(server, s3, bucket):
    url = presigned(s3, "put_object", bucket)
    for name, value in [("x-amz-acl", "public-read"), ("x-amz-tagging", "a=b"), ("x-amz-meta-a", "b"),
                        ("x-amz-website-redirect-location", "http://localhost/"), ("x-amz-object-lock-legal-hold", "OFF"),
                        ("x-amz-server-side-encryption", "AES256"), ("x-amz-storage-class", "STANDARD_IA"),
                        ("x-amz-write-offset-bytes", "0"), ("x-amz-bypass-governance-retention", "true")]:
        assert raw(server, "PUT", url, [(name, value)], b"x").outcome == (403, "AccessDenied"), name
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_presigned_url_for_something_else(server, s3, bucket):
    for key in ("k", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    url = presigned(s3, "get_object", bucket)
    assert raw(server, "GET", url).body == b"k"
    for method, target in [("GET", url.replace("/k?", "/other?")), ("HEAD", url), ("DELETE", url), ("PUT", url),
                           ("GET", url.replace("/k?", "/k?acl&")), ("GET", url + "&versionId=null"),
                           ("GET", url.replace(f"/{bucket}/", f"/{bucket}/./")), ("GET", url.replace("/k?", "/%6B%2F?"))]:
        answer = raw(server, method, target, [], b"" if method == "PUT" else None)
        assert answer.status == 403, (method, target, answer.body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"


def resigned(target, change):
    """A presigned URL with other parameters and a right signature over them."""
    path, query = target.split("?")
    parameters = dict(part.split("=", 1) for part in query.split("&"))
    del parameters["X-Amz-Signature"]
    parameters.update(change)
    return path, parameters


def sign_query(server, path, parameters, repeated=""):
    query = "&".join(f"{name}={quote(value, safe='-_.~%')}" for name, value in sorted(parameters.items()))
    day, region = parameters["X-Amz-Date"][:8], REGION
    canonical = f"GET\n{path}\n{query}\nhost:{server.host}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{parameters['X-Amz-Date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"{path}?{query}{repeated}&X-Amz-Signature={signature}"


def test_presigned_expiry_edge_cases(server, s3, bucket):
    """The weakness: a lifetime that overflows, is negative, is no number, is given twice or lies in the future."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    now = datetime.datetime.now(datetime.timezone.utc)
    url = presigned(s3, "get_object", bucket)

    def ask(seconds, minutes=0, repeated=""):
        date = (now + datetime.timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")
        change = {"X-Amz-Expires": seconds, "X-Amz-Date": date,
                  "X-Amz-Credential": quote(f"{ACCESS_KEY}/{date[:8]}/{REGION}/s3/aws4_request", safe="")}
        return raw(server, "GET", sign_query(server, *resigned(url, change), repeated)).outcome

    assert ask("604800") == (200, None) and ask("60", 10) == (200, None) and ask("600", -5) == (200, None)
    wrong = (400, "AuthorizationQueryParametersError")
    assert ask("0") == ask("-1") == ask("-604800") == (403, "AccessDenied"), "expired before it began"
    for seconds in ["604801", str(2**31), str(2**63), str(2**64 + 1), "1e3", "60.5", "0x3c", "%2060", "", "9" * 400]:
        assert ask(seconds) == wrong, seconds
    assert ask("60", -2) == (403, "AccessDenied")
    assert ask("604800", 60) == (403, "AccessDenied"), "from the future"
    assert ask("60", 0, "&X-Amz-Expires=604800") == wrong
    changed = url.replace("X-Amz-Expires=60", "X-Amz-Expires=604800")
    assert raw(server, "GET", changed).outcome == (403, "SignatureDoesNotMatch")


def test_repeated_or_missing_authorization(server, s3, bucket):
    """The weakness: of two signatures, one was verified and the other one believed."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    target = f"/{bucket}/k"
    request = AWSRequest(method="GET", url=server.endpoint + target)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(request)
    right = list(request.headers.items())
    authorization = request.headers["Authorization"]
    assert raw(server, "GET", target, right).body == b"k"
    for other in [authorization, dict(made_up())["Authorization"], "", "Basic eDp5"]:
        for both in ([*right, ("Authorization", other)], [("Authorization", other), *right]):
            assert raw(server, "GET", target, both).outcome == (400, "InvalidArgument"), other
    without = [(name, value) for name, value in right if name != "Authorization"]
    assert raw(server, "GET", target, without).outcome == (403, "AccessDenied")
    joined = [*without, ("Authorization", f"{authorization}, {authorization}")]
    assert raw(server, "GET", target, joined).status == 400
    for value in ["", " ", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "Bearer x", "AWS a:b", "AWS :"]:
        answer = raw(server, "GET", target, [*without, ("Authorization", value)])
        assert answer.status in (400, 403) and b"<Code>" in answer.body, (value, answer.body)
    both = presigned(s3, "get_object", bucket)
    assert raw(server, "GET", both, right).outcome == (400, "InvalidArgument")
    old = f"{target}?AWSAccessKeyId={ACCESS_KEY}&Expires=9999999999&Signature=x"
    assert raw(server, "GET", old, right).outcome == (400, "InvalidArgument")


def test_post_without_policy_fields(server, s3, bucket):
    """The weakness: a form without its policy, or with two, was taken for a signed one."""
    signed = signed_v2(policy_of(bucket, [["starts-with", "$key", ""]]))

    def post(fields, query=""):
        body, content_type = encode(fields, b"x")
        return raw(server, "POST", f"/{bucket}{query}", [("Content-Type", content_type)], body)

    for gone in ("policy", "signature", "AWSAccessKeyId"):
        assert post([("key", "k"), *(field for field in signed if field[0] != gone)]).status in (400, 403), gone
    for twice in signed:
        assert post([("key", "k"), twice, *signed]).status in (400, 403), twice[0]
    assert post([("key", "k"), ("AWSAccessKeyId", ACCESS_KEY)]).status in (400, 403)
    assert post([("key", "k")]).outcome == (403, "AccessDenied")
    behind, content_type = encode([("key", "k")], b"x")
    field = 'Content-Disposition: form-data; name="policy"\r\n\r\nx\r\n--'
    boundary = content_type.split("=")[1]
    behind = behind.removesuffix(f"--{boundary}--\r\n".encode()) + f"--{boundary}\r\n{field}{boundary}--\r\n".encode()
    assert raw(server, "POST", f"/{bucket}", [("Content-Type", content_type)], behind).outcome == (403, "AccessDenied")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert post([("key", "k"), *signed]).status == 204


def test_a_body_that_is_not_the_one_that_was_signed(server, s3, bucket):
    """The weakness: the hash of the body was part of the signature, and compared with nothing."""
    request = AWSRequest(method="PUT", url=f"{server.endpoint}/{bucket}/k", data=b"right")
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(request)
    signed = [(name, value) for name, value in request.headers.items() if name.lower() != "content-length"]
    assert raw(server, "PUT", f"/{bucket}/k", signed, b"wrong").outcome == (400, "XAmzContentSHA256Mismatch")
    changed = [(name, "UNSIGNED-PAYLOAD" if name.lower() == "x-amz-content-sha256" else value) for name, value in signed]
    assert raw(server, "PUT", f"/{bucket}/k", changed, b"wrong").outcome == (403, "SignatureDoesNotMatch")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert raw(server, "PUT", f"/{bucket}/k", signed, b"right").status == 200


def test_a_signature_made_for_another_service_region_or_day(server, bucket):
    def ask(service, region, date=None):
        request = AWSRequest(method="GET", url=f"{server.endpoint}/{bucket}")
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, region).add_auth(request)
        headers = [(name, date if date and name.lower() == "x-amz-date" else value) for name, value in request.headers.items()]
        return raw(server, "GET", f"/{bucket}", headers).outcome

    assert ask("s3", REGION) == (200, None)
    for service, region in [("ec2", REGION), ("iam", REGION), ("sts", REGION), ("s3", "eu-west-1")]:
        assert ask(service, region) == (400, "AuthorizationHeaderMalformed"), (service, region)
    assert ask("s3", REGION, "20130524T000000Z")[0] in (400, 403)


def test_path_traversal_encoded_once_and_twice(server, s3, bucket):
    """The weakness: a path was decoded until it led out of its bucket, or out of the drive."""
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="secret", Body=b"secret")
    keys = ["../x", "..", "a/../../x", f"../{other}/secret", "%2e%2e/x", "%252e%252e%252fx", "..\\x", "/etc/passwd", "./x", "a//b", "a/", "~/x"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert sorted(found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]) == sorted(keys)
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
        found = send(server, "GET", f"/{bucket}/{quote(key, safe='')}")
        assert found.body == key.encode(), key
    assert s3.list_objects_v2(Bucket=other)["KeyCount"] == 1
    s3.delete_object(Bucket=bucket, Key=f"../{other}/secret")
    # A signature is of the canonical path, in which dots are not encoded, and slashes are only where they were.
    for signed, sent in [("/../", "/../"), ("/../", "/%2e%2e/"), ("/../", "/%2E./"), ("/..%2F", "/%2E%2E%2f"), ("/..%2F", "/..%2F")]:
        target = f"/{bucket}{signed}{other}/secret"
        head = head_of(server, "GET", target)
        assert raw(server, "GET", f"/{bucket}{sent}{other}/secret", head.items()).outcome == (404, "NoSuchKey"), sent
    for target in ["/../", "/%2e%2e/", "/%2e%2e%2f%2e%2e/", "/..%5c../", f"/{bucket}%2f..%2f{other}/secret", "/%00/", "/.%00./"]:
        assert raw(server, "GET", target).outcome == (400, "InvalidBucketName"), target
    names = {name for _, folders, files in os.walk(server.root) for name in (*folders, *files)}
    assert not names & {"x", "passwd", "secret", bucket, other}
    s3.delete_object(Bucket=other, Key="secret")


def test_paths_that_lead_into_the_admin_api(server, s3, bucket):
    for target in ["/_granary/v1/users", f"/{bucket}/../_granary/v1/users", "/%5fgranary/v1/users", "//_granary/v1/users",
                   "/_granary/../_granary/v1/users"]:
        for method in ("GET", "POST"):
            answer = raw(server, method, target, [], b"{}" if method == "POST" else None)
            assert answer.status in (400, 401, 403, 404, 405), (method, target, answer.status)
            assert b"access_key" not in answer.body


def test_key_segments_over_255_bytes(server, s3, bucket):
    """The weakness: keys were names of files, which end at 255 bytes; or were cut there, so that two were one."""
    keys = ["a" * 255, "a" * 256, "b/" + "a" * 300 + "/c", "a" * 1024, "a" * 1023 + "b", "\u00e9" * 512, "/".join(["d" * 254] * 4)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=hashlib.sha256(key.encode()).digest())
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == hashlib.sha256(key.encode()).digest(), len(key)
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == len(keys)
    for key in ["a" * 1025, "\u00e9" * 513]:
        assert refusal(s3.put_object, Bucket=bucket, Key=key, Body=b"x") == (400, "KeyTooLongError")


def test_crlf_in_headers(server, s3, bucket):
    """The weakness: what a client stored or asked for ended a header and began another one."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"k", Metadata={"a": "=?UTF-8?B?DQpYLUV2aWw6IDE=?=", "b": "=?UTF-8?Q?=0D=0AX-Evil:_1?="})
    evil = "\r\nX-Evil: 1\r\n\r\n<script>"
    overrides = ["response-content-type", "response-content-language", "response-expires", "response-cache-control",
                 "response-content-disposition", "response-content-encoding"]
    for target in [f"/{bucket}/k", *(f"/{bucket}/k?{name}={quote('a' + evil, safe='')}" for name in overrides)]:
        answer = send(server, "GET", target)
        assert "x-evil" not in answer.headers and b"<script" not in answer.body, target
        assert answer.status in (200, 400), (target, answer.body)
    s3.put_object(Bucket=bucket, Key="a" + evil, Body=b"k")
    fields = [("key", "b" + evil), *signed_v2(policy_of(bucket, [["starts-with", "$key", ""]]))]
    body, content_type = encode(fields, b"x")
    posted = raw(server, "POST", f"/{bucket}", [("Content-Type", content_type)], body)
    assert "x-evil" not in posted.headers, posted.headers
    for header in [b"x-amz-meta-a: b\rX-Evil: 1", b"x-amz-meta-a: b\nX-Evil: 1", b"x-amz-meta-a: b\x00c", b"x-amz-meta-a : b", b" folded: x"]:
        head = b"PUT /%s/k HTTP/1.1\r\nhost: %s\r\n%s\r\ncontent-length: 0\r\n\r\n" % (bucket.encode(), server.host.encode(), header)
        assert re.match(rb"HTTP/1.1 4\d\d", raw_bytes(server, head)), header


def test_two_lengths_two_hosts_and_two_requests_in_one(server, s3, bucket):
    """The weakness: a proxy and the server saw different requests in the same bytes."""
    host = server.host.encode()
    inner = b"GET /health/live HTTP/1.1\r\nhost: %s\r\n\r\n" % host
    head = b"PUT /%s/k HTTP/1.1\r\nhost: %s\r\n" % (bucket.encode(), host)
    for more in [b"content-length: 4\r\ncontent-length: 5\r\n\r\n" + inner, b"content-length: 4, 5\r\n\r\n" + inner,
                 b"content-length: 0\r\ntransfer-encoding: xchunked\r\n\r\n" + inner, b"content-length: +4\r\n\r\n" + inner,
                 b"transfer-encoding: chunked, identity\r\n\r\n" + inner, b"host: other\r\ncontent-length: 0\r\n\r\n" + inner]:
        received = raw_bytes(server, head + more)
        assert re.match(rb"HTTP/1.1 [45]\d\d", received), (more, received)
        if b"length: 4" in more or b"encoding" in more:
            assert b"live" not in received, more
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_entities_in_xml(server, s3, bucket):
    """The weakness: a document named a file of the server, or grew a thousandfold when it was read."""
    for kind, document in [("tagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>&x;</Value></Tag></TagSet></Tagging>"),
                           ("delete", "<Delete><Object><Key>&x;</Key></Object></Delete>")]:
        for entity in ['<!ENTITY x SYSTEM "file:///etc/passwd">', '<!ENTITY y "yyyyyyyyyy"><!ENTITY x "&y;&y;&y;&y;&y;&y;">']:
            text = f"<!DOCTYPE a [{entity}]>{document}".encode()
            headers = {"Content-MD5": base64.b64encode(hashlib.md5(text).digest()).decode()}
            answer = send(server, "POST" if kind == "delete" else "PUT", f"/{bucket}?{kind}", headers, text)
            assert answer.outcome == (400, "MalformedXML"), answer.body
            assert b"root:" not in answer.body


def test_a_wrong_signature_that_teaches_the_right_one(server, bucket):
    """The weakness: the refusal held the signature that the server had computed, or the client's encryption key."""
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256",
               "x-amz-server-side-encryption-customer-key": base64.b64encode(b"K" * 32).decode(),
               "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(b"K" * 32).digest()).decode()}
    request = AWSRequest(method="GET", url=f"{server.endpoint}/{bucket}/k", headers=headers)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION).add_auth(request)
    right = re.search("Signature=([0-9a-f]{64})", request.headers["Authorization"]).group(1)
    sent = [(name, value.replace(right, "0" * 64)) for name, value in request.headers.items()]
    answer = raw(server, "GET", f"/{bucket}/k", sent)
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    for secret in (right, SECRET_KEY, headers["x-amz-server-side-encryption-customer-key"]):
        assert secret.encode() not in answer.body


def test_secrets_in_logs():
    """The weakness: what was logged for debugging was enough to sign, or to decrypt."""
    root = scratch_root()
    settings = {"GRANARY_LOG": "trace", "GRANARY_ALLOW_SSE_C_OVER_HTTP": "true"}
    server = Server(root, drives=1, settings=settings).start()
    try:
        s3 = server.boto3(signature_version="s3v4")
        s3.create_bucket(Bucket="logged")
        made = json.loads(server.admin("user", "add", "someone", "--access-key", "SOMEONESACCESSKEY", "--secret-key",
                                       "someones-secret-0123456789", "--json"))
        customer_key = b"customer-key-of-thirty-two-bytes"
        key = base64.b64encode(customer_key).decode()
        customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": customer_key}
        s3.put_object(Bucket="logged", Key="k", Body=b"a-body-that-is-secret", **customer)
        assert s3.get_object(Bucket="logged", Key="k", **customer)["Body"].read() == b"a-body-that-is-secret"
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "logged", "Key": "none"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url)
        session = client(server, "sts").get_session_token()["Credentials"]
        refusal(server.boto3().get_object, Bucket="logged", Key="k")
        bad = client(server, "s3", ACCESS_KEY, "wrong-secret-0123456789")
        assert refusal(bad.list_buckets) == (403, "SignatureDoesNotMatch")
        server.stop()
        logged = server.log_path.read_text(errors="replace")
        assert len(logged) > 1000, "nothing was logged, so that nothing was shown"
        signature = re.search("X-Amz-Signature=([0-9a-f]{64})", url).group(1)
        secrets = [SECRET_KEY, made["key"]["secret_key"], key, "customer-key-of-thirty-two", "a-body-that-is-secret", signature,
                   session["SecretAccessKey"], session["SessionToken"], hashlib.md5(customer_key).hexdigest()]
        assert [secret for secret in secrets if secret in logged] == []
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)


def test_no_test_of_this_suite_vanishes():
    # Forgery of the server's own requests is tested where they are made.
    suite = {sys.modules[__name__]: "test_", test_security_access: "test_", test_notifications: "test_ssrf_", test_web_identity: "test_ssrf_"}
    found = {name for module, begin in suite.items() for name, _ in inspect.getmembers(module, inspect.isfunction) if name.startswith(begin)}
    assert len(found) >= TESTS_AT_LEAST, sorted(found)
