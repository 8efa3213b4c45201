"""Object lock: what is locked stays, whichever way one tries to be rid of it."""

import base64
import datetime
import hashlib
import shutil
import time
import uuid

import pytest

from harness import Server, refusal, scratch_root

BODY = b"must stay"


@pytest.fixture
def client(server):
    return server.boto3()


@pytest.fixture
def locked(client):
    """A bucket with object lock."""
    return new_bucket(client)


def new_bucket(client):
    bucket = f"locked-{uuid.uuid4().hex[:10]}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return bucket


def soon(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


LOCKS = {
    "compliance": lambda: {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": soon(3600)},
    "governance": lambda: {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": soon(3600)},
    "hold": lambda: {"ObjectLockLegalHoldStatus": "ON"},
}


@pytest.mark.parametrize("lock", LOCKS)
def test_no_delete_removes_a_locked_version(client, locked, lock):
    version = client.put_object(Bucket=locked, Key="k", Body=BODY, **LOCKS[lock]())["VersionId"]
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    assert refusal(client.delete_object, **named) == (403, "AccessDenied")
    many = client.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": version}, {"Key": "other"}]})
    assert [(error["Key"], error["Code"]) for error in many["Errors"]] == [("k", "AccessDenied")]
    assert [deleted["Key"] for deleted in many["Deleted"]] == ["other"]
    if lock != "governance":
        assert refusal(client.delete_object, **named, BypassGovernanceRetention=True) == (403, "AccessDenied")
    # A plain delete hides it, and no more.
    assert client.delete_object(Bucket=locked, Key="k")["DeleteMarker"] is True
    assert client.get_object(**named)["Body"].read() == BODY
    assert refusal(client.delete_bucket, Bucket=locked) == (409, "BucketNotEmpty")


def test_what_a_bucket_retains_was_taken_without_a_digest(server, client, locked):
    """AWS wants one of what nobody could take back, also where the bucket's default locks it."""
    bare = server.boto3(request_checksum_calculation="when_required")
    bare.put_object(Bucket=locked, Key="before", Body=BODY)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    rule = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=rule)
    for write in ({}, {"WriteOffsetBytes": 0}):
        named = {"Bucket": locked, "Key": "k", "Body": BODY} | write
        assert refusal(bare.put_object, **named) == (400, "InvalidRequest")
    digest = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    bare.put_object(Bucket=locked, Key="k", Body=BODY, ContentMD5=digest)
    client.put_object(Bucket=locked, Key="k", Body=BODY, ChecksumAlgorithm="SHA256")
    client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    bare.put_object(Bucket=locked, Key="after", Body=BODY)


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_that_writes_the_key_replaces_a_locked_version(client, locked, lock):
    version = client.put_object(Bucket=locked, Key="k", Body=BODY, **LOCKS[lock]())["VersionId"]
    client.put_object(Bucket=locked, Key="source", Body=b"new")
    client.put_object(Bucket=locked, Key="k", Body=b"new")
    client.copy_object(Bucket=locked, Key="k", CopySource=f"{locked}/source")
    upload = client.create_multipart_upload(Bucket=locked, Key="k")["UploadId"]
    tag = client.upload_part(Bucket=locked, Key="k", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    client.complete_multipart_upload(Bucket=locked, Key="k", UploadId=upload,
                                     MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    client.put_object(Bucket=locked, Key="k", Body=b" more", WriteOffsetBytes=4)
    client.rename_object(Bucket=locked, Key="k", RenameSource="source")
    client.rename_object(Bucket=locked, Key="elsewhere", RenameSource="k")
    found = client.get_object(Bucket=locked, Key="k", VersionId=version)
    assert found["Body"].read() == BODY
    assert found.get("ObjectLockMode", "ON") in ("COMPLIANCE", "GOVERNANCE", "ON")
    # Versioning cannot be suspended, so that no null version takes its place.
    suspended = {"Bucket": locked, "VersioningConfiguration": {"Status": "Suspended"}}
    assert refusal(client.put_bucket_versioning, **suspended) == (409, "InvalidBucketState")


def test_a_null_version_can_be_locked_and_stays(client):
    """It was there before the bucket had versions; its id is a name that others could take."""
    bucket = f"late-{uuid.uuid4().hex[:10]}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    client.put_object_legal_hold(Bucket=bucket, Key="k", VersionId="null", LegalHold={"Status": "ON"})
    assert refusal(client.delete_object, Bucket=bucket, Key="k", VersionId="null") == (403, "AccessDenied")
    client.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert client.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == BODY


def test_locks_are_loosened_only_as_they_may_be(client, locked):
    version = client.put_object(Bucket=locked, Key="k", Body=BODY, **LOCKS["compliance"]())["VersionId"]
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    for retention in ({"Mode": "COMPLIANCE", "RetainUntilDate": soon(60)}, {"Mode": "GOVERNANCE", "RetainUntilDate": soon(7200)}):
        for bypass in (False, True):
            change = {**named, "Retention": retention, "BypassGovernanceRetention": bypass}
            assert refusal(client.put_object_retention, **change) == (403, "AccessDenied")
    client.put_object_retention(**named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon(7200)})
    version = client.put_object(Bucket=locked, Key="g", Body=BODY, **LOCKS["governance"]())["VersionId"]
    named = {"Bucket": locked, "Key": "g", "VersionId": version}
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": soon(60)}
    assert refusal(client.put_object_retention, **named, Retention=shorter) == (403, "AccessDenied")
    client.put_object_retention(**named, Retention=shorter, BypassGovernanceRetention=True)
    client.delete_object(**named, BypassGovernanceRetention=True)
    assert refusal(client.get_object, **named) == (404, "NoSuchVersion")


def test_lifecycle_waits_for_locks():
    root = scratch_root()
    server = Server(root, settings={"GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS": "1"}).start()
    try:
        client = server.boto3()
        bucket = new_bucket(client)
        held = client.put_object(Bucket=bucket, Key="held", Body=BODY, ObjectLockLegalHoldStatus="ON")["VersionId"]
        free = client.put_object(Bucket=bucket, Key="free", Body=BODY)["VersionId"]
        for key in ("held", "free"):
            client.put_object(Bucket=bucket, Key=key, Body=b"newer")
        rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})

        def versions():
            return {version["VersionId"] for version in client.list_object_versions(Bucket=bucket)["Versions"]}

        deadline = time.monotonic() + 180
        while free in versions() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert free not in versions() and held in versions()
        client.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=held, LegalHold={"Status": "OFF"})
        while held in versions() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert held not in versions()
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)
