"""Who may do what: bucket policies, anonymous requests, Block Public Access."""

import json
import ssl
import urllib.error
import urllib.request

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from harness import REGION, seeded_bytes


def code(call, *args, **kwargs):
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["ResponseMetadata"]["HTTPStatusCode"], raised.value.response["Error"]["Code"]


def anyone(server):
    """A client that does not sign."""
    verify = str(server.certificate) if server.tls else None
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    return boto3.client("s3", endpoint_url=server.endpoint, region_name=REGION, verify=verify, config=config)


def statement(bucket, action, effect="Allow", principal="*", **more):
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resources, **more}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def open_bucket(server, bucket):
    """A bucket whose public access is not blocked."""
    server.boto3().delete_public_access_block(Bucket=bucket)
    return bucket


DENIED = (403, "AccessDenied")


def test_nobody_gets_in_without_a_signature(server, bucket):
    s3, other = server.boto3(), anyone(server)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code(other.get_object, Bucket=bucket, Key="k") == DENIED
    assert code(other.put_object, Bucket=bucket, Key="n", Body=b"x") == DENIED
    assert code(other.list_objects_v2, Bucket=bucket) == DENIED
    assert code(other.delete_bucket, Bucket=bucket) == DENIED
    assert code(other.get_bucket_policy, Bucket=bucket) == DENIED
    assert code(other.create_bucket, Bucket=bucket + "-new") == DENIED
    assert code(other.get_object, Bucket=bucket + "-none", Key="k") == (404, "NoSuchBucket")
    answer = other.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_policy_lets_anybody_read(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(statement(open_bucket, "s3:GetObject")))
    assert other.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"x"
    assert code(other.put_object, Bucket=open_bucket, Key="k", Body=b"y") == DENIED
    # Whether a key is there is told to those only who may list.
    assert code(other.get_object, Bucket=open_bucket, Key="none") == DENIED
    s3.put_bucket_policy(
        Bucket=open_bucket, Policy=policy(statement(open_bucket, ["s3:GetObject", "s3:ListBucket"])))
    assert code(other.get_object, Bucket=open_bucket, Key="none") == (404, "NoSuchKey")
    assert other.list_objects_v2(Bucket=open_bucket)["KeyCount"] == 1
    s3.delete_bucket_policy(Bucket=open_bucket)
    assert code(other.get_object, Bucket=open_bucket, Key="k") == DENIED


def test_policies_are_kept_as_they_are_and_checked(server, open_bucket):
    s3 = server.boto3()
    place = {"Bucket": open_bucket}
    assert code(s3.get_bucket_policy, **place) == (404, "NoSuchBucketPolicy")
    text = policy(statement(open_bucket, "s3:GetObject"))
    s3.put_bucket_policy(**place, Policy=text)
    assert s3.get_bucket_policy(**place)["Policy"] == text
    assert s3.get_bucket_policy_status(**place)["PolicyStatus"]["IsPublic"] is True
    for broken in ("", "[]", "{}", policy(), policy(statement("another", "s3:GetObject")),
                   policy(statement(open_bucket, "s3:Fly")), text.replace("Allow", "allow"), text + "x",
                   policy({**statement(open_bucket, "s3:GetObject"), "Sid": "x" * 20_480}),
                   policy({**statement(open_bucket, "s3:GetObject"), "Condition": {"StringLike": {"s3:prefix": "a*"}}})):
        assert code(s3.put_bucket_policy, **place, Policy=broken) == (400, "MalformedPolicy"), broken
    assert s3.get_bucket_policy(**place)["Policy"] == text
    s3.delete_bucket_policy(**place)
    assert code(s3.get_bucket_policy, **place) == (404, "NoSuchBucketPolicy")
    assert s3.get_bucket_policy_status(**place)["PolicyStatus"]["IsPublic"] is False
    assert s3.delete_bucket_policy(**place)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_denial_counts_for_the_owner_too_but_not_for_the_policy(server, bucket):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:*", effect="Deny")))
    assert code(s3.get_object, Bucket=bucket, Key="k") == DENIED
    assert code(s3.list_objects_v2, Bucket=bucket) == DENIED
    assert "Deny" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_new_buckets_block_public_access(server, bucket):
    s3, other = server.boto3(), anyone(server)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    public = policy(statement(bucket, "s3:GetObject"))
    assert code(s3.put_bucket_policy, Bucket=bucket, Policy=public) == DENIED
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True,
             "RestrictPublicBuckets": True}
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={**block, "BlockPublicPolicy": False})
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert code(other.get_object, Bucket=bucket, Key="k") == DENIED
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={**block, "RestrictPublicBuckets": False})
    assert other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert code(other.get_object, Bucket=bucket, Key="k") == DENIED


