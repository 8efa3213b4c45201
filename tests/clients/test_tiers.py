"""Storage classes: on SSDs and disks, copied to SSDs, restored from archives."""

import http.client
import itertools
import json

import pytest
from botocore.exceptions import ClientError

from harness import refusal, running, seeded_bytes
from tiering import SETTINGS, classes, is_restored, live, new_bucket, tiers, transition, until

CLASSES = ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",
           "DEEP_ARCHIVE", "GLACIER_IR"]
ARCHIVES = ["GLACIER", "DEEP_ARCHIVE"]


def started(**options):
    with running(settings=SETTINGS, **options) as server:
        yield server


@pytest.fixture(scope="module", name="server")
def tiered_server():
    """Three SSDs and four disks; a day of a rule is a second."""
    yield from started(drives=7, hdds=4)


@pytest.fixture(scope="module")
def plain_server():
    """Drives of one class."""
    yield from started(drives=2)


def metrics_of(server):
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    link.request("GET", "/metrics")
    return link.getresponse().read().decode()


def warm(server):
    return tiers(server)["warm"]


def test_every_class_is_kept_shown_and_read(server):
    client, bucket = server.boto3(), new_bucket(server)
    for name, length in itertools.product(CLASSES, (0, 1000, 300_000)):
        key, body = f"{name}/{length}", seeded_bytes(length, length)
        client.put_object(Bucket=bucket, Key=key, Body=body, StorageClass=name)
        shown = client.head_object(Bucket=bucket, Key=key).get("StorageClass", "STANDARD")
        assert shown == name
        assert ("StorageClass" in client.head_object(Bucket=bucket, Key=key)) == (name != "STANDARD")
        if name in ARCHIVES:
            assert refusal(client.get_object, Bucket=bucket, Key=key) == (403, "InvalidObjectState")
        else:
            assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert all(key.startswith(f"{name}/") for key, name in classes(server, bucket).items())


def test_uploads_and_copies_go_to_the_class_they_name(server):
    client, bucket = server.boto3(), new_bucket(server)
    body = seeded_bytes(5, 6 << 20)
    ssd, hdd = live(server, "ssd"), live(server, "hdd")
    upload = client.create_multipart_upload(Bucket=bucket, Key="u", StorageClass="GLACIER_IR")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="u", UploadId=upload, PartNumber=1, Body=body)
    client.complete_multipart_upload(Bucket=bucket, Key="u", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert client.head_object(Bucket=bucket, Key="u")["StorageClass"] == "GLACIER_IR"
    assert (live(server, "ssd"), live(server, "hdd")) == (ssd, hdd + len(body))
    # Onto itself: the bytes move to the other drives.
    client.copy_object(Bucket=bucket, Key="u", CopySource=f"{bucket}/u", StorageClass="STANDARD")
    assert "StorageClass" not in client.head_object(Bucket=bucket, Key="u")
    assert (live(server, "ssd"), live(server, "hdd")) == (ssd + len(body), hdd)
    assert client.get_object(Bucket=bucket, Key="u")["Body"].read() == body
    client.copy_object(Bucket=bucket, Key="u", CopySource=f"{bucket}/u", StorageClass="STANDARD_IA")
    assert (live(server, "ssd"), live(server, "hdd")) == (ssd, hdd + len(body))
    assert client.get_object(Bucket=bucket, Key="u")["Body"].read() == body
    assert refusal(client.put_object, Bucket=bucket, Key="x", StorageClass="COLD") == (400, "InvalidStorageClass")


def test_a_copy_onto_itself_changes_the_class_and_nothing_else(server):
    client, bucket = server.boto3(), f"{new_bucket(server)}-locked"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    sealed, body = {"ServerSideEncryption": "AES256"}, seeded_bytes(4, 6 << 20)
    upload = client.create_multipart_upload(
        Bucket=bucket, Key="k", Metadata={"m": "1"}, Tagging="a=b", ContentType="x/y", StorageClass="ONEZONE_IA", **sealed)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    assert client.list_parts(**upload)["StorageClass"] == "ONEZONE_IA"
    assert client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == "ONEZONE_IA"
    halves = enumerate((body[:5 << 20], body[5 << 20:]), 1)
    parts = [{"PartNumber": n, "ETag": client.upload_part(PartNumber=n, Body=half, **upload)["ETag"]} for n, half in halves]
    first = client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)["VersionId"]
    client.put_object_legal_hold(Bucket=bucket, Key="k", VersionId=first, LegalHold={"Status": "ON"})
    client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", StorageClass="GLACIER_IR", **sealed)
    head = client.head_object(Bucket=bucket, Key="k")
    kept = (head["StorageClass"], head["Metadata"], head["ContentType"], head["ServerSideEncryption"], head["ContentLength"])
    assert kept == ("GLACIER_IR", {"m": "1"}, "x/y", "AES256", len(body))
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    # The version that is held stays as it was, where it was; its hold is not the new one's.
    older = client.head_object(Bucket=bucket, Key="k", VersionId=first)
    assert (older["StorageClass"], older["ObjectLockLegalHoldStatus"]) == ("ONEZONE_IA", "ON")
    assert "ObjectLockLegalHoldStatus" not in head
    # Without another class, or a change of something else, there is nothing to do.
    client.put_object(Bucket=bucket, Key="same", Body=b"x")
    assert refusal(client.copy_object, Bucket=bucket, Key="same", CopySource=f"{bucket}/same") == (400, "InvalidRequest")


