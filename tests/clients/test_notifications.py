"""Notifications: what happens to objects is told to the targets that the operator named, at least once, and to nobody else."""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import time
import uuid

import pytest

from harness import Server, binary, refusal, scratch_root
from receiver import SECRET, Receiver, certificates, settings
from test_protocol import connection

CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"


@pytest.fixture
def root():
    root = scratch_root()
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def told():
    """A receiver, and a server that may send to it."""
    root = scratch_root()
    receiver = Receiver().start()
    eager = {"GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS": "1"}
    server = Server(root, drives=2, settings=settings(root, hook=receiver) | eager).start()
    yield server, receiver
    server.kill()
    receiver.stop()
    shutil.rmtree(root, ignore_errors=True)


def queue(name, *events, id="i", **filters):
    rules = [{"Name": end, "Value": value} for end, value in filters.items()]
    made = {"Id": id, "QueueArn": f"arn:granary:sqs:us-east-1:000000000000:{name}", "Events": list(events)}
    return made | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def configure(s3, bucket, *queues, **more):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(queues)}, **more)


def new_bucket(s3, *queues):
    bucket = f"told-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=bucket)
    if queues:
        configure(s3, bucket, *queues)
    return bucket


def of(bucket):
    return lambda records: [record for record in records if record["s3"]["bucket"]["name"] == bucket]


def names(records):
    return [record["eventName"] for record in records]


def wait_for(receiver, bucket, count, deadline_s=120):
    found = of(bucket)(receiver.wait(lambda records: len(of(bucket)(records)) >= count, deadline_s))
    assert len(found) == count, names(found)
    return sorted(found, key=lambda record: record["s3"]["object"]["sequencer"])


