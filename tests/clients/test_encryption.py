"""Server-side encryption through boto3: SSE-S3, SSE-KMS and SSE-C over TLS, what buckets say, copies among all kinds, key
rotation, restarts, lost drives, and what really lies on the drives."""

import base64
import hashlib
import itertools
import json
import os
import shutil
import time
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from harness import Server, binary, run, scratch_root

MARK = b"-plaintext-of-a-test-"
MIB = 1024 * 1024
UNIT = 64 * 1024
KEY_A, KEY_B = b"A" * 32, b"B" * 32
LENGTHS = [0, 1, 1000, UNIT - 1, UNIT, UNIT + 1, 2 * UNIT, 2 * UNIT + 1, 3 * MIB + 17]
_numbers = itertools.count(1)


def customer(key=KEY_A, source=False):
    prefix = "CopySource" if source else ""
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def attributes_key(key=KEY_A):
    """As `customer`, for the one operation whose key botocore does not encode."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(key).decode(),
            "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode()}


KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "training"}
KINDS = {
    "plain": {},
    "sse-s3": {"ServerSideEncryption": "AES256"},
    "sse-kms": KMS,
    "sse-c": customer(),
}
READS = {"sse-c": customer()}


def marked(length, seed=0):
    """Bytes that would be found on a drive if they were there."""
    block = MARK + hashlib.sha256(str(seed).encode()).digest()
    return (block * (length // len(block) + 1))[:length]


def keyring(server, *words):
    command = [binary(), "keyring", *words]
    for drive in server.drives:
        command += ["--data", drive]
    return run([*command, "--json"], env=dict(os.environ))


def code_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def start(tls=True, **more):
    """A server with six drives, and a key named `training` that it learnt of while it ran."""
    server = Server(scratch_root(), drives=6, tls=tls, **more).start()
    keyring(server, "add", "training")
    s3 = server.boto3()
    s3.create_bucket(Bucket="first")
    deadline = time.monotonic() + 120
    while True:
        try:
            s3.put_object(Bucket="first", Key="k", Body=b"x", **KMS)
            return server
        except ClientError as error:
            assert error.response["Error"]["Code"] == "KMS.NotFoundException" and time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def secure():
    server = start()
    yield server
    server.kill()
    shutil.rmtree(server.root, ignore_errors=True)


@pytest.fixture
def s3(secure):
    return secure.boto3()


@pytest.fixture
def bucket(s3):
    name = f"encrypted-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


def check_shown(response, kind, md5=None):
    """The headers that tell a kind of encryption, and no others."""
    shown = {
        "plain": (None, None, None),
        "sse-s3": ("AES256", None, None),
        "sse-kms": ("aws:kms", "training", None),
        "sse-c": (None, None, "AES256"),
    }[kind]
    names = ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm")
    assert tuple(response.get(name) for name in names) == shown
    if kind == "sse-c":
        assert response["SSECustomerKeyMD5"] == base64.b64encode(hashlib.md5(KEY_A).digest()).decode()
    if md5 is not None:
        is_md5 = response["ETag"].strip('"') == hashlib.md5(md5).hexdigest()
        assert is_md5 == (kind in ("plain", "sse-s3"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_put_comes_back(s3, bucket, kind, length):
    body = marked(length)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"a": "b"}, **KINDS[kind])
    check_shown(put, kind, body)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **READS.get(kind, {}))
    assert got["Body"].read() == body
    check_shown(got, kind, body)
    assert got["ETag"] == put["ETag"] and got["ChecksumCRC32"] == put["ChecksumCRC32"]
    head = s3.head_object(Bucket=bucket, Key="k", **READS.get(kind, {}))
    check_shown(head, kind, body)
    assert (head["ContentLength"], head["Metadata"]) == (length, {"a": "b"})
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["Size"], listed["ETag"]) == (length, put["ETag"])
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize", "ETag", "Checksum"],
        **(attributes_key() if kind == "sse-c" else {}))
    assert (attributes["ObjectSize"], attributes["ETag"]) == (length, put["ETag"].strip('"'))


@pytest.mark.parametrize("kind", ["sse-s3", "sse-kms", "sse-c"])
def test_ranges_at_the_edges_of_units(s3, bucket, kind):
    for length in (2 * UNIT, 3 * UNIT + 5, 3 * MIB + 17):
        body = marked(length)
        s3.put_object(Bucket=bucket, Key="k", Body=body, **KINDS[kind])
        edges = sorted({0, 1, UNIT - 1, UNIT, UNIT + 1, 2 * UNIT - 1, length - UNIT, length - 1})
        for first, last in itertools.combinations_with_replacement(edges, 2):
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}", **READS.get(kind, {}))
            assert got["ContentRange"] == f"bytes {first}-{last}/{length}"
            assert got["Body"].read() == body[first:last + 1]
        tail = s3.get_object(Bucket=bucket, Key="k", Range="bytes=-70000", **READS.get(kind, {}))
        assert tail["Body"].read() == body[-70000:]


def upload(s3, bucket, kind, lengths, key="k", resend=False):
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **KINDS[kind])
    check_shown(begun, kind)
    parts = []
    for number, length in enumerate(lengths, 1):
        for body in ([marked(length + 9, 99)] if resend else []) + [marked(length, number)]:
            sent = s3.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=number, Body=body,
                                  **READS.get(kind, {}))
            check_shown(sent, kind, body)
        if resend:
            # The answer to the same part sent again is the same tag.
            again = s3.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=number, Body=body,
                                   **READS.get(kind, {}))
            assert again["ETag"] == sent["ETag"]
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    done = s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=begun["UploadId"],
                                        MultipartUpload={"Parts": parts}, **READS.get(kind, {}))
    return done, b"".join(marked(length, number) for number, length in enumerate(lengths, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_multipart_with_odd_parts(s3, bucket, kind):
    lengths = [5 * MIB + 1, 6 * MIB + UNIT - 1, 5 * MIB, 12345]
    done, whole = upload(s3, bucket, kind, lengths, resend=True)
    assert done["ETag"].endswith('-4"') and done.get("ServerSideEncryption") == KINDS[kind].get("ServerSideEncryption")
    read = READS.get(kind, {})
    got = s3.get_object(Bucket=bucket, Key="k", **read)
    check_shown(got, kind)
    assert got["Body"].read() == whole
    starts = list(itertools.accumulate(lengths, initial=0))
    for number, length in enumerate(lengths, 1):
        part = s3.get_object(Bucket=bucket, Key="k", PartNumber=number, **read)
        assert (part["PartsCount"], part["ContentLength"]) == (4, length)
        assert part["Body"].read() == whole[starts[number - 1]:starts[number]]
        first, last = max(0, starts[number] - 3), min(len(whole), starts[number] + 70_000) - 1
        if first <= last:
            piece = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}", **read)
            assert piece["Body"].read() == whole[first:last + 1]


def test_parts_need_the_key_of_their_upload(s3, bucket):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", **customer())["UploadId"]
    part = {"Bucket": bucket, "Key": "k", "UploadId": begun, "PartNumber": 1, "Body": b"x"}
    assert code_of(s3.upload_part, **part) == (400, "InvalidRequest")
    assert code_of(s3.upload_part, **part, **customer(KEY_B)) == (400, "InvalidArgument")
    etag = s3.upload_part(**part, **customer())["ETag"]
    complete = {"Bucket": bucket, "Key": "k", "UploadId": begun,
                "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert code_of(s3.complete_multipart_upload, **complete, **customer(KEY_B)) == (400, "InvalidArgument")
    # A completion needs the key, as every object has a checksum.
    assert code_of(s3.complete_multipart_upload, **complete) == (400, "InvalidRequest")
    s3.complete_multipart_upload(**complete, **customer())
    plain = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    assert code_of(s3.upload_part, **{**part, "UploadId": plain}, **customer()) == (400, "InvalidRequest")


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_copies_among_all_kinds(s3, bucket, source, target):
    body = marked(300_000, source + target)
    s3.put_object(Bucket=bucket, Key="from", Body=body, ContentType="text/x", **KINDS[source])
    opens = customer(source=True) if source == "sse-c" else {}
    place = {"Bucket": bucket, "CopySource": f"{bucket}/from"}
    done = s3.copy_object(**place, Key="to", **KINDS[target], **opens)
    check_shown(done, target)
    got = s3.get_object(Bucket=bucket, Key="to", **READS.get(target, {}))
    assert got["Body"].read() == body and got["ContentType"] == "text/x"
    check_shown(got, target, body)
    # A part of it, in an upload of the other kind.
    begun = s3.create_multipart_upload(Bucket=bucket, Key="parts", **KINDS[target])["UploadId"]
    copied = s3.upload_part_copy(**place, Key="parts", UploadId=begun, PartNumber=1,
                                 CopySourceRange="bytes=65535-200000", **READS.get(target, {}), **opens)
    check_shown(copied, target)
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=begun, MultipartUpload={"Parts": parts},
                                 **READS.get(target, {}))
    assert s3.get_object(Bucket=bucket, Key="parts", **READS.get(target, {}))["Body"].read() == body[65535:200001]


def test_a_copy_onto_itself_may_change_the_encryption(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=marked(1000))
    place = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/k"}
    assert code_of(s3.copy_object, **place) == (400, "InvalidRequest")
    s3.copy_object(**place, ServerSideEncryption="AES256")
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    s3.copy_object(**place, **customer())
    assert code_of(s3.copy_object, **place, **customer(KEY_B)) == (400, "InvalidRequest")
    # Another key of the customer's.
    s3.copy_object(**place, **customer(KEY_B), **customer(KEY_A, source=True))
    assert s3.get_object(Bucket=bucket, Key="k", **customer(KEY_B))["Body"].read() == marked(1000)


def test_only_the_right_key_reads(s3, bucket):
    s3.put_object(Bucket=bucket, Key="c", Body=b"secret", **customer())
    s3.put_object(Bucket=bucket, Key="s", Body=b"secret", ServerSideEncryption="AES256")
    for call in (s3.get_object, s3.head_object):
        assert code_of(call, Bucket=bucket, Key="c")[0] == 400
        assert code_of(call, Bucket=bucket, Key="c", **customer(KEY_B))[0] == 400
        assert code_of(call, Bucket=bucket, Key="s", **customer())[0] == 400
    assert code_of(s3.get_object, Bucket=bucket, Key="c") == (400, "InvalidRequest")
    assert code_of(s3.get_object, Bucket=bucket, Key="c", **customer(KEY_B)) == (400, "InvalidRequest")
    assert code_of(s3.get_object, Bucket=bucket, Key="s", **customer()) == (400, "InvalidRequest")
    attributes = {"Bucket": bucket, "Key": "c", "ObjectAttributes": ["ETag"]}
    assert code_of(s3.get_object_attributes, **attributes) == (400, "InvalidRequest")
    assert code_of(s3.get_object_attributes, **attributes, **attributes_key(KEY_B)) == (400, "InvalidRequest")
    copy = {"Bucket": bucket, "Key": "x", "CopySource": f"{bucket}/c"}
    assert code_of(s3.copy_object, **copy) == (400, "InvalidRequest")
    assert code_of(s3.copy_object, **copy, **customer(KEY_B, source=True)) == (400, "InvalidRequest")


def raw(s3, operation, headers, **arguments):
    """A call with exactly these headers, past botocore's own care for keys."""
    def add(params, **_):
        params["headers"].update(headers)
    s3.meta.events.register_last(f"before-call.s3.{operation}", add)
    try:
        return code_of(getattr(s3, {"PutObject": "put_object", "GetObject": "get_object"}[operation]), **arguments)
    finally:
        s3.meta.events.unregister(f"before-call.s3.{operation}", add)


