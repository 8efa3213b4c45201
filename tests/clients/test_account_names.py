"""Accounts in the policies of buckets, by the names that the operator gave them."""

import json

from harness import refusal
from test_access_of_new_objects import other_account
from test_iam import Account, account, server  # noqa: F401
from test_security_access import DENIED, arn, new_bucket


def letting_in(bucket, principal, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:GetObject", "Resource": arn(bucket, "*"), **more}]})


def test_a_policy_names_an_account_and_is_kept_with_its_number(server, account):  # noqa: F811
    owner, other = account.client("s3"), other_account(server)
    bucket = new_bucket(owner)
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    # It is no public policy, so that nothing blocks it.
    owner.put_bucket_policy(Bucket=bucket, Policy=letting_in(bucket, f"arn:aws:iam::{other.name}:root"))
    assert other.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    assert owner.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    by_number = letting_in(bucket, f"arn:aws:iam::{other.id}:root")
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == by_number
    # Users of it too; and an ARN in a condition.
    key = other.user("ann")
    other.client("iam").put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
    ann = f"arn:aws:iam::{other.name}:user/ann"
    for policy in (letting_in(bucket, ann),
                   letting_in(bucket, other.id, Condition={"ArnEquals": {"aws:PrincipalArn": ann}})):
        owner.put_bucket_policy(Bucket=bucket, Policy=policy)
        assert other.client("s3", *key).get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
        assert refusal(other.client("s3").get_object, Bucket=bucket, Key="k") == DENIED


def test_names_of_nobody_are_refused_and_names_that_come_again_get_nothing(server, account):  # noqa: F811
    owner, other = account.client("s3"), other_account(server)
    bucket = new_bucket(owner)
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    owner.put_bucket_policy(Bucket=bucket, Policy=letting_in(bucket, f"arn:aws:iam::{other.name}:root"))
    for nobody in (f"{other.name}-x", other.name.upper(), "", "*", "12345678901"):
        policy = letting_in(bucket, f"arn:aws:iam::{nobody}:root")
        assert refusal(owner.put_bucket_policy, Bucket=bucket, Policy=policy) == (400, "MalformedPolicy"), nobody
    server.admin("user", "remove", other.name)
    made = json.loads(server.admin("user", "add", other.name, "--json"))
    again = Account(server, made["users"][0], made["key"])
    assert again.id != other.id
    assert refusal(again.client("s3").get_object, Bucket=bucket, Key="k") == DENIED
