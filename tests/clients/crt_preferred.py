"""boto3 told to prefer the AWS common runtime (`preferred_transfer_client="crt"`): puts, lists, gets and deletes.

Arguments: bucket, scratch directory, and the certificate to trust with TLS; the endpoint is in the environment. boto3 falls back
to its classic manager silently, which is an error here. It always asks the runtime for TLS and cannot name it a certificate:
that much is set for it.
"""

import io
import sys
from pathlib import Path

import boto3
import boto3.crt
import boto3.s3.transfer
from botocore.config import Config

from crt_transfer import wait_for
from harness import seeded_bytes

MIB = 1024 * 1024
SIZES = [0, 1, 70_000, 30 * MIB + 3]


def fall_back(*_):
    raise AssertionError("boto3 fell back to the classic manager")


def prefer_nothing_else(certificate):
    create = boto3.crt.create_s3_crt_client
    reach = {"use_ssl": certificate is not None, "verify": certificate}
    boto3.crt.create_s3_crt_client = lambda **arguments: create(**{**arguments, **reach})
    boto3.s3.transfer._create_default_transfer_manager = fall_back


def main(bucket, scratch, certificate=None):
    prefer_nothing_else(certificate)
    s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
    config = boto3.s3.transfer.TransferConfig(
        preferred_transfer_client="crt", multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    for size in SIZES:
        key, body = f"preferred/{size:010}", seeded_bytes(size, size)
        source, target = Path(scratch, f"source-{size}"), Path(scratch, f"target-{size}")
        source.write_bytes(body)
        s3.upload_file(str(source), bucket, key, Config=config)
        s3.upload_fileobj(io.BytesIO(body), bucket, f"{key}-object", Config=config)
        s3.download_file(bucket, key, str(target), Config=config)
        wait_for(target)
        assert target.read_bytes() == body, size
        sink = io.BytesIO()
        s3.download_fileobj(bucket, f"{key}-object", sink, Config=config)
        assert sink.getvalue() == body, size
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, size
    assert s3.head_object(Bucket=bucket, Key=f"preferred/{SIZES[-1]:010}")["ETag"].endswith('-4"'), "uploaded in parts"

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="preferred/", PaginationConfig={"PageSize": 3})
    found = {item["Key"]: item["Size"] for page in pages for item in page["Contents"]}
    assert found == {f"preferred/{size:010}{form}": size for size in SIZES for form in ("", "-object")}
    common = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert common == [{"Prefix": "preferred/"}]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in found]})
    assert len(deleted["Deleted"]) == len(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