def test_headers_that_do_not_go_together_are_refused(s3, bucket):
    key = base64.b64encode(KEY_A).decode()
    md5 = base64.b64encode(hashlib.md5(KEY_A).digest()).decode()
    sse, mine = "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-"
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    for headers, code in [
        ({sse: "aes:kms"}, "InvalidArgument"),
        ({sse: "AES256", f"{sse}-aws-kms-key-id": "training"}, "InvalidArgument"),
        ({f"{sse}-aws-kms-key-id": "training"}, "InvalidArgument"),
        ({sse: "aws:kms", f"{sse}-context": "no json"}, "InvalidArgument"),
        ({sse: "aws:kms", f"{sse}-aws-kms-key-id": "missing"}, "KMS.NotFoundException"),
        ({sse: "aws:kms", f"{sse}-aws-kms-key-id": "sse-s3"}, "KMS.NotFoundException"),
        ({sse: "AES256", f"{mine}algorithm": "AES256", f"{mine}key": key, f"{mine}key-md5": md5}, "InvalidArgument"),
        ({f"{mine}algorithm": "AES128", f"{mine}key": key, f"{mine}key-md5": md5},
         "InvalidEncryptionAlgorithmError"),
        ({f"{mine}key": key, f"{mine}key-md5": md5}, "InvalidArgument"),
        ({f"{mine}algorithm": "AES256", f"{mine}key-md5": md5}, "InvalidArgument"),
        ({f"{mine}algorithm": "AES256", f"{mine}key": key}, "InvalidArgument"),
        ({f"{mine}algorithm": "AES256", f"{mine}key": key, f"{mine}key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="},
         "InvalidArgument"),
        ({f"{mine}algorithm": "AES256", f"{mine}key": "c2hvcnQ=", f"{mine}key-md5": md5}, "InvalidArgument"),
    ]:
        assert raw(s3, "PutObject", headers, **put) == (400, code), headers
    assert raw(s3, "PutObject", {sse: "aws:kms:dsse"}, **put) == (501, "NotImplemented")
    s3.put_object(**put)
    assert raw(s3, "GetObject", {sse: "AES256"}, Bucket=bucket, Key="k") == (400, "InvalidArgument")


