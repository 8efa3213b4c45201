"""Version ids that are none: paths, absurd lengths, other alphabets. Each is refused wherever an id is taken, and harms nothing."""

import base64
import hashlib
import os
from urllib.parse import quote

import pytest

from test_protocol import send

TRICKS = [
    "../../../../etc/passwd", "..", ".", "/", "/etc/passwd", "..\\..\\x", "%2e%2e%2f", "..%2F", "null/../x", "null\x00", "\x00", "NULL",
    " null", "null ", "-1", "0", "*", "'; DROP TABLE versions; --", "\u00fc", "\U0001f600", "line\nfeed", "cr\r\nx-injected: 1", "a" * 31,
    "g" * 32, "f" * 33, "f" * 5000, "../" * 1000, "",
]
UNKNOWN = "0123456789abcdef0123456789abcdef"
RETENTION = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2999-01-01T00:00:00Z</RetainUntilDate></Retention>"
# Whatever takes an id in its query: the method, the rest of the query, the body.
TAKERS = [
    ("GET", "", b""), ("HEAD", "", b""), ("DELETE", "", b""),
    ("GET", "tagging=", b""), ("PUT", "tagging=", b"<Tagging><TagSet/></Tagging>"), ("DELETE", "tagging=", b""),
    ("GET", "acl=", b""), ("GET", "attributes=", b""), ("GET", "retention=", b""), ("PUT", "retention=", RETENTION),
    ("GET", "legal-hold=", b""), ("PUT", "legal-hold=", b"<LegalHold><Status>ON</Status></LegalHold>"),
    ("POST", "restore=", b"<RestoreRequest><Days>1</Days></RestoreRequest>"),
]


@pytest.fixture
def versions(server, bucket):
    """A bucket with locks, whose one key has two versions: their ids, newest first."""
    s3, name = server.boto3(), f"{bucket}-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    ids = [s3.put_object(Bucket=name, Key="k", Body=body)["VersionId"] for body in (b"first", b"second")]
    return name, ids[::-1]


def md5_of(document):
    return {"content-md5": base64.b64encode(hashlib.md5(document).digest()).decode()}


def state_of(server, bucket):
    s3 = server.boto3()
    found = s3.list_object_versions(Bucket=bucket)
    entries = [(item["Key"], item["VersionId"], item["ETag"]) for item in found.get("Versions", [])]
    return entries, found.get("DeleteMarkers", []), s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def file_names(server):
    return {name for _, folders, files in os.walk(server.root) for name in (*folders, *files)}


def target_of(path, rest, version):
    """The query's parameters in the order that they are signed in."""
    return f"{path}?{'&'.join(filter(None, sorted([rest, 'versionId=' + quote(version, safe='')])))}"


@pytest.mark.parametrize("method, rest, body", TAKERS, ids=lambda value: str(value)[:12])
def test_what_is_no_version_id_is_refused(server, versions, method, rest, body):
    bucket, ids = versions
    before, files = state_of(server, bucket), file_names(server)
    headers = {"x-amz-object-attributes": "ETag"} if rest == "attributes=" else md5_of(body) if body else {}
    for trick in [*TRICKS, f"{ids[0]}x", f"x{ids[0]}", ids[0][:-1], f"{ids[0]}/../{ids[1]}", f"{ids[0]},{ids[1]}"]:
        answer = send(server, method, target_of(f"/{bucket}/k", rest, trick), headers, body)
        assert answer.status == 400, (trick[:40], answer.status, answer.body)
        assert "x-injected" not in answer.headers
        if method != "HEAD":
            assert answer.field("Code") == "InvalidArgument", trick[:40]
            assert len(answer.body) < 20_000
    answer = send(server, method, target_of(f"/{bucket}/k", rest, UNKNOWN), headers, body)
    # To delete what is not there is a success, as S3 has it.
    assert answer.status == (204 if (method, rest) == ("DELETE", "") else 404), answer.body
    assert state_of(server, bucket) == before
    assert not {name for name in file_names(server) - files if "passwd" in name or name in ("x", "k")}


def test_an_absurdly_long_version_id_is_refused_with_its_head(server, versions):
    bucket, _ = versions
    for length in (17_000, 60_000):
        answer = send(server, "GET", f"/{bucket}/k?versionId={'f' * length}")
        assert answer.outcome == (400, "RequestHeaderSectionTooLarge"), length
    assert send(server, "GET", f"/{bucket}/k").body == b"second"


def test_what_is_no_version_id_is_refused_of_the_source_of_a_copy(server, versions):
    bucket, ids = versions
    before = state_of(server, bucket)
    for trick in [*TRICKS, f"{ids[0]}x", ids[0][:-1]]:
        source = {"x-amz-copy-source": f"/{bucket}/k?versionId={quote(trick, safe='')}"}
        assert send(server, "PUT", f"/{bucket}/copy", source).outcome == (400, "InvalidArgument"), trick[:40]
    source = {"x-amz-copy-source": f"/{bucket}/k?versionId={UNKNOWN}"}
    assert send(server, "PUT", f"/{bucket}/copy", source).outcome == (404, "NoSuchVersion")
    assert state_of(server, bucket) == before


def test_what_is_no_version_id_is_refused_among_many_deletes(server, versions):
    bucket, ids = versions
    before = state_of(server, bucket)
    # What XML can hold.
    tricks = [trick for trick in TRICKS if trick and trick.isprintable()]
    escaped = [trick.replace("&", "&amp;").replace("<", "&lt;") for trick in tricks]
    objects = "".join(f"<Object><Key>k</Key><VersionId>{trick}</VersionId></Object>" for trick in escaped)
    document = f"<Delete>{objects}</Delete>".encode()
    answer = send(server, "POST", f"/{bucket}?delete=", md5_of(document), document)
    assert answer.status == 200, answer.body
    assert answer.body.count(b"<Error>") == len(tricks) and b"<Deleted>" not in answer.body, answer.body
    assert state_of(server, bucket) == before


def test_what_is_no_marker_of_versions_is_refused(server, versions):
    bucket, ids = versions
    before = state_of(server, bucket)
    for trick in [trick for trick in TRICKS if trick] + [f"{ids[0]}.", f"{ids[0]}.x", f"{ids[0]}.1.2", f"{ids[0]}.{'f' * 17}", ".1"]:
        target = f"/{bucket}?key-marker=k&version-id-marker={quote(trick, safe='')}&versions="
        assert send(server, "GET", target).outcome == (400, "InvalidArgument"), trick[:40]
    assert state_of(server, bucket) == before