def test_configurations_are_kept_and_targets_get_a_test(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3)
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    queues = [queue("hook", CREATED, prefix="a/", suffix=".jpg"), queue("hook", REMOVED, id="j")]
    topic = {"Id": "t", "TopicArn": "arn:aws:sns:us-east-1:000000000000:hook", "Events": ["s3:ObjectTagging:*"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={
        "QueueConfigurations": queues, "TopicConfigurations": [topic]})
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert (found["QueueConfigurations"], found["TopicConfigurations"]) == (queues, [topic])

    def tests():
        return [body for _, body in receiver.messages if body.get("Event") and body["Bucket"] == bucket]

    receiver.wait(lambda _: len(tests()) == 3)
    assert tests()[0]["Event"] == "s3:TestEvent" and tests()[0]["Service"] == "Amazon S3"
    assert set(tests()[0]) == {"Service", "Event", "Time", "Bucket", "RequestId", "HostId"}
    configure(s3, bucket, queue("hook", CREATED), SkipDestinationValidation=True)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b.jpg", Body=b"x")
    time.sleep(1.5)
    assert len(tests()) == 3 and not of(bucket)(receiver.records())


def test_every_way_to_make_and_remove_an_object_is_told(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", CREATED, REMOVED, "s3:ObjectTagging:*", "s3:ObjectAcl:Put"))
    put = s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"hello")
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(300_000))
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    tag = s3.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    form = s3.generate_presigned_post(bucket, "posted")
    post_form(server, bucket, form)
    s3.put_object_tagging(Bucket=bucket, Key="m", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="m")
    s3.delete_object(Bucket=bucket, Key="empty")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "never there"}]})
    found = wait_for(receiver, bucket, 10)
    assert sorted(names(found)) == sorted(
        ["ObjectCreated:Put"] * 3 + ["ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Post",
         "ObjectTagging:Put", "ObjectTagging:Delete", "ObjectRemoved:Delete", "ObjectRemoved:Delete"])
    first = found[0]
    assert first["eventVersion"] == "2.1" and first["eventSource"] == "aws:s3" and first["awsRegion"] == "us-east-1"
    assert first["s3"]["object"] == {"key": "a+b/%C3%BC", "size": 5, "eTag": put["ETag"].strip('"'),
                                     "sequencer": first["s3"]["object"]["sequencer"]}
    assert first["s3"]["configurationId"] == "i" and first["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert first["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    answer = put["ResponseMetadata"]
    assert first["responseElements"] == {"x-amz-request-id": answer["RequestId"], "x-amz-id-2": answer["HostId"]}
    assert {record["s3"]["object"]["key"] for record in found if record["eventName"] == "ObjectRemoved:Delete"} == {
        "empty", "copy"}


def test_restores_and_moves_to_other_classes_are_told(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", "s3:ObjectRestore:*", "s3:LifecycleTransition"))
    put = s3.put_object(Bucket=bucket, Key="a", Body=b"hello", StorageClass="GLACIER")
    for _ in range(2):
        s3.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 900})
    posted, done = wait_for(receiver, bucket, 2)
    assert sorted(names([posted, done])) == ["ObjectRestore:Completed", "ObjectRestore:Post"]
    if posted["eventName"] == "ObjectRestore:Completed":
        posted, done = done, posted
    assert "glacierEventData" not in posted and posted["userIdentity"]["principalId"]
    restored = done["glacierEventData"]["restoreEventData"]
    assert restored["lifecycleRestoreStorageClass"] == "GLACIER"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", restored["lifecycleRestorationExpiryTime"])
    assert (done["s3"]["object"]["size"], done["s3"]["object"]["eTag"]) == (5, put["ETag"].strip('"'))
    # What is one stripe and what are several.
    bodies = {"packed": bytes(200_000), "large": bytes(3 << 20)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=f"move/{key}", Body=body)
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{
        "ID": "r", "Status": "Enabled", "Filter": {"Prefix": "move/"},
        "Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}]}]})
    moved = [record for record in wait_for(receiver, bucket, 4) if record["eventName"] == "LifecycleTransition"]
    assert {record["s3"]["object"]["key"] for record in moved} == {f"move/{key}" for key in bodies}
    for record in moved:
        assert record["lifecycleEventData"] == {"transitionEventData": {"destinationStorageClass": "GLACIER_IR"}}
        assert record["eventVersion"] == "2.3" and record["userIdentity"]["principalId"] == "s3.amazonaws.com"


def test_the_end_of_a_restore_is_told_where_its_copy_is_removed(root):
    receiver = Receiver().start()
    eager = {"GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS": "2", "GRANARY_MAINTENANCE_INTERVAL_MS": "200"}
    server = Server(root, drives=7, hdds=4, settings=settings(root, hook=receiver) | eager).start()
    try:
        s3 = server.boto3()
        bucket = new_bucket(s3, queue("hook", "s3:ObjectRestore:*"))
        s3.put_object(Bucket=bucket, Key="a", Body=b"hello", StorageClass="GLACIER")
        s3.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 2})
        found = wait_for(receiver, bucket, 3, 60)
        assert names(found) == ["ObjectRestore:Post", "ObjectRestore:Completed", "ObjectRestore:Delete"]
        assert (found[2]["eventVersion"], found[2]["s3"]["object"]["size"]) == ("2.3", 5)
        assert found[2]["userIdentity"]["principalId"] == "s3.amazonaws.com"
        # A move to another archive ends a restore long before its time.
        s3.put_object(Bucket=bucket, Key="b", Body=b"hello", StorageClass="GLACIER")
        s3.restore_object(Bucket=bucket, Key="b", RestoreRequest={"Days": 100_000})
        wait_for(receiver, bucket, 5, 60)
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{
            "ID": "r", "Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 1},
            "Transitions": [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]}]})
        found = wait_for(receiver, bucket, 6, 60)
        assert (names(found)[5], found[5]["s3"]["object"]["key"]) == ("ObjectRestore:Delete", "b")
    finally:
        server.kill()
        receiver.stop()


def post_form(server, bucket, form):
    boundary = "xyz"
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items())
    body = f'{fields}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhi\r\n--{boundary}--\r\n'
    link = connection(server)
    link.request("POST", f"/{bucket}", body=body.encode(),
                 headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert link.getresponse().status == 204


def test_versions_and_markers_are_told_apart(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", CREATED, REMOVED))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2")]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[0])
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[0])
    found = wait_for(receiver, bucket, 4)
    assert [(record["eventName"], record["s3"]["object"]["versionId"]) for record in found] == [
        ("ObjectCreated:Put", versions[0]), ("ObjectCreated:Put", versions[1]),
        ("ObjectRemoved:DeleteMarkerCreated", marker), ("ObjectRemoved:Delete", versions[0])]


def test_what_is_filtered_or_refused_is_not_told(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", "s3:ObjectCreated:Put", prefix="in/", suffix=".txt"))
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"x")
    s3.put_object(Bucket=bucket, Key="in/a.jpg", Body=b"x")
    s3.put_object(Bucket=bucket, Key="out/a.txt", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="in/b.txt", CopySource=f"{bucket}/in/a.txt")
    assert refusal(s3.put_object, Bucket=bucket, Key="in/a.txt", Body=b"y", IfNoneMatch="*")[0] == 412
    s3.put_object(Bucket=bucket, Key="in/last.txt", Body=b"x")
    found = wait_for(receiver, bucket, 2)
    assert {record["s3"]["object"]["key"] for record in found} == {"in/a.txt", "in/last.txt"}