def test_conditions_are_about_the_request(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    for key in ("a/1", "b/1"):
        s3.put_object(Bucket=open_bucket, Key=key, Body=b"x")

    def only(action, **conditions):
        text = policy(statement(open_bucket, action, Condition=conditions))
        s3.put_bucket_policy(Bucket=open_bucket, Policy=text)

    only("s3:ListBucket", StringEquals={"s3:prefix": "a/"}, NumericLessThanEquals={"s3:max-keys": "10"})
    assert other.list_objects_v2(Bucket=open_bucket, Prefix="a/", MaxKeys=10)["KeyCount"] == 1
    assert code(other.list_objects_v2, Bucket=open_bucket, Prefix="b/", MaxKeys=10) == DENIED
    assert code(other.list_objects_v2, Bucket=open_bucket, Prefix="a/") == DENIED
    only("s3:PutObject", StringEquals={"s3:x-amz-storage-class": "STANDARD_IA"})
    assert code(other.put_object, Bucket=open_bucket, Key="n", Body=b"x") == DENIED
    other.put_object(Bucket=open_bucket, Key="n", Body=b"x", StorageClass="STANDARD_IA")
    only("s3:GetObject", Bool={"aws:SecureTransport": "true"})
    if server.tls:
        other.get_object(Bucket=open_bucket, Key="n")
    else:
        assert code(other.get_object, Bucket=open_bucket, Key="n") == DENIED
    s3.put_object_tagging(Bucket=open_bucket, Key="a/1", Tagging={"TagSet": [{"Key": "open", "Value": "1"}]})
    only("s3:GetObject", StringEquals={"s3:ExistingObjectTag/open": "1"})
    other.get_object(Bucket=open_bucket, Key="a/1")
    assert code(other.get_object, Bucket=open_bucket, Key="b/1") == DENIED


def test_keys_of_a_delete_are_decided_each_by_itself(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    for key in ("a/1", "b/1"):
        s3.put_object(Bucket=open_bucket, Key=key, Body=b"x")
    only_a = {**statement(open_bucket, "s3:DeleteObject"), "Resource": f"arn:aws:s3:::{open_bucket}/a/*"}
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(only_a))
    answer = other.delete_objects(Bucket=open_bucket, Delete={"Objects": [{"Key": "a/1"}, {"Key": "b/1"}]})
    assert [gone["Key"] for gone in answer["Deleted"]] == ["a/1"]
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("b/1", "AccessDenied")]


def test_the_expected_owner_is_the_owner(server, bucket):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="000000000000")
    assert code(s3.get_object, Bucket=bucket, Key="k", ExpectedBucketOwner="111111111111") == DENIED
    assert code(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="111111111111") == DENIED


# Each of these is named after a weakness that servers had.


