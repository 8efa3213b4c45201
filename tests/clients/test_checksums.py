"""Every checksum algorithm that botocore's model names, on the wire: in headers and in trailers, of objects, of parts, and of
what is made of parts. What is expected is computed here, not by botocore."""

import base64
import binascii
import hashlib

import botocore.session
import pytest
from awscrt import checksums
from botocore.exceptions import FlexibleChecksumError

from harness import refusal, seeded_bytes
from test_protocol import Answer, connection, send
from test_security import streamed

MIB = 1024 * 1024
MODEL = botocore.session.get_session().get_service_model("s3")
ALGORITHMS = MODEL.shape_for("ChecksumAlgorithm").enum
DIGESTS = {
    "CRC32": lambda data: binascii.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data).digest(),
    "XXHASH64": checksums.XXHash.compute_xxhash64,
    "XXHASH3": checksums.XXHash.compute_xxhash3_64,
    "XXHASH128": checksums.XXHash.compute_xxhash3_128,
}
# What can be computed of a whole from its parts; the others have only the checksum of their parts' checksums.
WHOLE = {"CRC32", "CRC32C", "CRC64NVME"}
NEVER_COMPOSITE = {"CRC64NVME"}
# botocore names it and does not compute it: its users give the value.
GIVEN_ONLY = {"MD5"}
# What is packed with others, and what is streamed.
LENGTHS = [0, 1000, 3 * MIB + 17]

each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
each_computed = pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in GIVEN_ONLY])


def value_of(algorithm, data):
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def field_of(algorithm):
    return f"Checksum{algorithm}"


def shown(answer):
    """The checksums of an answer of boto3."""
    return {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}


def test_every_algorithm_of_the_model_is_tested():
    new = set(ALGORITHMS) - set(DIGESTS)
    assert not new, f"botocore names {new} now; the server and this file should know them"
    members = MODEL.operation_model("PutObject").input_shape.members
    assert {name for name in members if name.startswith("Checksum")} == {"ChecksumAlgorithm", *map(field_of, ALGORITHMS)}