def test_the_lifecycle_tells_what_it_removes(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", "s3:LifecycleExpiration:*"))
    s3.put_object(Bucket=bucket, Key="old", Body=b"x")
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]})
    found = wait_for(receiver, bucket, 1)
    assert names(found) == ["LifecycleExpiration:Delete"] and found[0]["eventVersion"] == "2.3"
    assert found[0]["userIdentity"]["principalId"] == "s3.amazonaws.com"


def test_nothing_is_lost_by_a_crash_between_commit_and_delivery(root):
    receiver = Receiver().start()
    server = Server(root, drives=2, settings=settings(root, hook=receiver)).start()
    try:
        s3 = server.boto3()
        bucket = new_bucket(s3, queue("hook", CREATED))
        receiver.stop()
        acknowledged = []

        def write(number):
            server.boto3().put_object(Bucket=bucket, Key=f"k{number}", Body=bytes(number))
            acknowledged.append(f"k{number}")

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(60)))
        server.kill()
        server.start()
        server.kill()
        receiver.start()
        server.start()
        keys = {record["s3"]["object"]["key"] for record in wait_for(receiver, bucket, 60)}
        assert keys == set(acknowledged)
    finally:
        server.kill()
        receiver.stop()


def test_a_dead_target_holds_up_neither_writes_nor_others(root):
    alive, dead = Receiver().start(), Receiver().start()
    server = Server(root, settings=settings(root, alive=alive, dead=dead)).start()
    try:
        s3 = server.boto3()
        bucket = new_bucket(s3, queue("alive", CREATED, prefix="a"), queue("dead", CREATED, id="j", prefix="b"))
        dead.stop()
        began = time.monotonic()
        for number in range(30):
            s3.put_object(Bucket=bucket, Key=f"b{number}", Body=b"x")
            s3.put_object(Bucket=bucket, Key=f"a{number}", Body=b"x")
        assert time.monotonic() - began < 60, "a dead target is waited for"
        wait_for(alive, bucket, 30)
        assert not of(bucket)(dead.records())
        # A target that answers with errors is as one that is dead, and gets everything when it has recovered.
        dead.status = 500
        dead.start()
        time.sleep(2)
        assert not of(bucket)(dead.records())
        dead.status = 204
        wait_for(dead, bucket, 30, deadline_s=240)
    finally:
        server.kill()
        alive.stop()
        dead.stop()


def test_a_message_that_a_target_refuses_does_not_keep_others_from_it(root):
    receiver = Receiver().start()
    server = Server(root, settings=settings(root, hook=receiver)).start()
    try:
        s3 = server.boto3()
        bucket = new_bucket(s3, queue("hook", CREATED))
        receiver.wait(lambda _: receiver.messages)
        receiver.status = 400
        s3.put_object(Bucket=bucket, Key="poison", Body=b"x")
        receiver.wait(lambda _: len(receiver.paths) >= 2)
        receiver.status = 200
        s3.put_object(Bucket=bucket, Key="fine", Body=b"x")
        assert wait_for(receiver, bucket, 1)[0]["s3"]["object"]["key"] == "fine"
    finally:
        server.kill()
        receiver.stop()


def test_a_full_queue_drops_events_and_takes_writes(root):
    receiver = Receiver().start()
    small = settings(root, hook=receiver) | {"GRANARY_NOTIFY_QUEUE_MAX": "1000"}
    server = Server(root, settings=small).start()
    try:
        s3 = server.boto3()
        bucket = new_bucket(s3, queue("hook", CREATED))
        receiver.stop()

        def write(number):
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"")

        def dropped():
            found = re.search(r'granary_notifications_total{outcome="dropped_full"} (\d+)', metrics_of(server))
            return int(found.group(1)) if found else 0

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(1100)))
        # Queues are counted every few seconds.
        written, deadline = 1100, time.monotonic() + 120
        while dropped() == 0:
            assert time.monotonic() < deadline, "a full queue is not noticed"
            time.sleep(0.5)
            write(written)
            written += 1
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(written, written + 200)))
        kept, written = written + 200 - dropped(), written + 200
        assert dropped() > 200 and kept >= 1000, f"{kept} of {written} are kept"
        receiver.start()
        told = receiver.wait(lambda records: len(records) >= kept, 240)
        assert len(told) == kept
    finally:
        server.kill()
        receiver.stop()


def metrics_of(server):
    link = connection(server)
    link.request("GET", "/metrics")
    return link.getresponse().read().decode()


