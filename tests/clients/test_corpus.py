"""A real tree of small files and one large object, through crashes of the server."""

import hashlib
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

import corpus
from harness import program, run, running, scratch_root

MIB = 1024 * 1024
LARGE_BYTES = 5 * 1024 * MIB + 12_345
THREADS = 8
RECLAIM_DEADLINE_S = 180
# Everything is downloaded and compared, and as many of the small files by boto3, which takes milliseconds for each.
READ_BY_BOTO3 = 2_000
# Of a sync that is killed: as many files, so that it takes seconds.
KILLED_SYNC_FILES = 3_000
KILLED_SYNC_DEADLINE_S = 240


@pytest.fixture(scope="module")
def store():
    with running(drives=6) as server:
        yield server


@pytest.fixture(scope="module")
def tree():
    root = scratch_root()
    files = corpus.build(root)
    assert len(files) >= corpus.SMALL_FILES
    yield root, files
    shutil.rmtree(root, ignore_errors=True)


def listed(s3, bucket, prefix=""):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"]: item for page in pages for item in page.get("Contents", [])}


def in_threads(work, items):
    """Runs `work(s3, item)` over the items in a pool; returns the results in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def compare_every_byte(store, bucket, prefix, root, keys):
    s3 = store.boto3(max_pool_connections=THREADS)

    def compare(key):
        body = s3.get_object(Bucket=bucket, Key=prefix + key)["Body"].read()
        assert body == (root / key).read_bytes(), key

    in_threads(compare, keys)


def compare_by_download(store, bucket, root, files):
    """Downloads everything at once, and compares every byte."""
    back = scratch_root()
    run([program("s5cmd"), "cp", f"s3://{bucket}/*", f"{back}/"],
        env=dict(store.client_env(), S3_ENDPOINT_URL=store.endpoint))
    for key in files:
        assert (back / key).read_bytes() == (root / key).read_bytes(), key
    assert sum(len(names) for _, _, names in os.walk(back)) == len(files)
    shutil.rmtree(back)


def compare_large(store):
    """Reads the large object from its beginning to its end, and in pieces."""
    s3 = store.boto3()
    assert s3.head_object(Bucket="large", Key="five-gib")["ContentLength"] == LARGE_BYTES
    expected = corpus.LargeObject(5, LARGE_BYTES)
    body = s3.get_object(Bucket="large", Key="five-gib")["Body"]
    for number, start in enumerate(range(0, LARGE_BYTES, corpus.BLOCK)):
        assert body.read(corpus.BLOCK) == expected.block(number), f"at byte {start}"
    assert body.read(1) == b""
    for start in (0, 64 * MIB - 10, 3 * 1024 * MIB + 7, LARGE_BYTES - 100):
        got = s3.get_object(Bucket="large", Key="five-gib", Range=f"bytes={start}-{start + 4095}")
        expected.seek(start)
        assert got["Body"].read() == expected.read(4096)


@pytest.fixture(scope="module")
def synced(store, tree):
    """The tree, in a bucket, by `aws s3 sync`."""
    store.boto3().create_bucket(Bucket="sync")
    run([program("aws"), "s3", "sync", "--only-show-errors", tree[0], "s3://sync/"], env=store.client_env())


@pytest.fixture(scope="module")
def large(store):
    """An object of more than 5 GiB, uploaded in parts."""
    s3 = store.boto3(max_pool_connections=THREADS)
    s3.create_bucket(Bucket="large")
    config = TransferConfig(multipart_threshold=64 * MIB, multipart_chunksize=64 * MIB, max_concurrency=4)
    s3.upload_fileobj(corpus.LargeObject(5, LARGE_BYTES), "large", "five-gib", Config=config)


def test_aws_s3_sync_of_a_real_tree(store, tree, synced):
    root, files = tree
    s3 = store.boto3()
    found = listed(s3, "sync")
    assert {key: item["Size"] for key, item in found.items()} == files
    assert list(found) == sorted(files, key=str.encode)
    for key, item in found.items():
        assert item["ETag"].strip('"') == hashlib.md5((root / key).read_bytes()).hexdigest(), key
    compare_by_download(store, "sync", root, files)
    compare_every_byte(store, "sync", "", root, list(files)[:: len(files) // READ_BY_BOTO3])


def test_aws_s3_sync_through_a_kill_and_a_restart(store, tree):
    source, files = tree
    root = scratch_root()
    chosen = {key: files[key] for key in list(files)[:: len(files) // KILLED_SYNC_FILES][:KILLED_SYNC_FILES]}
    for key in chosen:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / key, root / key)
    store.boto3().create_bucket(Bucket="killed-sync")
    sync = [program("aws"), "s3", "sync", "--only-show-errors", root, "s3://killed-sync/"]
    syncing = subprocess.Popen(sync, env=store.client_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + KILLED_SYNC_DEADLINE_S
    while len(listed(store.boto3(), "killed-sync")) < KILLED_SYNC_FILES // 3:
        assert syncing.poll() is None and time.monotonic() < deadline, "the sync does not get on"
    store.kill()
    assert syncing.wait(KILLED_SYNC_DEADLINE_S) != 0, "the sync did not notice that the server was killed"
    store.start()

    found = listed(store.boto3(), "killed-sync")
    assert KILLED_SYNC_FILES // 3 <= len(found) < KILLED_SYNC_FILES, "killed in the middle"
    assert {key: item["Size"] for key, item in found.items()} == {key: chosen[key] for key in found}
    compare_every_byte(store, "killed-sync", "", root, found)
    run(sync, env=store.client_env())
    assert {key: item["Size"] for key, item in listed(store.boto3(), "killed-sync").items()} == chosen
    compare_by_download(store, "killed-sync", root, chosen)
    assert run([word for word in sync if word != "--only-show-errors"], env=store.client_env()) == "", "nothing is left to do"
    shutil.rmtree(root)


def test_boto3_threads_through_a_kill_and_a_restart(store, tree):
    root, files = tree
    store.boto3().create_bucket(Bucket="threads")
    s3 = store.boto3(max_pool_connections=THREADS)
    acknowledged, count_lock, killer_done = [], threading.Lock(), threading.Event()

    def kill_in_the_middle():
        while len(acknowledged) < len(files) // 2:
            time.sleep(0.005)
        store.kill()
        killer_done.set()

    def upload(key):
        if killer_done.is_set():
            return
        try:
            s3.put_object(Bucket="threads", Key=key, Body=(root / key).read_bytes())
        except (BotoCoreError, ClientError):
            return
        with count_lock:
            acknowledged.append(key)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    in_threads(upload, files)
    killer.join()
    assert len(files) // 2 <= len(acknowledged) < len(files)
    store.start()

    found = listed(store.boto3(), "threads")
    missing = set(acknowledged) - set(found)
    assert not missing, f"{len(missing)} acknowledged objects are gone"
    # What was in flight is there whole or not at all.
    unexpected = {key for key in found if found[key]["Size"] != files[key]}
    assert not unexpected
    assert len(found) <= len(acknowledged) + THREADS
    compare_by_download(store, "threads", root, found)

    rest = [key for key in files if key not in found]
    killer_done.clear()
    s3 = store.boto3(max_pool_connections=THREADS)
    in_threads(upload, rest)
    compare_by_download(store, "threads", root, files)


def test_a_large_object_by_multipart(store, large):
    compare_large(store)


def test_a_multipart_upload_through_a_kill(store):
    s3 = store.boto3()
    s3.create_bucket(Bucket="resumed")
    source = corpus.LargeObject(6, 80 * MIB)
    upload = s3.create_multipart_upload(Bucket="resumed", Key="object")["UploadId"]
    parts = []

    def put(number):
        source.seek((number - 1) * 16 * MIB)
        answer = s3.upload_part(Bucket="resumed", Key="object", UploadId=upload, PartNumber=number,
                                Body=source.read(16 * MIB))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    put(1)
    put(2)
    before = store.stored_bytes()
    killer = threading.Timer(0.05, store.kill)
    killer.start()
    with pytest.raises((BotoCoreError, ClientError)):
        for _ in range(1000):
            put(3)
    killer.join()
    parts = parts[:2]
    store.start()
    s3 = store.boto3()
    assert listed(s3, "resumed") == {}, "nothing half-written is visible"
    kept = {part["PartNumber"] for part in s3.list_parts(Bucket="resumed", Key="object", UploadId=upload)["Parts"]}
    assert {1, 2} <= kept
    for number in (3, 4, 5):
        put(number)
    s3.complete_multipart_upload(Bucket="resumed", Key="object", UploadId=upload, MultipartUpload={"Parts": parts})
    source.seek(0)
    assert s3.get_object(Bucket="resumed", Key="object")["Body"].read() == source.read()
    assert before > 0


def test_what_was_there_before_the_kills_is_as_it_was(store, tree, synced, large):
    """The tests before have killed the server while it wrote other things; here it dies once more, and at rest."""
    store.kill()
    store.start()
    root, files = tree
    assert {key: item["Size"] for key, item in listed(store.boto3(), "sync").items()} == files
    compare_by_download(store, "sync", root, files)
    compare_large(store)


def test_space_of_the_unacknowledged_is_reclaimed(fresh_server):
    store = fresh_server
    s3 = store.boto3()
    s3.create_bucket(Bucket="lost")
    body = corpus.LargeObject(7, 64 * MIB).read()
    s3.put_object(Bucket="lost", Key="kept", Body=body)
    upload = s3.create_multipart_upload(Bucket="lost", Key="object")["UploadId"]
    for number in range(1, 5):
        s3.upload_part(Bucket="lost", Key="object", UploadId=upload, PartNumber=number, Body=body)
    killer = threading.Timer(0.1, store.kill)
    killer.start()
    with pytest.raises((BotoCoreError, ClientError)):
        for _ in range(1000):
            s3.put_object(Bucket="lost", Key="never", Body=body)
    killer.join()
    store.start()
    s3 = store.boto3()
    if "never" in listed(s3, "lost"):
        s3.delete_object(Bucket="lost", Key="never")
    s3.abort_multipart_upload(Bucket="lost", Key="object", UploadId=upload)
    # 4+2 stores one and a half times what lives; a tenth more and some metadata are allowed.
    allowed = 1.1 * 1.5 * len(body) + 48 * MIB
    deadline = time.monotonic() + RECLAIM_DEADLINE_S
    while store.stored_bytes() > allowed:
        volumes = store.admin("volume", "list", "--json")
        assert time.monotonic() < deadline, f"{store.stored_bytes()} bytes are stored: {volumes}"
        store.admin("volume", "compact")
        time.sleep(0.5)
    assert s3.get_object(Bucket="lost", Key="kept")["Body"].read() == body
