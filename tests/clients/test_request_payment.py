"""Requester Pays: who would have to pay says so, or gets nothing."""

import json
import uuid

import boto3
import pytest
from botocore.config import Config

from harness import REGION, refusal, running
from test_access import DENIED, anyone, policy, statement

PAYS = {"RequestPayer": "requester"}


@pytest.fixture(scope="module")
def server():
    """Without TLS: the commands do not take the certificate that the shared server makes for itself."""
    with running(drives=2) as server:
        yield server


@pytest.fixture
def other(server):
    """The root user of another account."""
    name = f"payer{uuid.uuid4().hex[:8]}"
    made = json.loads(server.admin("user", "add", name, "--json"))
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=server.endpoint, aws_access_key_id=made["key"]["access_key"],
                        aws_secret_access_key=made["key"]["secret_key"], region_name=REGION, config=config,
                        verify=str(server.certificate) if server.tls else None)


@pytest.fixture
def paid(server, bucket):
    """A bucket that anybody may use who pays."""
    s3 = server.boto3()
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:*")))
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    return bucket


def test_requesters_say_that_they_pay(server, paid, other):
    place = {"Bucket": paid, "Key": "k"}
    assert refusal(other.get_object, **place) == DENIED
    assert refusal(other.put_object, **place, Body=b"x") == DENIED
    assert refusal(other.list_objects_v2, Bucket=paid) == DENIED
    assert refusal(other.head_object, **place)[0] == 403
    found = other.get_object(**place, **PAYS)
    assert found["Body"].read() == b"hello" and found["RequestCharged"] == "requester"
    assert other.put_object(Bucket=paid, Key="n", Body=b"x", **PAYS)["RequestCharged"] == "requester"
    assert other.list_objects_v2(Bucket=paid, **PAYS)["KeyCount"] == 2
    assert other.delete_object(Bucket=paid, Key="n", **PAYS)["RequestCharged"] == "requester"
    assert refusal(other.get_object, Bucket=paid, Key="none", **PAYS) == (404, "NoSuchKey")


def test_owners_are_not_charged(server, paid):
    s3 = server.boto3()
    assert "RequestCharged" not in s3.get_object(Bucket=paid, Key="k")
    assert "RequestCharged" not in s3.get_object(Bucket=paid, Key="k", **PAYS)


def test_nobody_pays_without_a_signature(server, paid):
    assert refusal(anyone(server).get_object, Bucket=paid, Key="k") == DENIED
    assert refusal(anyone(server).get_object, Bucket=paid, Key="k", **PAYS) == DENIED


def test_the_source_of_a_copy_is_paid_too(server, paid, other):
    own = f"own-{paid}"
    other.create_bucket(Bucket=own)
    copy = {"Bucket": own, "Key": "k", "CopySource": f"{paid}/k"}
    assert refusal(other.copy_object, **copy) == DENIED
    assert other.copy_object(**copy, **PAYS)["RequestCharged"] == "requester"
    assert "RequestCharged" not in other.get_object(Bucket=own, Key="k")


def test_it_ends_when_the_owner_says_so(server, paid, other):
    server.boto3().put_bucket_request_payment(Bucket=paid, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert "RequestCharged" not in other.get_object(Bucket=paid, Key="k", **PAYS)
    assert other.get_object(Bucket=paid, Key="k")["Body"].read() == b"hello"