def test_messages_go_over_tls_to_who_has_the_right_certificate(root):
    authority, own = certificates(root / "certificates")
    receiver = Receiver(tls=own).start()
    trusting = settings(root, hook=receiver) | {"GRANARY_NOTIFY_CA_CERT": str(authority)}
    server = Server(root / "trusting", settings=trusting).start()
    wary = Server(root / "wary", settings=settings(root, hook=receiver)).start()
    try:
        for sender in (wary, server):
            new_bucket(sender.boto3(), queue("hook", CREATED))
        receiver.wait(lambda _: len(receiver.messages) == 1)
        deadline = time.monotonic() + 120
        while "takes no messages now" not in wary.log_tail():
            assert time.monotonic() < deadline, wary.log_tail()
            time.sleep(0.1)
        assert len(receiver.messages) == 1
        assert "takes no messages now" in wary.log_tail() and "takes no messages" not in server.log_tail()
    finally:
        server.kill()
        wary.kill()
        receiver.stop()


# Server-side request forgery: nobody but the operator decides where this server connects to.

@pytest.mark.parametrize("arn", [
    "http://169.254.169.254/latest/meta-data/", "https://evil.example/", "arn:granary:sqs:us-east-1:000000000000:unknown",
    "arn:granary:sqs:us-east-1:000000000000:http://127.0.0.1:22/", "arn:aws:lambda:us-east-1:1:function:hook",
    "arn:granary:sns:us-east-1:000000000000:hook", "arn:granary:sqs:us-east-1:000000000000:hook@127.0.0.1", "hook"])
def test_ssrf_a_configuration_names_a_target_of_its_own(told, arn):
    server, _ = told
    s3 = server.boto3()
    bucket = new_bucket(s3)
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": [CREATED]}]}
    for skip in (False, True):
        refused = refusal(s3.put_bucket_notification_configuration, Bucket=bucket,
                          NotificationConfiguration=configuration, SkipDestinationValidation=skip)
        assert refused == (400, "InvalidArgument")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"])
def test_ssrf_a_target_resolves_to_this_machine(root, host):
    receiver = Receiver(tls=certificates(root / "certificates")[1]).start()
    url = f"https://{host}:{receiver.port}/"
    server = Server(root / "server", settings=settings(root, private=False, hook=url)).start()
    try:
        s3 = server.boto3()
        new_bucket(s3, queue("hook", CREATED))
        deadline = time.monotonic() + 120
        while "takes no messages now" not in server.log_tail():
            assert time.monotonic() < deadline, server.log_tail()
            time.sleep(0.1)
        assert not receiver.paths and not receiver.wrong
    finally:
        server.kill()
        receiver.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_ssrf_a_target_redirects_elsewhere(root, status):
    inner, outer = Receiver().start(), Receiver().start()
    outer.status, outer.headers = status, {"Location": inner.url}
    server = Server(root, settings=settings(root, hook=outer)).start()
    try:
        new_bucket(server.boto3(), queue("hook", CREATED))
        deadline = time.monotonic() + 120
        while len(outer.paths) < 2:
            assert time.monotonic() < deadline, outer.paths
            time.sleep(0.05)
        assert not inner.paths
    finally:
        server.kill()
        inner.stop()
        outer.stop()


def test_ssrf_a_target_without_tls_or_secret_starts_no_server(root):
    def start(**changed):
        changed = settings(root, private=False, hook="https://hook.example/") | changed
        env = dict(os.environ, GRANARY_DATA=str(root / "d"), **{k: v for k, v in changed.items() if v is not None})
        (root / "d").mkdir(exist_ok=True)
        done = subprocess.run([binary(), "serve", "--listen", "127.0.0.1:0"], env=env, capture_output=True, text=True,
                              timeout=60)
        assert done.returncode != 0
        return done.stdout + done.stderr

    assert "https" in start(GRANARY_NOTIFY="hook=http://hook.example/")
    assert "user name" in start(GRANARY_NOTIFY="hook=https://user:word@hook.example/")
    assert "no secret" in start(GRANARY_NOTIFY="other=https://hook.example/")
    assert "notify-secret-file" in start(GRANARY_NOTIFY_SECRET_FILE=None)
    os.chmod(root / "notify-secrets", 0o644)
    open_to_all = dict(GRANARY_NOTIFY="hook=https://hook.example/", GRANARY_NOTIFY_SECRET_FILE=str(root / "copy"))
    (root / "copy").write_text("hook=0123456789abcdef0123\n")
    os.chmod(root / "copy", 0o644)
    assert "other users" in start(**open_to_all)


def test_secrets_of_targets_are_in_no_log_and_no_report(told):
    server, receiver = told
    s3 = server.boto3()
    bucket = new_bucket(s3, queue("hook", CREATED))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    wait_for(receiver, bucket, 1)
    assert SECRET not in server.log_path.read_text(errors="replace")
    assert SECRET not in metrics_of(server)
    assert SECRET not in json.dumps(s3.get_bucket_notification_configuration(Bucket=bucket), default=str)