def test_encryption_context_and_bucket_keys(s3, bucket):
    context = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", SSEKMSEncryptionContext=context, BucketKeyEnabled=True, **KMS)
    assert (put["SSEKMSEncryptionContext"], put["BucketKeyEnabled"]) == (context, True)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["BucketKeyEnabled"] is True
    for reference in ("alias/training", "arn:aws:kms:us-east-1:000000000000:key/training"):
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=reference)
        assert put["SSEKMSKeyId"] == "training"
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert put["SSEKMSKeyId"] == "aws/s3"


def configure(s3, bucket, **rule):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_buckets_encrypt_by_default(s3, bucket):
    nothing = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert code_of(s3.get_bucket_encryption, Bucket=bucket) == nothing
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/training"},
            "BucketKeyEnabled": True}
    configure(s3, bucket, **rule)
    got = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert got == [rule]
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    check_shown(put, "sse-kms")
    assert put["BucketKeyEnabled"] is True
    done, whole = upload(s3, bucket, "sse-kms", [5 * MIB, 10], key="m")
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == whole
    begun = s3.create_multipart_upload(Bucket=bucket, Key="m")
    check_shown(begun, "sse-kms")
    check_shown(s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/before"), "sse-kms")
    check_shown(s3.put_object(Bucket=bucket, Key="own", Body=b"x", ServerSideEncryption="AES256"), "sse-s3")
    check_shown(s3.put_object(Bucket=bucket, Key="own", Body=b"x", **customer()), "sse-c")
    configure(s3, bucket, ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "AES256"})
    check_shown(s3.put_object(Bucket=bucket, Key="k", Body=b"x"), "sse-s3")
    s3.delete_bucket_encryption(Bucket=bucket)
    assert code_of(s3.get_bucket_encryption, Bucket=bucket) == nothing
    check_shown(s3.put_object(Bucket=bucket, Key="k", Body=b"x"), "plain")
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key="before")


