"""Rules of a lifecycle that move objects to other storage classes."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from harness import refusal, running, seeded_bytes
from tiering import SETTINGS, classes, is_restored, live, new_bucket, tiers, transition, until


@pytest.fixture(scope="module", name="server")
def tiered_server():
    """Three SSDs and four disks."""
    with running(settings=SETTINGS, drives=7, hdds=4) as server:
        yield server


def test_rules_move_objects_in_steps(server):
    client, bucket = server.boto3(), new_bucket(server)
    lengths, sealed = (1000, 200_000, 3_000_000), {"ServerSideEncryption": "AES256"}
    bodies = {f"{kind}{length}": seeded_bytes(length, length) for kind in ("k", "sealed") for length in lengths}
    for key, body in bodies.items():
        extra = sealed if key.startswith("sealed") else {}
        client.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"m": "1"}, Tagging="a=b", **extra)
    before = {key: client.head_object(Bucket=bucket, Key=key) for key in bodies}
    # The second step is far away until the first one has been looked at.
    transition(server, bucket, (1, "GLACIER_IR"), (100_000, "GLACIER"))
    until(lambda: set(classes(server, bucket).values()) == {"GLACIER_IR"}, "all are moved")
    for key, body in bodies.items():
        after = client.head_object(Bucket=bucket, Key=key)
        for name in ("ETag", "LastModified", "Metadata", "ContentLength", "ContentType", "ServerSideEncryption"):
            assert after.get(name) == before[key].get(name)
        assert after.get("ServerSideEncryption") == ("AES256" if key.startswith("sealed") else None)
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "b"}]
    transition(server, bucket, (1, "GLACIER_IR"), (6, "GLACIER"))
    until(lambda: set(classes(server, bucket).values()) == {"GLACIER"}, "all are archived")
    for key, body in bodies.items():
        client.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": 1_000})
        until(lambda: is_restored(client, bucket, key), f"{key} is restored")
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_small_objects_stay_unless_a_rule_names_lengths(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_object(Bucket=bucket, Key="small", Body=b"x" * 1000)
    client.put_object(Bucket=bucket, Key="large", Body=b"x" * 128 * 1024)
    transition(server, bucket, (1, "GLACIER_IR"), filter={"Prefix": ""})
    until(lambda: classes(server, bucket)["large"] == "GLACIER_IR", "the large one is moved")
    time.sleep(1)
    assert classes(server, bucket)["small"] == "STANDARD"
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, TransitionDefaultMinimumObjectSize="varies_by_storage_class", LifecycleConfiguration={"Rules": [{
            "ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""},
            "Transitions": [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]}]})
    until(lambda: classes(server, bucket)["small"] == "DEEP_ARCHIVE", "archives take small ones")


def test_the_operator_says_what_new_rules_leave_where_it_is():
    settings = {**SETTINGS, "GRANARY_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE": "varies_by_storage_class"}
    with running(settings=settings, drives=2) as server:
        client, bucket, other = server.boto3(), new_bucket(server), new_bucket(server)
        rule = {"ID": "r", "Status": "Enabled", "Prefix": "s", "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
        for name in (bucket, other):
            client.put_object(Bucket=name, Key="small", Body=b"fooz")
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        # A configuration that says it goes before the server's default.
        answer = client.put_bucket_lifecycle_configuration(
            Bucket=other, TransitionDefaultMinimumObjectSize="all_storage_classes_128K",
            LifecycleConfiguration={"Rules": [rule]})
        assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
        answer = client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
        assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
        until(lambda: classes(server, bucket) == {"small": "GLACIER"}, "the archive takes a small one")
        # What was put stays as it was put, whatever the default becomes.
        server.stop()
        del server.settings["GRANARY_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE"]
        server.start()
        client = server.boto3()
        for name, minimum in [(bucket, "varies_by_storage_class"), (other, "all_storage_classes_128K")]:
            kept = client.get_bucket_lifecycle_configuration(Bucket=name)
            assert kept["TransitionDefaultMinimumObjectSize"] == minimum
        assert classes(server, other) == {"small": "STANDARD"}


def test_older_versions_move_and_expiry_goes_first(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_object(Bucket=bucket, Key="gone", Body=b"x" * 1000)
    transition(server, bucket, (1, "GLACIER"), Expiration={"Days": 2})
    until(lambda: not classes(server, bucket), "it expired")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for n in range(2):
        client.put_object(Bucket=bucket, Key="k", Body=seeded_bytes(n, 200_000))
    transition(server, bucket, NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"}])

    def versions():
        page = client.list_object_versions(Bucket=bucket, Prefix="k")
        return [(entry["IsLatest"], entry["StorageClass"]) for entry in page["Versions"]]

    until(lambda: versions() == [(True, "STANDARD"), (False, "GLACIER_IR")], "the older one is moved")
    older = client.list_object_versions(Bucket=bucket, Prefix="k")["Versions"][1]["VersionId"]
    assert client.get_object(Bucket=bucket, Key="k", VersionId=older)["Body"].read() == seeded_bytes(0, 200_000)


def test_rules_follow_dates_and_all_of_a_filter(server):
    client, bucket = server.boto3(), new_bucket(server)
    length = 300_000
    for key, tags in [("in/both", "a=1&b=2"), ("in/one", "a=1"), ("out/both", "a=1&b=2")]:
        client.put_object(Bucket=bucket, Key=key, Body=seeded_bytes(1, length), Tagging=tags)
    for key, size in [("in/short", 100), ("in/long", length + 1)]:
        client.put_object(Bucket=bucket, Key=key, Body=b"x" * size, Tagging="a=1&b=2")
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    chosen = {"And": {"Prefix": "in/", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}],
                      "ObjectSizeGreaterThan": 100, "ObjectSizeLessThan": length + 1}}

    def moved_on(date, name):
        return {"ID": name, "Status": "Enabled", "Filter": chosen, "Transitions": [{"Date": date, "StorageClass": name}]}

    # One date is over and the other is not.
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        moved_on(midnight, "GLACIER_IR"), moved_on(midnight + timedelta(days=3), "GLACIER")]})
    until(lambda: classes(server, bucket)["in/both"] == "GLACIER_IR", "what all of it fits is moved")
    time.sleep(1)
    assert classes(server, bucket) == {"in/both": "GLACIER_IR", "in/long": "STANDARD", "in/one": "STANDARD",
                                       "in/short": "STANDARD", "out/both": "STANDARD"}
    with pytest.raises(ClientError, match="midnight"):
        transition(server, bucket, Transitions=[{"Date": midnight + timedelta(hours=1), "StorageClass": "GLACIER"}])


def test_overlapping_rules_are_followed_as_at_aws(server):
    client, bucket, versioned = server.boto3(), new_bucket(server), new_bucket(server)
    client.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Enabled"})
    body = seeded_bytes(1, 200_000)
    for name in (bucket, versioned):
        client.put_object(Bucket=name, Key="both", Body=body)
    client.put_object(Bucket=bucket, Key="follows/use", Body=body)
    client.put_object(Bucket=bucket, Key="follows/archive", Body=body)

    def rule(prefix, days, name):
        return {"ID": f"{prefix} {name}", "Status": "Enabled", "Filter": {"Prefix": prefix},
                "Transitions": [{"Days": days, "StorageClass": name}]}

    expiry = {"ID": "expiry", "Status": "Enabled", "Filter": {"Prefix": "bo"}, "Expiration": {"Days": 2}}
    client.put_bucket_lifecycle_configuration(Bucket=versioned, LifecycleConfiguration={"Rules": [
        expiry, rule("both", 2, "GLACIER_IR")]})
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        expiry, rule("both", 2, "GLACIER_IR"), rule("follows/", 2, "GLACIER_IR"), rule("f", 2, "INTELLIGENT_TIERING"),
        rule("follows/archive", 2, "GLACIER")]})
    seen = set()

    def has_expired():
        found = classes(server, bucket)
        seen.update(found[key] for key in found if key == "both")
        return "both" not in found

    # Deleted for good, without a move first.
    until(has_expired, "it expired")
    assert seen <= {"STANDARD"}
    expected = {"follows/use": "INTELLIGENT_TIERING", "follows/archive": "GLACIER"}
    until(lambda: classes(server, bucket) == expected, "the class that is favoured counts")
    # A delete marker comes behind the move.
    until(lambda: "DeleteMarkers" in client.list_object_versions(Bucket=versioned), "it is hidden")
    older = client.list_object_versions(Bucket=versioned)["Versions"]
    assert [(entry["StorageClass"], entry["IsLatest"]) for entry in older] == [("GLACIER_IR", False)]
    assert client.get_object(Bucket=versioned, Key="both", VersionId=older[0]["VersionId"])["Body"].read() == body
    time.sleep(1)
    assert classes(server, bucket) == expected, "what follows use stays there"


def test_the_newest_older_versions_stay_where_they_are(server):
    client, bucket = server.boto3(), new_bucket(server)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for n in range(5):
        client.put_object(Bucket=bucket, Key="k", Body=seeded_bytes(n, 150_000))
    transition(server, bucket, NoncurrentVersionTransitions=[
        {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1, "StorageClass": "GLACIER_IR"},
        {"NoncurrentDays": 2, "NewerNoncurrentVersions": 3, "StorageClass": "GLACIER"}])

    def versions():
        return [entry["StorageClass"] for entry in client.list_object_versions(Bucket=bucket)["Versions"]]

    until(lambda: versions() == ["STANDARD", "STANDARD", "GLACIER_IR", "GLACIER_IR", "GLACIER"], "the older ones are moved")
    client.put_object(Bucket=bucket, Key="k", Body=b"newest")
    until(lambda: versions() == ["STANDARD", "STANDARD", "GLACIER_IR", "GLACIER_IR", "GLACIER", "GLACIER"], "all are behind one more")


def test_a_move_to_another_archive_ends_a_restore_and_its_copy():
    with running(settings=SETTINGS, drives=7, hdds=4) as server:
        client, bucket = server.boto3(), new_bucket(server)
        bodies = {f"k{length}": seeded_bytes(length, length) for length in (1000, 300_000, 3_000_000)}
        again, *others = bodies

        def restore(key):
            client.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": 100_000})

        def on_ssds():
            return tiers(server)["warm"]["restored"], live(server, "ssd")

        for key, body in bodies.items():
            client.put_object(Bucket=bucket, Key=key, Body=body, StorageClass="GLACIER")
            restore(key)
        until(lambda: all(is_restored(client, bucket, key) for key in bodies), "all are restored")
        length = sum(map(len, bodies.values()))
        assert on_ssds() == ({"copies": 3, "bytes": length}, length)
        transition(server, bucket, (1, "DEEP_ARCHIVE"))
        until(lambda: set(classes(server, bucket).values()) == {"DEEP_ARCHIVE"}, "all are moved")
        # What is restored again at once is another restore, which has a copy of its own time.
        restore(again)
        until(lambda: is_restored(client, bucket, again), "it is restored again")
        left = ({"copies": 1, "bytes": len(bodies[again])}, len(bodies[again]))
        until(lambda: on_ssds() == left, "the other copies go")
        for key in others:
            assert "Restore" not in client.head_object(Bucket=bucket, Key=key)
            assert refusal(client.get_object, Bucket=bucket, Key=key) == (403, "InvalidObjectState")
        time.sleep(2)
        assert on_ssds() == left
        assert client.get_object(Bucket=bucket, Key=again)["Body"].read() == bodies[again]