@each_algorithm
def test_in_a_header(server, bucket, algorithm):
    s3, field = server.boto3(), field_of(algorithm)
    for length in LENGTHS:
        body = seeded_bytes(length, length)
        place, value = {"Bucket": bucket, "Key": f"of-{length}"}, value_of(algorithm, body)
        put = s3.put_object(**place, Body=body, **{field: value})
        assert shown(put) == {field: value} and put["ChecksumType"] == "FULL_OBJECT"
        got = s3.get_object(**place, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert shown(got) == {field: value} and got["ChecksumType"] == "FULL_OBJECT"
        assert shown(s3.head_object(**place, ChecksumMode="ENABLED")) == {field: value}
        assert shown(s3.head_object(**place)) == {}, "nobody asked"
        attributes = s3.get_object_attributes(**place, ObjectAttributes=["Checksum", "ObjectSize"])
        assert attributes["Checksum"] == {field: value, "ChecksumType": "FULL_OBJECT"}
        assert attributes["ObjectSize"] == length
        wrong = value_of(algorithm, body + b"x")
        for bad in (wrong, wrong[4:], "!"):
            assert refusal(s3.put_object, **place, Body=body, **{field: bad}) == (400, "BadDigest"), bad
        assert s3.get_object(**place)["Body"].read() == body
        never = {"Bucket": bucket, "Key": "never"}
        assert refusal(s3.put_object, **never, Body=body, **{field: wrong}) == (400, "BadDigest")
        assert refusal(s3.head_object, **never)[0] == 404


def put_with_trailer(server, target, algorithm, body, value, announced=True):
    """A put whose checksum comes behind its body, which is sent in chunks."""
    name = f"x-amz-checksum-{algorithm.lower()}"
    pieces = [body[start: start + MIB] for start in range(0, len(body), MIB)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    framed = chunks + f"0\r\n{name}:{value}\r\n\r\n".encode()
    headers = {"x-amz-decoded-content-length": str(len(body)), "x-amz-trailer": name, "content-encoding": "aws-chunked",
               **({"x-amz-sdk-checksum-algorithm": algorithm} if announced else {})}
    link = connection(server)
    link.request("PUT", target, body=framed, headers=dict(streamed(server, "PUT", target, headers, framed)))
    answer = Answer(link.getresponse())
    link.close()
    return answer


@each_algorithm
def test_in_a_trailer(server, bucket, algorithm):
    s3, header = server.boto3(), f"x-amz-checksum-{algorithm.lower()}"
    for length in LENGTHS:
        body = seeded_bytes(length, length)
        target, value = f"/{bucket}/of-{length}", value_of(algorithm, body)
        for announced in (True, False):
            answer = put_with_trailer(server, target, algorithm, body, value, announced)
            assert answer.status == 200, answer.body
            assert answer.headers[header] == value and answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        got = s3.get_object(Bucket=bucket, Key=f"of-{length}", ChecksumMode="ENABLED")
        assert got["Body"].read() == body and shown(got) == {field_of(algorithm): value}
        assert "ContentEncoding" not in got
        # A trailer that holds no checksum of its algorithm is told from one that holds a wrong one.
        for bad, code in [(value_of(algorithm, body + b"x"), "BadDigest"), (value[4:], "InvalidRequest"), ("!", "InvalidRequest")]:
            answer = put_with_trailer(server, f"/{bucket}/never", algorithm, body, bad)
            assert answer.outcome == (400, code), (bad, answer.body)
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == len(LENGTHS)


@each_computed
def test_computed_by_botocore(server, bucket, algorithm):
    """In a header over plain HTTP, in a trailer over TLS."""
    s3, body = server.boto3(), seeded_bytes(5, 100_000)
    value = {field_of(algorithm): value_of(algorithm, body)}
    assert shown(s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)) == value
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    # botocore compares what it reads with the checksum.
    assert got["Body"].read() == body and shown(got) == value


def test_what_botocore_does_not_compute_is_given_to_it(server, bucket):
    for algorithm in GIVEN_ONLY:
        with pytest.raises(FlexibleChecksumError):
            server.boto3().put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm=algorithm)


@each_algorithm
def test_of_copies(server, bucket, algorithm):
    s3, body = server.boto3(), seeded_bytes(6, 200_000)
    value = {field_of(algorithm): value_of(algorithm, body)}
    s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumSHA1=value_of("SHA1", body))
    copied = s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ChecksumAlgorithm=algorithm)
    assert shown(copied["CopyObjectResult"]) == value
    assert shown(s3.copy_object(Bucket=bucket, Key="d", CopySource=f"{bucket}/c")["CopyObjectResult"]) == value
    assert shown(s3.head_object(Bucket=bucket, Key="d", ChecksumMode="ENABLED")) == value


def begin(s3, bucket, algorithm, kind=None):
    chosen = {"ChecksumType": kind} if kind else {}
    place = {"Bucket": bucket, "Key": f"{algorithm}-{kind}"}
    made = s3.create_multipart_upload(**place, ChecksumAlgorithm=algorithm, **chosen)
    assert made["ChecksumAlgorithm"] == algorithm
    assert made["ChecksumType"] == kind or kind is None
    return {**place, "UploadId": made["UploadId"]}, made["ChecksumType"]


def of_whole(algorithm, kind, parts):
    if kind == "FULL_OBJECT":
        return value_of(algorithm, b"".join(parts))
    return f"{value_of(algorithm, b''.join(map(DIGESTS[algorithm], parts)))}-{len(parts)}"