def test_a_bucket_may_block_keys_of_clients(s3, bucket):
    s3.put_object(Bucket=bucket, Key="old", Body=b"x", **customer())
    configure(s3, bucket, ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "AES256"},
              BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]})
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    for call, more in ((s3.put_object, {"Body": b"x"}), (s3.create_multipart_upload, {}),
                       (s3.copy_object, {"CopySource": f"{bucket}/old", **customer(source=True)})):
        assert code_of(call, Bucket=bucket, Key="new", **more, **customer()) == (403, "AccessDenied")
    assert s3.get_object(Bucket=bucket, Key="old", **customer())["Body"].read() == b"x"
    configure(s3, bucket, BlockedEncryptionTypes={"EncryptionType": ["NONE"]})
    s3.put_object(Bucket=bucket, Key="new", Body=b"x", **customer())


def test_conditions_and_versions_of_encrypted_objects(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"one", ServerSideEncryption="AES256")
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"two", **customer())
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=first["VersionId"])["Body"].read() == b"one"
    read = {"Bucket": bucket, "Key": "k", **customer()}
    assert s3.get_object(**read, IfMatch=second["ETag"])["Body"].read() == b"two"
    assert code_of(s3.get_object, **read, IfNoneMatch=second["ETag"])[0] == 304
    put = {"Bucket": bucket, "Key": "k", "Body": b"three"}
    assert code_of(s3.put_object, **put, IfMatch=first["ETag"]) == (412, "PreconditionFailed")
    s3.put_object(**put, IfMatch=second["ETag"])


def on_drives(server, what):
    for drive in server.drives:
        for directory, _, names in os.walk(drive):
            for name in names:
                # What is written beside its name goes while we look.
                with suppress(FileNotFoundError), open(os.path.join(directory, name), "rb") as file:
                    if what in file.read():
                        return True
    return False


