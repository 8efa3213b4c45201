"""What the headers of new objects and buckets ask for beside them, and who is told that an object is not there."""

import json
import uuid

from harness import refusal
from test_iam import Account, account, server  # noqa: F401
from test_post_object import encode
from test_protocol import Answer, connection
from test_security_access import DENIED, allowed, anyone, arn, new_bucket

FULL = "bucket-owner-full-control"


def other_account(server):  # noqa: F811
    made = json.loads(server.admin("user", "add", f"other-{uuid.uuid4().hex[:8]}", "--json"))
    return Account(server, made["users"][0], made["key"])


def put_policy(s3, bucket, *statements):
    statements = [{"Effect": "Allow", "Principal": "*", **statement} for statement in statements]
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def test_policies_that_want_the_buckets_owner_to_have_full_control(server, account):  # noqa: F811
    """AWS's own example: the policy allows `s3:PutObject` alone, on condition that the ACL gives all to the bucket's owner."""
    owner, other = account.client("s3"), other_account(server).client("s3")
    bucket = new_bucket(owner, ObjectOwnership="ObjectWriter")
    given = f"id={account.canonical_id}"
    for key, header, wanted in [("s3:x-amz-acl", {"ACL": FULL}, FULL), ("s3:x-amz-grant-full-control", {"GrantFullControl": given}, given)]:
        put_policy(owner, bucket, {"Action": "s3:PutObject", "Resource": arn(bucket, "*"), "Condition": {"StringEquals": {key: wanted}}})
        other.put_object(Bucket=bucket, Key="k", Body=b"k", **header)
        assert owner.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
        assert refusal(other.put_object, Bucket=bucket, Key="k", Body=b"k") == DENIED
    put_policy(owner, bucket, {"Action": "s3:PutObject", "Resource": arn(bucket, "*")})
    for header in [{"ACL": "public-read"}, {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, {"ACL": "authenticated-read"}]:
        assert refusal(other.put_object, Bucket=bucket, Key="k", Body=b"k", **header) == DENIED, header
    put_policy(owner, bucket, {"Action": "s3:PutObject", "Resource": arn(bucket, "*")},
               {"Effect": "Deny", "Action": "s3:PutObjectAcl", "Resource": arn(bucket, "*")})
    assert refusal(other.put_object, Bucket=bucket, Key="k", Body=b"k", ACL=FULL) == DENIED
    other.put_object(Bucket=bucket, Key="k", Body=b"k")


def test_policies_that_want_writes_to_have_conditions(account):  # noqa: F811
    """AWS's own example: objects are only put where none is, and parts, which take no conditions, may be uploaded."""
    owner = account.client("s3")
    bucket = new_bucket(owner)
    is_there = {"Condition": {"Null": {"s3:if-none-match": "false"}}}
    is_part = {"Condition": {"Bool": {"s3:ObjectCreationOperation": "false"}}}
    user = allowed(account, ("s3:PutObject", arn(bucket, "*"), is_there), ("s3:PutObject", arn(bucket, "*"), is_part))
    place = {"Bucket": bucket, "Key": "k"}
    upload = {**place, "UploadId": user.create_multipart_upload(**place)["UploadId"]}
    parts = {"Parts": [{"PartNumber": 1, "ETag": user.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]}]}
    assert refusal(user.complete_multipart_upload, **upload, MultipartUpload=parts) == DENIED
    assert refusal(user.put_object, **place, Body=b"x") == DENIED
    user.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    assert refusal(user.put_object, **place, Body=b"x", IfNoneMatch="*") == (412, "PreconditionFailed")
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": arn(bucket, "*"),
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}}}))
    assert refusal(owner.put_object, **place, Body=b"x") == DENIED
    owner.create_multipart_upload(**place)
    owner.put_object(Bucket=bucket, Key="other", Body=b"x", IfNoneMatch="*")