def test_archives_tell_everything_but_their_bytes(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000, StorageClass="DEEP_ARCHIVE", Tagging="a=b")
    upload = client.create_multipart_upload(Bucket=bucket, Key="p")["UploadId"]
    archived = (403, "InvalidObjectState")
    for reads in ({}, {"Range": "bytes=0-9"}, {"PartNumber": 1}):
        assert refusal(client.get_object, Bucket=bucket, Key="k", **reads) == archived
    assert refusal(client.upload_part_copy, Bucket=bucket, Key="p", UploadId=upload, PartNumber=1,
                   CopySource=f"{bucket}/k") == archived
    assert refusal(client.copy_object, Bucket=bucket, Key="k", CopySource=f"{bucket}/k", StorageClass="STANDARD") == archived
    told = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["StorageClass", "ObjectSize"])
    assert (told["StorageClass"], told["ObjectSize"]) == ("DEEP_ARCHIVE", 1000)
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    client.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 600})
    until(lambda: is_restored(client, bucket, "k"), "it is restored")
    versions = client.list_object_versions(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Versions"]
    assert versions[0]["RestoreStatus"]["IsRestoreInProgress"] is False
    client.delete_object(Bucket=bucket, Key="k")
    marker = client.list_object_versions(Bucket=bucket)["DeleteMarkers"][0]["VersionId"]
    asked = {"Bucket": bucket, "Key": "k", "RestoreRequest": {"Days": 1}}
    assert refusal(client.restore_object, **asked) == (404, "NoSuchKey")
    assert refusal(client.restore_object, VersionId=marker, **asked) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_restored_for_a_while(server, name):
    client, bucket = server.boto3(), new_bucket(server)
    body = seeded_bytes(9, 400_000)
    client.put_object(Bucket=bucket, Key="k", Body=body, StorageClass=name)
    with pytest.raises(ClientError) as refused:
        client.get_object(Bucket=bucket, Key="k")
    assert refused.value.response["Error"]["StorageClass"] == name
    assert refusal(client.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/k") == (403, "InvalidObjectState")
    assert "Restore" not in client.head_object(Bucket=bucket, Key="k")

    def restore(days, tier="Bulk"):
        answer = client.restore_object(Bucket=bucket, Key="k", RestoreRequest={
            "Days": days, "GlacierJobParameters": {"Tier": tier}})
        return answer["ResponseMetadata"]["HTTPStatusCode"]

    assert restore(600) == 202
    until(lambda: is_restored(client, bucket, "k"), "it is restored")
    assert restore(6, "Standard") == 200
    shown = client.head_object(Bucket=bucket, Key="k")["Restore"]
    assert shown.startswith('ongoing-request="false", expiry-date="') and shown.endswith(' GMT"')
    answer = client.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == body and answer["StorageClass"] == name
    # A copy of what is restored is an object of its own, for good.
    client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
    until(lambda: "Restore" not in client.head_object(Bucket=bucket, Key="k"), "it expires")
    assert refusal(client.get_object, Bucket=bucket, Key="k") == (403, "InvalidObjectState")
    assert client.get_object(Bucket=bucket, Key="c")["Body"].read() == body
    if name == "DEEP_ARCHIVE":
        assert refusal(client.restore_object, Bucket=bucket, Key="k", RestoreRequest={
            "Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}) == (400, "InvalidArgument")
    else:
        assert restore(1, "Expedited") == 202


def test_older_versions_are_restored_by_themselves(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bodies = [seeded_bytes(n, 200_000) for n in range(2)]
    older, newer = (client.put_object(Bucket=bucket, Key="k", Body=body, StorageClass="GLACIER")["VersionId"]
                    for body in bodies)
    client.restore_object(Bucket=bucket, Key="k", VersionId=older, RestoreRequest={"Days": 1000})

    def is_readable(version):
        shown = client.head_object(Bucket=bucket, Key="k", VersionId=version).get("Restore", "")
        return shown.startswith('ongoing-request="false"')

    until(lambda: is_readable(older), "the older one is restored")
    assert client.get_object(Bucket=bucket, Key="k", VersionId=older)["Body"].read() == bodies[0]
    assert not is_readable(newer)
    assert refusal(client.get_object, Bucket=bucket, Key="k") == (403, "InvalidObjectState")
    # It stays readable behind a delete marker, and another version has no share in it.
    client.delete_object(Bucket=bucket, Key="k")
    assert client.get_object(Bucket=bucket, Key="k", VersionId=older)["Body"].read() == bodies[0]
    assert refusal(client.restore_object, Bucket=bucket, Key="k", VersionId="f" * 32, RestoreRequest={"Days": 1}) == (
        404, "NoSuchVersion")


@pytest.fixture(scope="module")
def slow_server():
    """Copies 64 KiB a second, so that restores are seen in progress."""
    settings = {"GRANARY_GRACE_MS": "1000", "GRANARY_MAINTENANCE_INTERVAL_MS": "200", "GRANARY_MOVE_RATE_BYTES": "65536"}
    with running(settings=settings, drives=7, hdds=4) as server:
        yield server


def test_a_restore_is_in_progress_until_its_copy_is_there(slow_server):
    client, bucket = slow_server.boto3(), new_bucket(slow_server)
    body = seeded_bytes(9, 700_000)
    client.put_object(Bucket=bucket, Key="k", Body=body, StorageClass="GLACIER")

    def request(tier):
        return {"Days": 1, "GlacierJobParameters": {"Tier": tier}}

    client.restore_object(Bucket=bucket, Key="k", RestoreRequest=request("Bulk"))
    assert client.head_object(Bucket=bucket, Key="k")["Restore"] == 'ongoing-request="true"'
    for tier in ("Bulk", "Bulk"):
        assert refusal(client.restore_object, Bucket=bucket, Key="k", RestoreRequest=request(tier)) == (
            409, "RestoreAlreadyInProgress")
    assert refusal(client.get_object, Bucket=bucket, Key="k") == (403, "InvalidObjectState")
    assert refusal(client.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/k") == (403, "InvalidObjectState")
    # A more urgent one is taken, as at AWS.
    answer = client.restore_object(Bucket=bucket, Key="k", RestoreRequest=request("Standard"))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert warm(slow_server)["restoring"] == 1
    listed = jobs(slow_server)
    assert [(job["kind"], job["tier"], job["state"], job["objects_found"]) for job in listed] == [
        ("restore", "Standard", "running", 1)]
    assert 0 < listed[0]["bytes_left"] <= len(body)
    until(lambda: is_restored(client, bucket, "k"), "it is restored")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert warm(slow_server)["restored"] == {"copies": 1, "bytes": len(body)}
    # A midnight is at least a day away: it is restored again, to a later one.
    assert client.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 3})["ResponseMetadata"][
        "HTTPStatusCode"] == 200


def test_urgent_restores_overtake_bulk_ones():
    settings = {"GRANARY_GRACE_MS": "1000", "GRANARY_MAINTENANCE_INTERVAL_MS": "200",
                "GRANARY_MOVE_RATE_BYTES": "300000"}
    with running(settings=settings, drives=7, hdds=4) as server:
        client, bucket = server.boto3(), new_bucket(server)
        bulk = [f"bulk{n:02}" for n in range(30)]
        for n, key in enumerate([*bulk, "standard", "expedited"]):
            client.put_object(Bucket=bucket, Key=key, Body=seeded_bytes(n, 300_000), StorageClass="GLACIER")

        def restore(key, tier):
            client.restore_object(Bucket=bucket, Key=key, RestoreRequest={
                "Days": 1, "GlacierJobParameters": {"Tier": tier}})

        for key in bulk:
            restore(key, "Bulk")
        until(lambda: any(is_restored(client, bucket, key) for key in bulk), "the bulk ones have begun")
        restore("standard", "Standard")
        restore("expedited", "Expedited")
        until(lambda: all(is_restored(client, bucket, key) for key in ("standard", "expedited")), "both are restored")
        # At this rate all of them take half a minute.
        assert warm(server)["restoring"] > 5
        assert client.get_object(Bucket=bucket, Key="standard")["Body"].read() == seeded_bytes(30, 300_000)


def test_prefixes_are_prefetched_pinned_and_unpinned(server):
    client, bucket = server.boto3(), new_bucket(server)
    bodies = {f"run/{n:03}": seeded_bytes(n, 20_000) for n in range(100)} | {"run/large": seeded_bytes(7, 3_000_000)}
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key, Body=body, StorageClass="STANDARD_IA")
    client.put_object(Bucket=bucket, Key="run/hot", Body=b"x")
    client.put_object(Bucket=bucket, Key="elsewhere", Body=b"x" * 20_000, StorageClass="STANDARD_IA")
    total, before = sum(len(body) for body in bodies.values()), warm(server)["prefetched"]
    done = json.loads(server.admin("tier", "prefetch", f"s3://{bucket}/run/", "--json"))
    assert (done["state"], done["found"], done["copied"], done["bytes"]) == ("done", 101, 101, total)
    assert (done["on_ssd"], done["no_room"], done["failed"]) == (1, 0, 0)
    assert warm(server)["prefetched"] == {"copies": before["copies"] + 101, "bytes": before["bytes"] + total}
    for key, body in bodies.items():
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert client.head_object(Bucket=bucket, Key=key)["StorageClass"] == "STANDARD_IA"
    ranged = client.get_object(Bucket=bucket, Key="run/large", Range="bytes=1000000-1999999")["Body"].read()
    assert ranged == bodies["run/large"][1_000_000:2_000_000]
    assert 'granary_warm_reads_total{outcome="warm"}' in metrics_of(server)
    assert "101 had a copy" in server.admin("tier", "pin", f"s3://{bucket}/run/")
    assert json.loads(server.admin("tier", "pins", "--json")) == [
        {"bucket": bucket, "prefix": "run/", "copies": 101, "bytes": total}]
    client.put_object(Bucket=bucket, Key="run/later", Body=b"y" * 1000, StorageClass="GLACIER_IR")
    until(lambda: warm(server)["pinned"]["copies"] == 102, "what comes later is pinned")
    # Overwritten and deleted: nothing stale is read, and the copies go.
    client.put_object(Bucket=bucket, Key="run/000", Body=b"new", StorageClass="STANDARD_IA")
    assert client.get_object(Bucket=bucket, Key="run/000")["Body"].read() == b"new"
    client.delete_object(Bucket=bucket, Key="run/large")
    expected = total + 1000 - 20_000 - 3_000_000 + 3
    until(lambda: warm(server)["pinned"] == {"copies": 101, "bytes": expected}, "what was left behind goes")
    assert json.loads(server.admin("tier", "unpin", f"s3://{bucket}/run/", "--json")) == {"unpinned": 101}
    assert json.loads(server.admin("tier", "pins", "--json")) == []
    with pytest.raises(AssertionError, match="is not pinned"):
        server.admin("tier", "unpin", f"s3://{bucket}/run/")
    assert warm(server)["prefetched"]["copies"] >= 101
    assert "Warm copies on SSDs" in server.admin("tier", "list")


def jobs(server):
    return json.loads(server.admin("tier", "jobs", "--json"))


def test_jobs_are_listed(server):
    client, bucket = server.boto3(), new_bucket(server)
    for n in range(3):
        client.put_object(Bucket=bucket, Key=f"run/{n}", Body=seeded_bytes(n, 20_000), StorageClass="STANDARD_IA")
    for command in ("prefetch", "pin"):
        server.admin("tier", command, f"s3://{bucket}/run/")
    listed = {job["kind"]: job for job in jobs(server) if job["bucket"] == bucket}
    assert set(listed) == {"prefetch", "pin"}
    for job in listed.values():
        assert (job["prefix"], job["state"], job["reason"], job["holder"]) == ("run/", "done", None, None)
        assert (job["objects_done"], job["objects_found"], job["listed"], job["bytes_left"]) == (3, 3, True, 0)
    assert listed["prefetch"]["bytes_copied"] + listed["pin"]["bytes_copied"] == 60_000
    text = server.admin("tier", "jobs")
    assert "TIME LEFT" in text and f"s3://{bucket}/run/" in text and "3 of 3" in text
    server.admin("tier", "unpin", f"s3://{bucket}/run/")


def test_what_cannot_be_warm_is_refused(server, plain_server):
    bucket = new_bucket(plain_server)
    for command in ("prefetch", "pin"):
        with pytest.raises(AssertionError, match="no SSDs beside disks"):
            plain_server.admin("tier", command, f"s3://{bucket}/")
        with pytest.raises(AssertionError, match="NoSuchBucket|not exist|no bucket"):
            server.admin("tier", command, "s3://no-such-bucket/")
        with pytest.raises(AssertionError, match="s3://"):
            server.admin("tier", command, bucket)


def test_what_is_read_often_is_promoted(server):
    client, bucket = server.boto3(), new_bucket(server)
    for name in ("hot", "cold"):
        client.put_object(Bucket=bucket, Key=name, Body=seeded_bytes(3, 30_000), StorageClass="INTELLIGENT_TIERING")
    before = warm(server)["promoted"]["copies"]
    for _ in range(4):
        assert client.get_object(Bucket=bucket, Key="hot")["Body"].read() == seeded_bytes(3, 30_000)
    until(lambda: warm(server)["promoted"]["copies"] == before + 1, "it is promoted")
    assert client.get_object(Bucket=bucket, Key="hot")["Body"].read() == seeded_bytes(3, 30_000)


def test_what_is_not_archived_is_not_restored(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER_IR")
    days = {"Days": 1}
    assert refusal(client.restore_object, Bucket=bucket, Key="k", RestoreRequest=days) == (403, "InvalidObjectState")
    assert refusal(client.restore_object, Bucket=bucket, Key="none", RestoreRequest=days) == (404, "NoSuchKey")
    assert refusal(client.restore_object, Bucket=bucket, Key="k", RestoreRequest={}) == (400, "MalformedXML")


def test_tiers_are_listed(server, plain_server):
    listed = tiers(server)
    where = {entry["class"]: (entry["drives"], entry["erasure"]) for entry in listed["classes"]}
    assert listed["tiered"]
    assert where["STANDARD"] == ("ssd", "2+1") and where["GLACIER"] == ("hdd", "2+2")
    drives = json.loads(server.admin("drive", "list", "--json"))
    assert [drive["class"] for drive in drives] == ["ssd"] * 3 + ["hdd"] * 4
    text = server.admin("tier", "list")
    assert "STANDARD_IA" in text and "LIVE PART" in text
    plain = tiers(plain_server)
    assert not plain["tiered"] and {entry["drives"] for entry in plain["classes"]} == {None}


def test_the_numbers_of_tiers_add_up():
    with running(settings=SETTINGS, drives=7, hdds=4) as server:
        client, bucket = server.boto3(), new_bucket(server)
        listed = tiers(server)
        drives = json.loads(server.admin("drive", "list", "--json"))
        by_class = {entry["class"]: entry for entry in listed["tiers"]}
        assert [by_class[name]["drives"] for name in ("ssd", "hdd")] == [3, 4]
        for name, entry in by_class.items():
            own = [drive for drive in drives if drive["class"] == name]
            assert entry["capacity_bytes"] == sum(drive["capacity_bytes"] for drive in own) > entry["free_bytes"] > 0
            assert (entry["live_bytes"], entry["full"], entry["spills"]) == (0, False, False)
        assert (listed["spilled"], listed["refused"]) == (0, 0)
        # It lives where its class lies, with the parity of the code there, and nothing else is added.
        length = 1 << 20
        for class_, factor in (("STANDARD", 3 / 2), ("GLACIER_IR", 4 / 2)):
            client.put_object(Bucket=bucket, Key=class_, Body=seeded_bytes(1, length), StorageClass=class_)
            entry = next(entry for entry in tiers(server)["tiers"]
                         if entry["class"] == ("ssd" if class_ == "STANDARD" else "hdd"))
            assert entry["live_bytes"] == length
            assert length * factor <= entry["stored_bytes"] <= length * factor * 1.2
            assert 0.8 <= entry["live_fraction"] <= 1
            assert entry["volumes"] >= 1
        assert [live(server, name) for name in ("ssd", "hdd")] == [length, length]
        # The exit code is 1 as long as something is wrong: copies of the metadata are made soon after the start.
        until(lambda: is_well(server), "the store is well")
        status = json.loads(server.admin("status", "--json"))
        assert status["well"] and not status["problems"]
        assert [(tier["class"], tier["drives"]) for tier in status["tiers"]] == [("ssd", 3), ("hdd", 4)]
        assert server.admin("status").startswith("well\n")


def is_well(server):
    try:
        return json.loads(server.admin("status", "--json"))["well"]
    except AssertionError:
        return False


def test_a_class_whose_drives_are_not_there_takes_no_writes():
    settings = {**SETTINGS, "GRANARY_TIER": "GLACIER=hdd"}
    with running(settings=settings, drives=3, hdds=0) as server:
        client, bucket = server.boto3(), new_bucket(server)
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
        calls = [
            (client.put_object, {"Body": b"x"}),
            (client.put_object, {"Body": b"x" * 300_000}),
            (client.copy_object, {"CopySource": f"{bucket}/k"}),
            (client.create_multipart_upload, {}),
        ]
        for call, parameters in calls:
            with pytest.raises(ClientError) as refused:
                call(Bucket=bucket, Key="cold", StorageClass="GLACIER", **parameters)
            answer = refused.value.response
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
            assert answer["Error"]["Code"] == "InvalidStorageClass"
            assert "no drives of class hdd" in answer["Error"]["Message"]
            assert answer["Error"]["StorageClassRequested"] == "GLACIER"
        assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
        listed = {entry["class"]: entry for entry in tiers(server)["classes"]}
        assert listed["GLACIER"] == {"class": "GLACIER", "drives": "hdd", "erasure": None}
        assert listed["STANDARD"]["erasure"] == "2+1"
        assert "no drives: writes are refused" in server.admin("tier", "list")


def test_a_store_with_one_kind_of_drives_takes_every_class(plain_server):
    client, bucket = plain_server.boto3(), new_bucket(plain_server)
    for name in CLASSES:
        client.put_object(Bucket=bucket, Key=name, Body=b"x" * 200_000, StorageClass=name)
    assert classes(plain_server, bucket) == {name: name for name in CLASSES}
    assert refusal(client.get_object, Bucket=bucket, Key="GLACIER") == (403, "InvalidObjectState")
    transition(plain_server, bucket, (1, "DEEP_ARCHIVE"))
    until(lambda: set(classes(plain_server, bucket).values()) == {"DEEP_ARCHIVE"}, "all change their class")