def upload_parts(server, s3, upload, algorithm, parts):
    """Sends the parts, the last in the way of trailers; returns what a completion names of them."""
    field, sent = field_of(algorithm), []
    for number, part in enumerate(parts, 1):
        place = {**upload, "PartNumber": number}
        wrong = {field: value_of(algorithm, part + b"x")}
        assert refusal(s3.upload_part, **place, Body=part, **wrong) == (400, "BadDigest")
        value = value_of(algorithm, part)
        if number < len(parts):
            answer = s3.upload_part(**place, Body=part, **{field: value})
            assert shown(answer) == {field: value}
            tag = answer["ETag"]
        else:
            target = f"/{upload['Bucket']}/{upload['Key']}?partNumber={number}&uploadId={upload['UploadId']}"
            answer = put_with_trailer(server, target, algorithm, part, value)
            assert answer.headers[f"x-amz-checksum-{algorithm.lower()}"] == value
            tag = answer.headers["etag"]
        sent.append({"PartNumber": number, "ETag": tag, field: value})
    return sent


def check_multipart(server, bucket, algorithm, kind):
    s3, field = server.boto3(), field_of(algorithm)
    parts = [seeded_bytes(7, 5 * MIB), seeded_bytes(8, 5 * MIB + 1), seeded_bytes(9, 70_001)]
    upload, chosen = begin(s3, bucket, algorithm, kind)
    sent = upload_parts(server, s3, upload, algorithm, parts)
    listed = s3.list_parts(**upload)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, chosen)
    assert [part[field] for part in listed["Parts"]] == [part[field] for part in sent]

    value = of_whole(algorithm, chosen, parts)
    wrong = of_whole(algorithm, chosen, [*parts[:2], b"x"])
    assert refusal(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": sent}, **{field: wrong}) == (400, "BadDigest")
    other = [*sent[:2], {**sent[2], field: sent[0][field]}]
    assert refusal(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": other}) == (400, "InvalidPart")
    assert refusal(s3.head_object, Bucket=bucket, Key=upload["Key"])[0] == 404
    made = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, **{field: value}, ChecksumType=chosen)
    assert shown(made) == {field: value} and made["ChecksumType"] == chosen

    place = {"Bucket": bucket, "Key": upload["Key"]}
    got = s3.get_object(**place, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(parts)
    assert shown(got) == {field: value} and got["ChecksumType"] == chosen
    attributes = s3.get_object_attributes(**place, ObjectAttributes=["Checksum", "ObjectParts"])
    assert attributes["Checksum"] == {field: value, "ChecksumType": chosen}
    assert [part[field] for part in attributes["ObjectParts"]["Parts"]] == [part[field] for part in sent]
    return chosen


@each_algorithm
def test_of_a_multipart_upload_of_either_kind(server, bucket, algorithm):
    s3 = server.boto3()
    for kind, has in [("COMPOSITE", algorithm not in NEVER_COMPOSITE), ("FULL_OBJECT", algorithm in WHOLE)]:
        if has:
            assert check_multipart(server, bucket, algorithm, kind) == kind
        else:
            refused = refusal(s3.create_multipart_upload, Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
            assert refused == (400, "InvalidRequest"), kind
    default = begin(s3, bucket, algorithm)[1]
    assert default == ("FULL_OBJECT" if algorithm in NEVER_COMPOSITE else "COMPOSITE")


@each_algorithm
def test_a_part_with_another_checksum_than_its_upload(server, bucket, algorithm):
    s3 = server.boto3()
    upload, _ = begin(s3, bucket, algorithm)
    other = next(name for name in ALGORITHMS if name != algorithm)
    given = {field_of(other): value_of(other, b"x")}
    assert refusal(s3.upload_part, **upload, PartNumber=1, Body=b"x", **given) == (400, "InvalidRequest")
    assert "Parts" not in s3.list_parts(**upload)


def test_two_checksums_at_once_are_refused(server, bucket):
    pairs = list(zip(ALGORITHMS, ALGORITHMS[1:] + ALGORITHMS[:1]))
    for pair in pairs:
        headers = {f"x-amz-checksum-{name.lower()}": value_of(name, b"body") for name in pair}
        assert send(server, "PUT", f"/{bucket}/k", headers, b"body").outcome == (400, "InvalidRequest"), pair