def test_policies_that_want_deletes_to_have_conditions(account):  # noqa: F811
    """AWS's own example: objects are only deleted by who knows them."""
    owner = account.client("s3")
    bucket = new_bucket(owner)
    known = {"Condition": {"Null": {"s3:if-match": "false"}}}
    user = allowed(account, ("s3:DeleteObject", arn(bucket, "*"), known), ("s3:GetObject", arn(bucket, "*")))
    tags = [owner.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")["ETag"] for number in range(3)]
    assert refusal(user.delete_object, Bucket=bucket, Key="k0") == DENIED
    assert refusal(user.delete_object, Bucket=bucket, Key="k0", IfMatch='"other"') == (412, "PreconditionFailed")
    user.delete_object(Bucket=bucket, Key="k0", IfMatch=tags[0])
    many = [{"Key": "k1", "ETag": tags[1]}, {"Key": "k2"}]
    told = user.delete_objects(Bucket=bucket, Delete={"Objects": many})
    assert [one["Key"] for one in told["Deleted"]] == ["k1"]
    assert [(one["Key"], one["Code"]) for one in told["Errors"]] == [("k2", "AccessDenied")]


def test_what_a_new_bucket_is_to_have_needs_permissions_of_its_own(account):  # noqa: F811
    name = f"new-{uuid.uuid4().hex[:10]}"
    here = {"Condition": {"StringEquals": {"s3:LocationConstraint": "eu-west-1"}}}
    user = allowed(account, ("s3:CreateBucket", arn(name + "*")), ("s3:PutBucketVersioning", arn(name + "*")))
    tags = {"CreateBucketConfiguration": {"Tags": [{"Key": "team", "Value": "a"}]}}
    for more in ({"ObjectLockEnabledForBucket": True}, {"ObjectOwnership": "ObjectWriter"}, tags, {"ACL": "public-read"}):
        assert refusal(user.create_bucket, Bucket=name, **more) == DENIED, more
    user.create_bucket(Bucket=name, ACL="private", ObjectLockEnabledForBucket=False)
    tagged = {"Condition": {"StringEquals": {"aws:RequestTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}}
    user = allowed(account, (["s3:CreateBucket", "s3:TagResource"], arn(name + "*"), tagged), name="v")
    assert refusal(user.create_bucket, Bucket=name + "-t") == DENIED
    # A policy means a tag whose key it names in whatever case, but not two of them.
    twice = {"CreateBucketConfiguration": {"Tags": [{"Key": "Team", "Value": "b"}, {"Key": "team", "Value": "a"}]}}
    in_any_case = {"Condition": {"StringEquals": {"aws:RequestTag/team": "a"}}}
    other = allowed(account, (["s3:CreateBucket", "s3:TagResource"], arn(name + "*"), in_any_case), name="x")
    assert refusal(other.create_bucket, Bucket=name + "-t", **twice) == DENIED
    user.create_bucket(Bucket=name + "-t", **tags)
    assert account.client("s3").get_bucket_tagging(Bucket=name + "-t")["TagSet"] == tags["CreateBucketConfiguration"]["Tags"]
    user = allowed(account, ("s3:CreateBucket", arn(name + "*"), here), name="w")
    assert refusal(user.create_bucket, Bucket=name + "-e") == DENIED
    # That is allowed, and is another region than the store's.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    assert refusal(user.create_bucket, Bucket=name + "-e", **elsewhere) == (400, "IllegalLocationConstraintException")


def test_who_may_write_by_a_list_may_tag_what_is_new(server, account):  # noqa: F811
    owner = account.client("s3")
    bucket = new_bucket(owner, ObjectOwnership="ObjectWriter")
    owner.delete_public_access_block(Bucket=bucket)
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"

    def post():
        body, content_type = encode([("key", "k"), ("acl", FULL), ("tagging", tagging)], b"x")
        link = connection(server)
        link.request("POST", f"/{bucket}", body=body, headers={"Content-Type": content_type})
        answer = Answer(link.getresponse())
        link.close()
        return answer.outcome

    assert post() == DENIED
    owner.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert post() == (204, None)
    assert owner.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    # What is there already is another thing.
    assert refusal(anyone(server).put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": []}) == DENIED


def test_who_may_list_just_a_key_is_told_that_it_is_not_there(account):  # noqa: F811
    owner = account.client("s3")
    prefix = {"Condition": {"StringLike": {"s3:prefix": "open/*"}}}
    for ownership in ("ObjectWriter", "BucketOwnerEnforced"):
        bucket = new_bucket(owner, ObjectOwnership=ownership)
        owner.put_object(Bucket=bucket, Key="open/there", Body=b"x")
        user = allowed(account, ("s3:ListBucket", arn(bucket), prefix), name=f"u-{ownership}")
        assert refusal(user.get_object, Bucket=bucket, Key="open/none") == (404, "NoSuchKey")
        assert refusal(user.head_object, Bucket=bucket, Key="open/none")[0] == 404
        for key in ("open/there", "closed/none", "open"):
            assert refusal(user.get_object, Bucket=bucket, Key=key) == DENIED, key


def test_groups_are_shown_first(account):  # noqa: F811
    owner = account.client("s3")
    bucket = new_bucket(owner, ObjectOwnership="ObjectWriter")
    owner.delete_public_access_block(Bucket=bucket)
    acl = owner.get_bucket_acl(Bucket=bucket)
    group = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    owner.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": acl["Owner"], "Grants": [*acl["Grants"], group]})
    assert owner.get_bucket_acl(Bucket=bucket)["Grants"] == [group, *acl["Grants"]]
