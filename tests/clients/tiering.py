"""What the tests of storage classes have in common."""

import itertools
import json
import time

# A day of a rule is a second.
SETTINGS = {"GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS": "1", "GRANARY_GRACE_MS": "1000",
            "GRANARY_MAINTENANCE_INTERVAL_MS": "200", "GRANARY_CACHE_READS": "0"}
DEADLINE_S = 180
_numbers = itertools.count(1)


def new_bucket(server):
    name = f"tiers-{next(_numbers)}"
    server.boto3().create_bucket(Bucket=name)
    return name


def until(reached, what):
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)


def tiers(server):
    return json.loads(server.admin("tier", "list", "--json"))


def live(server, drives):
    return sum(tier["live_bytes"] for tier in tiers(server)["tiers"] if tier["class"] == drives)


def transition(server, bucket, *steps, filter=None, **rule):
    server.boto3().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{
        "ID": "move", "Status": "Enabled", "Filter": filter or {"ObjectSizeGreaterThan": 1},
        **({"Transitions": [{"Days": days, "StorageClass": name} for days, name in steps]} if steps else {}), **rule}]})


def classes(server, bucket):
    page = server.boto3().list_objects_v2(Bucket=bucket)
    return {entry["Key"]: entry["StorageClass"] for entry in page.get("Contents", [])}


def is_restored(client, bucket, key):
    return client.head_object(Bucket=bucket, Key=key).get("Restore", "").startswith('ongoing-request="false"')