def test_drives_hold_ciphertext_through_restart_rotation_and_loss():
    # Without TLS, because the admin client takes no certificate that signs itself.
    server = start(tls=False, settings={"GRANARY_ALLOW_SSE_C_OVER_HTTP": "true"})
    try:
        s3 = server.boto3()
        s3.create_bucket(Bucket="bucket")
        for kind in ("sse-s3", "sse-kms", "sse-c"):
            for length in LENGTHS:
                s3.put_object(Bucket="bucket", Key=f"{kind}-{length}", Body=marked(length), **KINDS[kind])
            upload(s3, "bucket", kind, [5 * MIB + 3, 77_777], key=f"{kind}-parts")
        whole = marked(5 * MIB + 3, 1) + marked(77_777, 2)

        def check(s3):
            for kind in ("sse-s3", "sse-kms", "sse-c"):
                for length in LENGTHS:
                    got = s3.get_object(Bucket="bucket", Key=f"{kind}-{length}", **READS.get(kind, {}))
                    assert got["Body"].read() == marked(length)
                got = s3.get_object(Bucket="bucket", Key=f"{kind}-parts", **READS.get(kind, {}))
                assert got["Body"].read() == whole

        check(s3)
        assert not on_drives(server, MARK)
        secret = base64.b64encode(KEY_A)
        assert not on_drives(server, KEY_A) and not on_drives(server, secret)
        versions = json.loads(keyring(server, "rotate", "sse-s3"))
        assert [row["active"] for row in versions if row["name"] == "sse-s3"] == [False, True]
        keyring(server, "rotate", "training")
        server.kill()
        # Two drives are lost, and with them their copies of the key ring.
        for drive in server.drives[1:3]:
            shutil.rmtree(drive)
            drive.mkdir()
        server.start()
        s3 = server.boto3()
        check(s3)
        s3.put_object(Bucket="bucket", Key="sse-s3-1", Body=marked(1), ServerSideEncryption="AES256")
        server.admin("heal")
        check(s3)
        assert not on_drives(server, MARK)
        log = server.log_path.read_bytes()
        assert MARK not in log and secret not in log
        rings = [(drive / ".granary-keyring") for drive in server.drives]
        deadline = time.monotonic() + 120
        while not all(ring.exists() for ring in rings) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert all(ring.stat().st_mode & 0o777 == 0o600 for ring in rings)
        assert len({ring.read_bytes() for ring in rings}) == 1
        # The search finds what is not encrypted.
        s3.put_object(Bucket="bucket", Key="plain", Body=marked(1000))
        assert on_drives(server, MARK)
    finally:
        server.kill()
        shutil.rmtree(server.root, ignore_errors=True)


def test_a_key_ring_of_its_own_and_encryption_by_default():
    root = scratch_root()
    ring = root / "ring"
    run([binary(), "keyring", "create", "--keyring", ring], env=dict(os.environ))
    server = Server(root, drives=1, settings={"GRANARY_KEYRING": str(ring), "GRANARY_ENCRYPT_BY_DEFAULT": "true"})
    try:
        server.start()
        s3 = server.boto3()
        s3.create_bucket(Bucket="bucket")
        check_shown(s3.put_object(Bucket="bucket", Key="k", Body=marked(1000)), "sse-s3")
        rules = s3.get_bucket_encryption(Bucket="bucket")["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert not on_drives(server, MARK)
        assert not (server.drives[0] / ".granary-keyring").exists()
        # Without the ring nothing can be read; nothing else is harmed.
        server.stop()
        run([binary(), "keyring", "create", "--keyring", root / "other"], env=dict(os.environ))
        server.settings["GRANARY_KEYRING"] = str(root / "other")
        server.start()
        s3 = server.boto3()
        assert s3.head_object(Bucket="bucket", Key="k")["ContentLength"] == 1000
        assert code_of(s3.get_object, Bucket="bucket", Key="k") == (503, "ServiceUnavailable")
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("allowed", [False, True])
def test_keys_of_clients_do_not_travel_in_the_open(allowed):
    root = scratch_root()
    settings = {"GRANARY_ALLOW_SSE_C_OVER_HTTP": "true"} if allowed else {}
    server = Server(root, drives=1, settings=settings).start()
    try:
        s3 = server.boto3()
        s3.create_bucket(Bucket="bucket")
        put = {"Bucket": "bucket", "Key": "k", "Body": b"x", **customer()}
        if allowed:
            s3.put_object(**put)
            assert s3.get_object(Bucket="bucket", Key="k", **customer())["Body"].read() == b"x"
        else:
            assert code_of(s3.put_object, **put) == (400, "InvalidRequest")
            assert code_of(s3.head_object, Bucket="bucket", Key="k", **customer())[0] == 400
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