def test_a_copy_needs_the_permission_to_read_its_source(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    secret = open_bucket + "-secret"
    s3.create_bucket(Bucket=secret)
    s3.put_object(Bucket=secret, Key="k", Body=b"secret")
    s3.put_object(Bucket=open_bucket, Key="mine", Body=b"open")
    s3.put_bucket_policy(
        Bucket=open_bucket, Policy=policy(statement(open_bucket, ["s3:PutObject", "s3:GetObject"])))
    source = {"Bucket": secret, "Key": "k"}
    assert code(other.copy_object, Bucket=open_bucket, Key="got", CopySource=source) == DENIED
    upload = other.create_multipart_upload(Bucket=open_bucket, Key="got")["UploadId"]
    part = {"Bucket": open_bucket, "Key": "got", "UploadId": upload, "PartNumber": 1}
    assert code(other.upload_part_copy, **part, CopySource=source) == DENIED
    other.copy_object(Bucket=open_bucket, Key="got", CopySource={"Bucket": open_bucket, "Key": "mine"})


def test_a_presigned_put_takes_no_copy_source(server, bucket):
    s3 = server.boto3(signature_version="s3v4")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    request = urllib.request.Request(url, data=b"", method="PUT", headers={
        "x-amz-copy-source": f"/{bucket}/secret"})
    trusted = ssl.create_default_context(cafile=server.certificate) if server.tls else None
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60, context=trusted)
    assert refused.value.code == 403 and b"AccessDenied" in refused.value.read()
    assert code(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def test_versions_need_a_permission_of_their_own(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    s3.put_bucket_versioning(Bucket=open_bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=open_bucket, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"new")
    actions = ["s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:GetObjectTagging"]
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(statement(open_bucket, actions)))
    named = {"Bucket": open_bucket, "Key": "k", "VersionId": version}
    assert other.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"new"
    for call in (other.get_object, other.get_object_tagging, other.delete_object):
        assert code(call, **named) == DENIED
    assert code(other.head_object, **named)[0] == 403
    assert code(other.copy_object, Bucket=open_bucket, Key="c", CopySource=named) == DENIED
    answer = other.delete_objects(
        Bucket=open_bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]


def test_the_source_address_is_the_peers_and_no_headers(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x")

    def spoof(request, **_kwargs):
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Amz-Source-Ip", "aws:SourceIp"):
            request.headers[name.replace(":", "-")] = "for=192.0.2.7" if name == "Forwarded" else "192.0.2.7"

    other.meta.events.register("before-send.s3.*", spoof)
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    s3.put_bucket_policy(
        Bucket=open_bucket, Policy=policy(statement(open_bucket, "s3:GetObject", Condition=condition)))
    assert code(other.get_object, Bucket=open_bucket, Key="k") == DENIED
    condition = {"IpAddress": {"aws:SourceIp": ["127.0.0.1", "::1"]}}
    s3.put_bucket_policy(
        Bucket=open_bucket, Policy=policy(statement(open_bucket, "s3:GetObject", Condition=condition)))
    assert other.get_object(Bucket=open_bucket, Key="k")["Body"].read() == b"x"


def test_governance_is_bypassed_by_permission_only(server):
    s3, other = server.boto3(), anyone(server)
    bucket = "bucket-governance"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.delete_public_access_block(Bucket=bucket)
    retention = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z"}
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="CRC32", **retention)["VersionId"]
    named = {"Bucket": bucket, "Key": "k", "VersionId": version, "BypassGovernanceRetention": True}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:DeleteObjectVersion")))
    assert code(other.delete_object, **named) == DENIED
    answer = other.delete_objects(Bucket=bucket, BypassGovernanceRetention=True,
                                  Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    both = ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, both)))
    other.delete_object(**named)
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_that_is_made_again_has_no_old_grants(server):
    s3, other = server.boto3(), anyone(server)
    bucket = "bucket-made-again"
    s3.create_bucket(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:*")))
    assert other.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code(other.get_object, Bucket=bucket, Key="k") == DENIED
    assert code(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


def test_uploads_of_others_are_not_to_be_had_by_their_id(server, open_bucket):
    s3, other = server.boto3(), anyone(server)
    upload = s3.create_multipart_upload(Bucket=open_bucket, Key="k")["UploadId"]
    only = {**statement(open_bucket, ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]),
            "Resource": f"arn:aws:s3:::{open_bucket}/mine"}
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(only))
    named = {"Bucket": open_bucket, "Key": "k", "UploadId": upload}
    for call in (other.list_parts, other.abort_multipart_upload):
        assert code(call, **named) == DENIED
        assert code(call, **{**named, "Key": "mine"}) == (404, "NoSuchUpload")
    assert code(other.upload_part, **named, PartNumber=1, Body=b"x") == DENIED
    assert code(other.upload_part, **{**named, "Key": "mine"}, PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    s3.abort_multipart_upload(**named)


# Ownership and access control lists.


@pytest.fixture
def writers_bucket(server, open_bucket):
    """An open bucket in which access control lists count."""
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    server.boto3().put_bucket_ownership_controls(Bucket=open_bucket, OwnershipControls=rules)
    return open_bucket


ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def shown(acl):
    """The grants of a list, without the owner's."""
    grants = [(grant["Grantee"].get("URI") or grant["Grantee"]["ID"], grant["Permission"]) for grant in acl["Grants"]]
    return [grant for grant in grants if grant != (acl["Owner"]["ID"], "FULL_CONTROL")]


def test_there_are_no_lists_unless_asked_for(server, bucket):
    s3 = server.boto3()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    unsupported = (400, "AccessControlListNotSupported")
    assert code(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ACL="public-read") == unsupported
    assert code(s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read") == unsupported
    assert code(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == unsupported
    assert code(s3.create_multipart_upload, Bucket=bucket, Key="k", GrantRead=f'uri="{ALL_USERS}"') == unsupported
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert len(acl["Grants"]) == 1 and shown(acl) == []
    assert code(s3.create_bucket, Bucket=bucket + "-p", ACL="public-read") == (
        400, "InvalidBucketAclWithObjectOwnership")
    assert code(s3.create_bucket, Bucket=bucket + "-p", ACL="public-read", ObjectOwnership="ObjectWriter") == (
        400, "InvalidBucketAclWithBlockPublicAccessError")
    s3.create_bucket(Bucket=bucket + "-p", ObjectOwnership="BucketOwnerPreferred")
    rules = s3.get_bucket_ownership_controls(Bucket=bucket + "-p")["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerPreferred"}]


def test_lists_of_buckets(server, writers_bucket):
    s3, other = server.boto3(), anyone(server)
    place = {"Bucket": writers_bucket}
    s3.put_object(**place, Key="k", Body=b"x")
    s3.put_bucket_acl(**place, ACL="public-read")
    assert shown(s3.get_bucket_acl(**place)) == [(ALL_USERS, "READ")]
    assert other.list_objects_v2(**place)["KeyCount"] == 1
    assert code(other.put_object, **place, Key="n", Body=b"x") == DENIED
    assert code(other.get_object, **place, Key="k") == DENIED
    assert code(other.get_object, **place, Key="none") == (404, "NoSuchKey")
    assert s3.get_bucket_policy_status(**place)["PolicyStatus"]["IsPublic"] is True
    s3.put_bucket_acl(**place, ACL="public-read-write")
    other.put_object(**place, Key="n", Body=b"x")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert code(s3.put_bucket_ownership_controls, **place, OwnershipControls=enforced) == (
        400, "InvalidBucketAclWithObjectOwnership")
    acl = s3.get_bucket_acl(**place)
    grant = {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ_ACP"}
    s3.put_bucket_acl(**place, AccessControlPolicy={"Owner": acl["Owner"], "Grants": [grant]})
    assert shown(other.get_bucket_acl(**place)) == [(ALL_USERS, "READ_ACP")]
    s3.put_bucket_acl(**place, ACL="private")
    assert code(other.list_objects_v2, **place) == DENIED
    s3.put_bucket_ownership_controls(**place, OwnershipControls=enforced)


@pytest.mark.parametrize("length", [0, 5, 300_000])
def test_lists_of_objects(server, writers_bucket, length):
    s3, other = server.boto3(), anyone(server)
    place = {"Bucket": writers_bucket, "Key": "k"}
    body = seeded_bytes(7, length)
    s3.put_object(**place, Body=body, ACL="public-read")
    assert other.get_object(**place)["Body"].read() == body
    assert code(other.get_object_acl, **place) == DENIED
    assert shown(s3.get_object_acl(**place)) == [(ALL_USERS, "READ")]
    s3.put_object_tagging(**place, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert other.get_object(**place)["Body"].read() == body
    s3.put_object_acl(**place, ACL="private")
    assert code(other.get_object, **place) == DENIED
    assert s3.get_object_tagging(**place)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object_acl(**place, GrantRead=f'uri="{ALL_USERS}"')
    assert other.get_object(**place)["Body"].read() == body
    # What is put anew has no old grants.
    s3.put_object(**place, Body=body)
    assert code(other.get_object, **place) == DENIED and shown(s3.get_object_acl(**place)) == []
    s3.copy_object(**place, CopySource=place, MetadataDirective="REPLACE", ACL="public-read")
    assert other.get_object(**place)["Body"].read() == body
    s3.delete_object(**place)
    assert code(s3.get_object_acl, **place) == (404, "NoSuchKey")


def test_lists_of_uploads_and_versions(server, writers_bucket):
    s3, other = server.boto3(), anyone(server)
    place = {"Bucket": writers_bucket, "Key": "k"}
    s3.put_bucket_versioning(Bucket=writers_bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(**place, Body=b"old")["VersionId"]
    upload = s3.create_multipart_upload(**place, ACL="public-read", Metadata={"m": "1"})["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"new")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    answer = other.get_object(**place)
    assert answer["Body"].read() == b"new" and answer["Metadata"] == {"m": "1"}
    assert code(other.get_object, **place, VersionId=old) == DENIED
    s3.put_object_acl(**place, VersionId=old, ACL="public-read")
    assert other.get_object(**place, VersionId=old)["Body"].read() == b"old"
    assert shown(s3.get_object_acl(**place, VersionId=old)) == [(ALL_USERS, "READ")]


def test_public_lists_are_blocked_and_ignored(server, writers_bucket):
    s3, other = server.boto3(), anyone(server)
    place = {"Bucket": writers_bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x", ACL="public-read")
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": False,
             "RestrictPublicBuckets": False}
    s3.put_public_access_block(Bucket=writers_bucket, PublicAccessBlockConfiguration=block)
    assert other.get_object(**place)["Body"].read() == b"x"
    assert code(s3.put_object, **place, Body=b"x", ACL="public-read") == DENIED
    assert code(s3.put_object_acl, **place, ACL="authenticated-read") == DENIED
    assert code(s3.put_bucket_acl, Bucket=writers_bucket, ACL="public-read") == DENIED
    block["IgnorePublicAcls"] = True
    s3.put_public_access_block(Bucket=writers_bucket, PublicAccessBlockConfiguration=block)
    assert code(other.get_object, **place) == DENIED


def test_lists_that_are_not_allowed(server, writers_bucket):
    s3 = server.boto3()
    place = {"Bucket": writers_bucket}
    s3.put_object(**place, Key="k", Body=b"x")
    assert code(s3.put_bucket_acl, **place, ACL="public") == (400, "InvalidArgument")
    assert code(s3.put_bucket_acl, **place, GrantRead='id="00"') == (400, "InvalidArgument")
    assert code(s3.put_bucket_acl, **place, GrantRead='emailAddress="no@example.com"') == (
        400, "UnresolvableGrantByEmailAddress")
    assert code(s3.put_bucket_acl, **place, GrantRead="anyone") == (400, "InvalidArgument")
    assert code(s3.put_bucket_acl, **place, ACL="private", GrantRead=f'uri="{ALL_USERS}"') == (400, "InvalidRequest")
    acl = s3.get_object_acl(**place, Key="k")
    owner = {"ID": "1" * 64}
    assert code(s3.put_object_acl, **place, Key="k",
                AccessControlPolicy={"Owner": owner, "Grants": acl["Grants"]}) == DENIED
    rules = {"Rules": [{"ObjectOwnership": "Nobody"}]}
    assert code(s3.put_bucket_ownership_controls, **place, OwnershipControls=rules)[0] == 400


# Several accounts.

# The command that adds users does not trust a certificate that is its own authority.
without_tls = pytest.mark.parametrize("server", ["one-drive", "six-drives"], indirect=True, scope="session")
SECRET = "granary-test-other-secret-0123456789"


class Account:
    """The root user of an account of its own, or a user in one."""

    def __init__(self, server, name, account=None):
        self.server, self.key = server, name.upper().replace("-", "")[:20]
        words = ["user", "add", name, "--access-key", self.key, "--secret-key", SECRET]
        server.admin(*words, *(["--account", account] if account else []))

    def client(self, service="s3"):
        verify = str(self.server.certificate) if self.server.tls else None
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=self.server.endpoint, region_name=REGION, verify=verify,
                            aws_access_key_id=self.key, aws_secret_access_key=SECRET, config=config)

    def id(self):
        return self.client("sts").get_caller_identity()["Account"]


@pytest.fixture(scope="module")
def alt(server):
    return Account(server, "alt-of-access")


@pytest.fixture(scope="module")
def third(server):
    return Account(server, "third-of-access")


def canonical(account):
    return account.client().list_buckets()["Owner"]["ID"]


@without_tls
def test_accounts_have_buckets_of_their_own(server, bucket, alt):
    s3, other = server.boto3(), alt.client()
    assert bucket not in [found["Name"] for found in other.list_buckets()["Buckets"]]
    assert code(other.create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")
    own = bucket + "-alt"
    other.create_bucket(Bucket=own)
    other.create_bucket(Bucket=own)
    assert own in [found["Name"] for found in other.list_buckets()["Buckets"]]
    assert own not in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    for call in (other.list_objects_v2, other.head_bucket, other.delete_bucket, other.get_bucket_acl):
        assert code(call, Bucket=bucket)[0] == 403
    other.put_object(Bucket=own, Key="k", Body=b"x", ExpectedBucketOwner=alt.id())
    listed = other.list_objects_v2(Bucket=own, FetchOwner=True)["Contents"][0]["Owner"]
    assert listed["ID"] == canonical(alt) and listed["DisplayName"] == "alt-of-access"
    # The root user of the store may do everything.
    assert s3.get_object(Bucket=own, Key="k")["Body"].read() == b"x"
    s3.delete_object(Bucket=own, Key="k")
    s3.delete_bucket(Bucket=own)


@without_tls
def test_logs_go_to_buckets_of_the_same_account_only(server, bucket, alt):
    own = bucket + "-logged"
    alt.client().create_bucket(Bucket=own)
    logging = {"LoggingEnabled": {"TargetBucket": bucket, "TargetPrefix": ""}}
    assert code(alt.client().put_bucket_logging, Bucket=own, BucketLoggingStatus=logging) == (
        400, "InvalidTargetBucketForLogging")


@without_tls
def test_between_accounts_both_must_allow(server, bucket, alt, third):
    s3, other = server.boto3(), alt.client()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code(other.get_object, Bucket=bucket, Key="k") == DENIED
    principal = {"AWS": f"arn:aws:iam::{alt.id()}:root"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:Get*", principal=principal)))
    assert other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert code(third.client().get_object, Bucket=bucket, Key="k") == DENIED
    # Only the bucket's account handles its policy, whoever that lets in.
    assert code(other.get_bucket_policy, Bucket=bucket) == (405, "MethodNotAllowed")
    user = Account(server, f"u-{bucket}", account=alt.id())
    assert code(user.client().get_object, Bucket=bucket, Key="k") == DENIED
    allow = json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}})
    iam = alt.client("iam")
    iam.put_user_policy(UserName=f"u-{bucket}", PolicyName="p", PolicyDocument=allow)
    assert user.client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.delete_bucket_policy(Bucket=bucket)
    assert code(user.client().get_object, Bucket=bucket, Key="k") == DENIED


@without_tls
def test_users_of_an_account_may_do_what_their_policies_or_the_buckets_allow(server, bucket, alt):
    own = bucket + "-alt"
    root = alt.client()
    root.create_bucket(Bucket=own)
    root.put_object(Bucket=own, Key="k", Body=b"x")
    name = f"v-{bucket}"
    user = Account(server, name, account=alt.id())
    s3 = user.client()
    assert code(s3.get_object, Bucket=own, Key="k") == DENIED and code(s3.list_buckets) == DENIED
    arn = f"arn:aws:iam::{alt.id()}:user/{name}"
    root.put_bucket_policy(Bucket=own, Policy=policy(statement(own, "s3:GetObject", principal={"AWS": arn})))
    assert s3.get_object(Bucket=own, Key="k")["Body"].read() == b"x"
    assert code(s3.put_object, Bucket=own, Key="k", Body=b"y") == DENIED
    home = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{own}/${{aws:username}}/*"}]})
    alt.client("iam").put_user_policy(UserName=name, PolicyName="home", PolicyDocument=home)
    s3.put_object(Bucket=own, Key=f"{name}/k", Body=b"x")
    assert code(s3.put_object, Bucket=own, Key="other/k", Body=b"x") == DENIED
    root.put_bucket_policy(Bucket=own, Policy=policy(
        statement(own, "s3:*", effect="Deny", principal={"AWS": arn})))
    assert code(s3.get_object, Bucket=own, Key=f"{name}/k") == DENIED
    assert code(root.list_objects_v2, Bucket=own + "-none") == (404, "NoSuchBucket")


@without_tls
def test_writers_own_what_they_write_where_lists_count(server, writers_bucket, alt, third):
    s3, other = server.boto3(), alt.client()
    place = {"Bucket": writers_bucket, "Key": "k"}
    s3.put_bucket_acl(Bucket=writers_bucket, GrantWrite=f'id="{canonical(alt)}"',
                      GrantFullControl=f'id="{canonical_root(s3)}"')
    other.put_object(**place, Body=b"theirs")
    acl = other.get_object_acl(**place)
    assert acl["Owner"]["ID"] == canonical(alt) and shown(acl) == []
    assert other.get_object(**place)["Body"].read() == b"theirs"
    assert code(third.client().get_object, **place) == DENIED
    # A policy of the bucket's owner cannot share what is not theirs.
    s3.put_bucket_policy(Bucket=writers_bucket, Policy=policy(statement(writers_bucket, "s3:GetObject")))
    assert code(anyone(server).get_object, **place) == DENIED
    new = {"Bucket": writers_bucket, "Key": "new"}
    other.put_object(**new, Body=b"x", ACL="public-read")
    assert anyone(server).get_object(**new)["Body"].read() == b"x"
    other.copy_object(**new, CopySource=place, ACL="authenticated-read")
    assert third.client().get_object(**new)["Body"].read() == b"theirs"
    assert code(anyone(server).get_object, **new) == DENIED
    other.put_object_acl(**place, GrantRead=f'id="{canonical(third)}"')
    assert third.client().get_object(**place)["Body"].read() == b"theirs"
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=writers_bucket, OwnershipControls=rules)
    other.put_object(**place, Body=b"given", ACL="bucket-owner-full-control")
    assert s3.get_object_acl(**place)["Owner"]["ID"] == canonical_root(s3)
    assert anyone(server).get_object(**place)["Body"].read() == b"given"
    # Without lists, all is the bucket owner's again.
    other.put_object(**place, Body=b"theirs")
    s3.put_bucket_acl(Bucket=writers_bucket, ACL="private")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=writers_bucket, OwnershipControls=enforced)
    assert anyone(server).get_object(**place)["Body"].read() == b"theirs"


def canonical_root(s3):
    return s3.list_buckets()["Owner"]["ID"]


@without_tls
def test_a_name_that_another_account_takes_has_no_old_grants(server, alt):
    s3, other = server.boto3(), alt.client()
    bucket = "bucket-changing-hands"
    s3.create_bucket(Bucket=bucket)
    principal = {"AWS": "000000000000"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:*", principal={"AWS": alt.id()})))
    other.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    other.create_bucket(Bucket=bucket)
    assert code(other.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    other.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:*", principal=principal)))
    other.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert code(other.list_objects_v2, Bucket=bucket) == DENIED
    s3.delete_bucket(Bucket=bucket)
