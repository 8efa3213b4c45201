"""Listings over the wire: pages of every list there is, and how keys are written when a client asks for `encoding-type=url`."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote, unquote

import pytest

from harness import REGION, refusal
from test_protocol import send

MIB = 1024 * 1024
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
# Names that XML or URLs would change if they were not encoded; some no XML of version 1.0 can hold.
ODD_KEYS = ["a b", "a+b", "a%20b", "a&b<c>\"'", "\u00fc/\u65e5\u672c", "line\nfeed", "bell\x07", "tab\t", "cr\r", "q?x=1#y", "*-_.", "/lead"]
_numbers = itertools.count(1)


def paged(call, marker_names, next_names, **parameters):
    """All pages of a listing, followed by hand."""
    pages = [call(**parameters)]
    while pages[-1].get("IsTruncated"):
        markers = {marker: pages[-1][found] for marker, found in zip(marker_names, next_names) if found in pages[-1]}
        assert markers, "a page that is not the last says how to go on"
        pages.append(call(**parameters, **markers))
        assert len(pages) < 1000
    return pages


@pytest.fixture(scope="module")
def many_buckets(server):
    """Twelve buckets of a prefix of their own, beside two others."""
    prefix = f"paged{next(_numbers)}"
    names = [f"{prefix}-{number:02}" for number in range(12)]
    for name in [*names, f"{prefix}a", f"other-{prefix}"]:
        server.boto3().create_bucket(Bucket=name)
    return f"{prefix}-", names


def test_buckets_come_in_pages(server, many_buckets):
    s3, (prefix, names) = server.boto3(), many_buckets
    token, found, sizes = {}, [], []
    while True:
        page = s3.list_buckets(MaxBuckets=5, Prefix=prefix, **token)
        assert page["Prefix"] == prefix
        assert {bucket["BucketRegion"] for bucket in page["Buckets"]} == {REGION}
        found += [bucket["Name"] for bucket in page["Buckets"]]
        sizes.append(len(page["Buckets"]))
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert found == names and sizes == [5, 5, 2]
    # A page that ends with the last bucket has no successor.
    assert "ContinuationToken" not in s3.list_buckets(MaxBuckets=12, Prefix=prefix)
    every = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert every == sorted(every) and set(names) < set(every)
    pages = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 3})
    assert [bucket["Name"] for page in pages for bucket in page["Buckets"]] == every


def test_pages_of_buckets_go_on_where_they_were_whatever_happens_meanwhile(server, many_buckets):
    s3, (prefix, names) = server.boto3(), many_buckets
    first = s3.list_buckets(MaxBuckets=4, Prefix=prefix)
    s3.delete_bucket(Bucket=names[3])
    s3.create_bucket(Bucket=f"{names[4]}-new")
    rest = s3.list_buckets(MaxBuckets=100, Prefix=prefix, ContinuationToken=first["ContinuationToken"])
    assert [bucket["Name"] for bucket in rest["Buckets"]] == [names[4], f"{names[4]}-new", *names[5:]]
    s3.delete_bucket(Bucket=f"{names[4]}-new")
    s3.create_bucket(Bucket=names[3])


def test_what_is_no_page_of_buckets_is_refused(server, many_buckets):
    s3, (prefix, names) = server.boto3(), many_buckets
    for count in ("0", "-1", "10001", "x", "99999999999999999999"):
        assert send(server, "GET", f"/?max-buckets={count}").outcome == (400, "InvalidArgument"), count
    token = s3.list_buckets(MaxBuckets=4, Prefix=prefix)["ContinuationToken"]
    for wrong in ("x", token[:-1], token[::-1], "A" * 5000):
        assert refusal(s3.list_buckets, ContinuationToken=wrong) == (400, "InvalidArgument"), wrong
    # One of another listing is none of this.
    for number in range(2):
        s3.put_object(Bucket=names[0], Key=f"k{number}", Body=b"x")
    of_objects = s3.list_objects_v2(Bucket=names[0], MaxKeys=1)["NextContinuationToken"]
    assert refusal(s3.list_buckets, ContinuationToken=of_objects) == (400, "InvalidArgument")
    assert refusal(s3.list_objects_v2, Bucket=names[0], ContinuationToken=token) == (400, "InvalidArgument")
    assert [bucket["Name"] for bucket in s3.list_buckets(Prefix="no-such-prefix")["Buckets"]] == []
    elsewhere = s3.list_buckets(Prefix=prefix, BucketRegion="eu-west-1")
    assert elsewhere["Buckets"] == []


@pytest.fixture
def odd(server, bucket):
    """A bucket with an object, a version and an upload of every odd key."""
    s3 = server.boto3()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        # Without boto3, whose parser refuses the answer: it holds the key as it is.
        assert send(server, "POST", f"/{bucket}/{quote(key)}?uploads=").status == 200
    return bucket


def elements(answer, name):
    """The text of each such element, as it stands on the wire."""
    return re.findall(f"<{name}>(.*?)</{name}>".encode(), answer.body, re.DOTALL)


def ordered(keys):
    return sorted(keys, key=str.encode)


LISTS = {"ListObjects": "", "ListObjectsV2": "list-type=2&", "ListObjectVersions": "versions=&", "ListMultipartUploads": "uploads=&"}


@pytest.mark.parametrize("name", LISTS)
def test_keys_are_encoded_when_that_is_asked_for(server, odd, name):
    answer = send(server, "GET", f"/{odd}?{LISTS[name]}encoding-type=url")
    assert answer.status == 200 and elements(answer, "EncodingType") == [b"url"]
    ElementTree.fromstring(answer.body)
    keys = elements(answer, "Key")
    assert [unquote(key.decode()) for key in keys] == ordered(ODD_KEYS)
    for key in keys:
        assert re.fullmatch(rb"(?:[A-Za-z0-9/_.*-]|%[0-9A-F]{2})+", key), key
    assert b"a%20b" in keys and b"a%2Bb" in keys and b"a%2520b" in keys and b"*-_." in keys and b"/lead" in keys


@pytest.mark.parametrize("name", LISTS)
def test_prefixes_delimiters_and_markers_are_encoded_too(server, odd, name):
    query = LISTS[name]
    # Keys with a space behind a prefix that ends with one.
    answer = send(server, "GET", f"/{odd}?{query}delimiter=%20&encoding-type=url&prefix=a")
    assert elements(answer, "Delimiter") == [b"%20"]
    common = re.findall(rb"<CommonPrefixes><Prefix>(.*?)</Prefix></CommonPrefixes>", answer.body)
    assert common == [b"a%20"]
    answer = send(server, "GET", f"/{odd}?{query}encoding-type=url&prefix=%C3%BC%2F")
    assert [unquote(key.decode()) for key in elements(answer, "Key")] == ["\u00fc/\u65e5\u672c"]
    # Clients decode the prefix of the request in all answers but those of the first version.
    assert elements(answer, "Prefix") == ["\u00fc/".encode() if name == "ListObjects" else b"%C3%BC/"]
    if name == "ListObjectsV2":
        answer = send(server, "GET", f"/{odd}?encoding-type=url&{query}start-after=a%20")
        assert elements(answer, "StartAfter") == [b"a%20"]
    else:
        marker, echoed = ("marker", "Marker") if name == "ListObjects" else ("key-marker", "KeyMarker")
        limit = "max-uploads=3" if name == "ListMultipartUploads" else "max-keys=3"
        answer = send(server, "GET", f"/{odd}?delimiter=%7C&encoding-type=url&{marker}=a%20&{limit}&{query}".rstrip("&"))
        assert elements(answer, echoed) == [b"a%20"]
        after = [key for key in ordered(ODD_KEYS) if key > "a "]
        assert elements(answer, f"Next{echoed}") == [quote(after[2], safe="/*").encode()]


@pytest.mark.parametrize("name", LISTS)
def test_another_encoding_is_refused_and_none_leaves_keys_as_they_are(server, bucket, name):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="a b&\u00fc", Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key="a b&\u00fc")
    assert send(server, "GET", f"/{bucket}?{LISTS[name]}encoding-type=base64").outcome == (400, "InvalidArgument")
    answer = send(server, "GET", f"/{bucket}?{LISTS[name]}".rstrip("?&"))
    assert elements(answer, "Key") == ["a b&amp;\u00fc".encode()] and elements(answer, "EncodingType") == []


def test_boto3_lists_odd_keys_in_pages(server, odd):
    s3 = server.boto3()
    expected = ordered(ODD_KEYS)
    for operation, entries, size in [("list_objects", "Contents", 2), ("list_objects_v2", "Contents", 3),
                                     ("list_object_versions", "Versions", 1)]:
        pages = list(s3.get_paginator(operation).paginate(Bucket=odd, PaginationConfig={"PageSize": size}))
        assert [item["Key"] for page in pages for item in page[entries]] == expected, operation
        assert len(pages) == -(-len(expected) // size)


def test_parts_come_in_pages(server, bucket):
    s3 = server.boto3()
    numbers = [1, 2, 3, 5, 8, 13, 10_000]
    upload = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    for number in reversed(numbers):
        s3.upload_part(**upload, PartNumber=number, Body=b"x" * number)
    pages = paged(s3.list_parts, ["PartNumberMarker"], ["NextPartNumberMarker"], **upload, MaxParts=3)
    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 2, 3], [5, 8, 13], [10_000]]
    assert [(page["PartNumberMarker"], page["MaxParts"], page["IsTruncated"]) for page in pages] == [
        (0, 3, True), (3, 3, True), (13, 3, False)]
    assert [part["Size"] for page in pages for part in page["Parts"]] == numbers
    found = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2})
    assert [part["PartNumber"] for page in found for part in page["Parts"]] == numbers
    # A marker need not be a part.
    assert [part["PartNumber"] for part in s3.list_parts(**upload, PartNumberMarker=6)["Parts"]] == [8, 13, 10_000]
    none = s3.list_parts(**upload, MaxParts=0)
    assert "Parts" not in none and not none["IsTruncated"]
    assert "Parts" not in s3.list_parts(**upload, PartNumberMarker=10_000)
    for query in ("max-parts=-1", "max-parts=x", "part-number-marker=x"):
        path = f"/{bucket}/k?{query}&uploadId={upload['UploadId']}"
        assert send(server, "GET", path).outcome == (400, "InvalidArgument"), query


@pytest.fixture
def uploads(server, bucket):
    """Uploads in progress: two of some keys, in the order that a listing has them."""
    s3 = server.boto3()
    keys = ["a", "a", "b/1", "b/1", "b/2", "c", "d/x/1", "d/y", "d/y", "e"]
    ids = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys]
    return bucket, ids


MARKERS = ["KeyMarker", "UploadIdMarker"], ["NextKeyMarker", "NextUploadIdMarker"]


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_uploads_come_in_pages(server, uploads, size):
    bucket, ids = uploads
    s3 = server.boto3()
    pages = paged(s3.list_multipart_uploads, *MARKERS, Bucket=bucket, MaxUploads=size)
    found = [(item["Key"], item["UploadId"]) for page in pages for item in page["Uploads"]]
    assert [key for key, _ in found] == [key for key, _ in ids] and set(found) == set(ids)
    assert [len(page["Uploads"]) for page in pages[:-1]] == [size] * (len(pages) - 1)
    within = paged(s3.list_multipart_uploads, *MARKERS, Bucket=bucket, MaxUploads=size, Prefix="d/")
    found = [(item["Key"], item["UploadId"]) for page in within for item in page["Uploads"]]
    assert set(found) == {pair for pair in ids if pair[0].startswith("d/")} and len(found) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_uploads_with_a_prefix_and_a_delimiter_come_in_pages(server, uploads, size):
    bucket, ids = uploads
    s3 = server.boto3()

    def found(**parameters):
        pages = paged(s3.list_multipart_uploads, *MARKERS, Bucket=bucket, MaxUploads=size, Delimiter="/", **parameters)
        for page in pages:
            entries = len(page.get("Uploads", [])) + len(page.get("CommonPrefixes", []))
            assert entries <= size and (entries == size or page is pages[-1])
        return ([item["Key"] for page in pages for item in page.get("Uploads", [])],
                [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])])

    assert found() == (["a", "a", "c", "e"], ["b/", "d/"])
    assert found(Prefix="d/") == (["d/y", "d/y"], ["d/x/"])
    assert found(Prefix="d") == ([], ["d/"])
    assert found(Prefix="zz") == ([], [])


def test_parts_of_an_object_come_in_pages(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": "k"}
    upload = {**place, "UploadId": s3.create_multipart_upload(**place, ChecksumAlgorithm="SHA256")["UploadId"]}
    numbers = [1, 4, 5, 9]
    named = []
    for number in numbers:
        body = bytes([number]) * (5 * MIB + number if number != 9 else 77)
        part = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        named.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})

    def parts(**page):
        return s3.get_object_attributes(**place, ObjectAttributes=["ObjectParts"], **page)["ObjectParts"]

    whole = parts()
    # An object counts its parts from one, whatever their numbers were.
    shown = [part["PartNumber"] for part in whole["Parts"]]
    assert whole["TotalPartsCount"] == 4 and not whole["IsTruncated"] and shown == sorted(shown)
    assert [part["Size"] for part in whole["Parts"]] == [5 * MIB + 1, 5 * MIB + 4, 5 * MIB + 5, 77]
    assert [part["ChecksumSHA256"] for part in whole["Parts"]] == [part["ChecksumSHA256"] for part in named]
    pages = [parts(MaxParts=3)]
    pages.append(parts(MaxParts=3, PartNumberMarker=pages[0]["NextPartNumberMarker"]))
    assert [page["IsTruncated"] for page in pages] == [True, False]
    assert [part for page in pages for part in page["Parts"]] == whole["Parts"]
    assert [len(page["Parts"]) for page in pages] == [3, 1]
    assert (pages[1]["PartNumberMarker"], pages[1]["MaxParts"], pages[1]["TotalPartsCount"]) == (shown[2], 3, 4)
    assert parts(PartNumberMarker=shown[-1]).get("Parts", []) == []
    for name in ("x-amz-max-parts", "x-amz-part-number-marker"):
        headers = {"x-amz-object-attributes": "ObjectParts", name: "x"}
        assert send(server, "GET", f"/{bucket}/k?attributes=", headers).outcome == (400, "InvalidArgument"), name
    s3.put_object(**place, Body=b"one piece")
    attributes = s3.get_object_attributes(**place, ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert "ObjectParts" not in attributes and attributes["ObjectSize"] == 9


# XML 1.0 has no way to carry these, and botocore asks for url-encoded names in the listings of objects alone.
UNSAYABLE = ["\x01begins", "in\x0bside", "ends\ufffe", "\uffff"]


@pytest.mark.parametrize("key", UNSAYABLE)
def test_keys_that_xml_cannot_carry_do_not_break_the_clients_parser(server, bucket, key):
    s3 = server.boto3()
    place = {"Bucket": bucket, "Key": key}
    assert refusal(s3.get_object, **place) == (404, "NoSuchKey")
    assert refusal(s3.copy_object, Bucket=bucket, Key="copy", CopySource=place) == (404, "NoSuchKey")
    upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]}
    assert [listed["ETag"] for listed in s3.list_parts(**upload)["Parts"]] == [part["ETag"]]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert s3.get_object(**place)["Body"].read() == b"part"
    for listing in (s3.list_objects, s3.list_objects_v2):
        assert [item["Key"] for item in listing(Bucket=bucket)["Contents"]] == [key]
        assert [item["Key"] for item in listing(Bucket=bucket, Prefix=key)["Contents"]] == [key]
    assert [item["Key"] for item in s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]] == [key]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("name", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_listings_tell_of_restores_to_who_asks(server, bucket, name):
    s3 = server.boto3()
    for key, storage_class in [("archived", "GLACIER"), ("plain", "STANDARD"), ("restored", "DEEP_ARCHIVE")]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass=storage_class)
    s3.restore_object(Bucket=bucket, Key="restored", RestoreRequest={"Days": 2})

    def told(**parameters):
        answer = getattr(s3, name)(Bucket=bucket, **parameters)
        return {entry["Key"]: entry.get("RestoreStatus") for entry in answer.get("Contents") or answer["Versions"]}

    asked = told(OptionalObjectAttributes=["RestoreStatus"])
    restored = asked.pop("restored")
    assert restored["IsRestoreInProgress"] is False and restored["RestoreExpiryDate"].year > 2000
    assert asked == {"archived": None, "plain": None}
    assert told() == dict.fromkeys(["archived", "plain", "restored"])
    assert refusal(told, OptionalObjectAttributes=["Other"]) == (400, "InvalidArgument")
