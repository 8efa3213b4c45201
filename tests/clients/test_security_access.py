"""Published weaknesses of object stores, on the inside: what somebody with some rights got beyond them.

Each test is named after the weakness it guards against, and holds a proof that the same request is served where it is right.
`test_security.py` is about who gets in, and keeps these tests from vanishing.
"""

import base64
import datetime
import hashlib
import json
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import ACCESS_KEY, REGION, SECRET_KEY, refusal
from test_iam import Account, account, client, policy, server  # noqa: F401
from test_post_object import encode
from test_protocol import Answer, connection

DENIED = (403, "AccessDenied")


@pytest.fixture
def owner(account):  # noqa: F811
    """The root user of an account, as a client of S3."""
    return account.client("s3")


@pytest.fixture
def bucket(owner):
    return new_bucket(owner)


def new_bucket(s3, **more):
    name = f"security-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=name, **more)
    return name


def anyone(server):  # noqa: F811
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=server.endpoint, region_name=REGION, config=config)


def allowed(account, *statements, name="u"):  # noqa: F811
    """A user who may do what pairs of actions and resources say, as a client of S3."""
    key = account.user(name)
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource, **(more[0] if more else {})}
                  for action, resource, *more in statements]
    account.client("iam").put_user_policy(UserName=name, PolicyName="p",
                                          PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return account.client("s3", *key)


def arn(bucket, key=""):
    return f"arn:aws:s3:::{bucket}{'/' + key if key else ''}"


def test_copy_without_read_permission_on_the_source(account, owner, bucket):  # noqa: F811
    """The weakness: a copy asked for the right to write, and read with the rights of the server."""
    owner.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    owner.put_object(Bucket=bucket, Key="in/open", Body=b"open")
    user = allowed(account, ("s3:PutObject", arn(bucket, "in/*")), ("s3:GetObject", arn(bucket, "in/*")))
    source = {"Bucket": bucket, "Key": "secret"}
    assert refusal(user.copy_object, Bucket=bucket, Key="in/k", CopySource=source) == DENIED
    upload = user.create_multipart_upload(Bucket=bucket, Key="in/k")["UploadId"]
    part = {"Bucket": bucket, "Key": "in/k", "UploadId": upload, "PartNumber": 1}
    assert refusal(user.upload_part_copy, **part, CopySource=source) == DENIED
    assert refusal(user.upload_part_copy, **part, CopySource=source, CopySourceRange="bytes=0-1") == DENIED
    assert refusal(user.rename_object, Bucket=bucket, Key="in/k", RenameSource="secret") == DENIED
    user.copy_object(Bucket=bucket, Key="in/k", CopySource={"Bucket": bucket, "Key": "in/open"})
    assert owner.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"open"
    assert owner.get_object(Bucket=bucket, Key="secret")["Body"].read() == b"secret"


def test_copy_that_tells_whether_its_source_is_there(account, owner, bucket):  # noqa: F811
    owner.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    user = allowed(account, ("s3:PutObject", arn(bucket, "in/*")))
    told = {refusal(user.copy_object, Bucket=bucket, Key="in/k", CopySource={"Bucket": bucket, "Key": key}) for key in ("secret", "none")}
    assert told == {DENIED}


def test_rename_without_the_right_to_delete_its_source(account, owner, bucket):  # noqa: F811
    owner.put_object(Bucket=bucket, Key="read/k", Body=b"kept")
    user = allowed(account, ("s3:PutObject", arn(bucket, "in/*")), ("s3:GetObject", arn(bucket, "*")))
    assert refusal(user.rename_object, Bucket=bucket, Key="in/k", RenameSource="read/k") == DENIED
    assert owner.get_object(Bucket=bucket, Key="read/k")["Body"].read() == b"kept"


def test_version_reads_without_getobjectversion(account, owner, bucket):  # noqa: F811
    """The weakness: who may read an object read, by its version id, what had been replaced or deleted."""
    owner.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = owner.put_object(Bucket=bucket, Key="k", Body=b"old", Tagging="a=b")["VersionId"]
    new = owner.put_object(Bucket=bucket, Key="k", Body=b"new")["VersionId"]
    user = allowed(account, (["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectAttributes", "s3:PutObject", "s3:DeleteObject"], arn(bucket, "*")))
    assert user.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"
    for version in (old, new, "null"):
        named = {"Bucket": bucket, "Key": "k", "VersionId": version}
        for call in (user.get_object, user.head_object, user.get_object_tagging, user.delete_object, user.get_object_acl):
            assert refusal(call, **named)[0] == 403, (call, version)
        assert refusal(user.get_object_attributes, **named, ObjectAttributes=["ETag"]) == DENIED
        source = {"Bucket": bucket, "Key": "k", "VersionId": version}
        assert refusal(user.copy_object, Bucket=bucket, Key="c", CopySource=source) == DENIED
    assert refusal(user.list_object_versions, Bucket=bucket) == DENIED
    many = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": old}]})
    assert [error["Code"] for error in many["Errors"]] == ["AccessDenied"]
    assert owner.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"


def test_foreign_upload_ids(account, owner, bucket):  # noqa: F811
    """The weakness: an upload id was good for other keys and buckets than its own."""
    other = new_bucket(owner)
    upload = owner.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    tag = owner.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    user = allowed(account, (["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], [arn(bucket, "mine/*"), arn(other, "*")]))
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    for place in [{"Bucket": bucket, "Key": "mine/k"}, {"Bucket": other, "Key": "k"}]:
        named = {**place, "UploadId": upload}
        assert refusal(user.upload_part, **named, PartNumber=1, Body=b"evil") == (404, "NoSuchUpload")
        assert refusal(user.list_parts, **named) == (404, "NoSuchUpload")
        assert refusal(user.complete_multipart_upload, **named, MultipartUpload=parts) == (404, "NoSuchUpload")
        assert refusal(user.abort_multipart_upload, **named) == (404, "NoSuchUpload")
    for name in ["..", "../" + upload, upload + "/../x", upload[:-1], upload + "0", "0", "%2e%2e", "", "'", "\u00e9"]:
        assert refusal(owner.list_parts, Bucket=bucket, Key="k", UploadId=name)[0] in (400, 404), name
    owner.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    assert owner.get_object(Bucket=bucket, Key="k")["Body"].read() == b"part"


def send_as(server, key, method, target, headers=(), body=b""):  # noqa: F811
    """A request that somebody signed, every header of it."""
    request = AWSRequest(method=method, url=server.endpoint + target, data=body, headers=dict(headers))
    S3SigV4Auth(Credentials(*key), "s3", REGION).add_auth(request)
    link = connection(server)
    link.request(method, target, body=body or None, headers=dict(request.headers.items()))
    answer = Answer(link.getresponse())
    link.close()
    return answer


SPOOFS = {
    "aws:SourceIp": ("IpAddress", "203.0.113.7", [("X-Forwarded-For", "203.0.113.7"), ("X-Real-IP", "203.0.113.7"), ("Forwarded", "for=203.0.113.7"),
                                                  ("X-Amz-Source-Ip", "203.0.113.7")]),
    "aws:SecureTransport": ("Bool", "true", [("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "on"), ("Forwarded", "proto=https")]),
    "aws:username": ("StringEquals", "admin", [("aws-username", "admin"), ("X-Amz-Username", "admin"), ("username", "admin")]),
    "aws:PrincipalTag/team": ("StringEquals", "red", [("X-Amz-Principal-Tag-Team", "red"), ("x-amz-tagging", "team=red")]),
    "aws:PrincipalAccount": ("StringEquals", "000000000000", [("x-amz-expected-bucket-owner", "000000000000"), ("x-amz-account-id", "000000000000")]),
    "s3:authType": ("StringEquals", "POST", [("x-amz-auth-type", "POST"), ("s3-authtype", "POST")]),
    "s3:ExistingObjectTag/a": ("StringEquals", "b", [("x-amz-tagging", "a=b"), ("x-amz-object-tag", "a=b")]),
    "aws:CurrentTime": ("DateLessThan", "2020-01-01T00:00:00Z", [("Date", "Wed, 01 Jan 2014 00:00:00 GMT"), ("x-amz-current-time", "2014-01-01T00:00:00Z")]),
}


@pytest.mark.parametrize("key", SPOOFS)
def test_spoofed_condition_keys(server, account, owner, bucket, key):  # noqa: F811
    """The weakness: what a policy asks about the sender was read from headers that the sender chose."""
    operator, wanted, headers = SPOOFS[key]
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    user = account.user("u")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": arn(bucket, "*"), "Condition": {operator: {key: wanted}}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.client("iam").put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    for sent in [[], *([header] for header in headers), headers]:
        assert send_as(server, user, "GET", f"/{bucket}/k", sent).outcome == DENIED, sent
    for name, value in [(key, wanted), ("x-amz-" + key, wanted)]:
        assert send_as(server, user, "GET", f"/{bucket}/k?{quote(name, safe='')}={quote(value, safe='')}").status in (400, 403)


def test_a_condition_on_a_header_that_another_operation_ignores(server, account, owner, bucket):  # noqa: F811
    """The weakness: who may only copy from one place wrote what it liked, by naming that place in a plain upload."""
    owner.put_object(Bucket=bucket, Key="from/k", Body=b"k")
    copied = {"Condition": {"StringLike": {"s3:x-amz-copy-source": f"{bucket}/from/*"}}}
    key = account.user("u")
    statements = [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": arn(bucket, "*"), **copied},
                  {"Effect": "Allow", "Action": "s3:GetObject", "Resource": arn(bucket, "*")}]
    account.client("iam").put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert send_as(server, key, "PUT", f"/{bucket}/k", [], b"evil").outcome == DENIED
    assert send_as(server, key, "POST", f"/{bucket}/k?uploads", [("x-amz-copy-source", f"{bucket}/from/k")]).outcome == DENIED
    assert send_as(server, key, "PUT", f"/{bucket}/k", [("x-amz-copy-source", f"{bucket}/from/../k")]).status in (403, 404)
    assert send_as(server, key, "PUT", f"/{bucket}/k", [("x-amz-copy-source", f"{bucket}/from/k")]).status == 200


def test_a_resource_that_a_path_leads_out_of(account, owner, bucket):  # noqa: F811
    owner.put_object(Bucket=bucket, Key="private/k", Body=b"k")
    user = allowed(account, (["s3:GetObject", "s3:PutObject"], arn(bucket, "public/*")))
    for key in ["public/../private/k", "public/./../private/k", "public/..%2fprivate/k", "public//../private/k"]:
        assert refusal(user.get_object, Bucket=bucket, Key=key)[0] in (403, 404), key
        user.put_object(Bucket=bucket, Key=key, Body=b"beside")
    for key in ["public", "Public/k", "/public/k", "private/k", "public%2fk"]:
        assert refusal(user.get_object, Bucket=bucket, Key=key) == DENIED, key
    assert owner.get_object(Bucket=bucket, Key="private/k")["Body"].read() == b"k"


def test_wildcards_in_the_name_of_who_asks(account, owner, bucket):  # noqa: F811
    """The weakness: a user called `*` owned the folders of all, as its name was put into the pattern of a policy."""
    for key in ("home/ann/k", "home/b+b/k"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"k")
    user = allowed(account, ("s3:GetObject", arn(bucket, "home/${aws:username}/*")), name="b+b")
    assert user.get_object(Bucket=bucket, Key="home/b+b/k")["Body"].read() == b"k"
    assert refusal(user.get_object, Bucket=bucket, Key="home/ann/k") == DENIED
    for name in ("*", "?", "a*", "${aws:username}"):
        assert refusal(account.client("iam").create_user, UserName=name) == (400, "ValidationError")


def role_for(account, name, actions):  # noqa: F811
    """A role that a user may assume, and how."""
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account.id}:user/{name}"}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(actions))
    return made["Arn"]


def held_by(account, service, credentials):  # noqa: F811
    return client(account.server, service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


def test_session_policies_that_widen(account, owner, bucket):  # noqa: F811
    """The weakness: the policy that a session was asked for with was added to the role's, where it should narrow it."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    key = account.user("u")
    role = role_for(account, "u", "s3:GetObject")
    sts = account.client("sts", *key)
    for more in [{}, {"Policy": policy("*")}, {"Policy": policy("s3:*")}, {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}]}]:
        held = held_by(account, "s3", sts.assume_role(RoleArn=role, RoleSessionName="ses", **more)["Credentials"])
        assert held.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
        assert refusal(held.put_object, Bucket=bucket, Key="k", Body=b"evil") == DENIED
        assert refusal(held.delete_object, Bucket=bucket, Key="k") == DENIED
    narrow = held_by(account, "s3", sts.assume_role(RoleArn=role, RoleSessionName="ses", Policy=policy("s3:PutObject"))["Credentials"])
    assert refusal(narrow.get_object, Bucket=bucket, Key="k") == DENIED
    assert refusal(narrow.put_object, Bucket=bucket, Key="k", Body=b"evil") == DENIED


def test_service_keys_that_outgrow_their_parent(account, owner, bucket):  # noqa: F811
    """The weakness: a key made from another one kept, or got, rights that the other one had not."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    key = account.user("u")
    iam = account.client("iam")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy(["s3:GetObject", "s3:PutObject"]))
    held = account.client("sts", *key).get_session_token()["Credentials"]
    session = held_by(account, "s3", held)
    session.put_object(Bucket=bucket, Key="k", Body=b"k")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy("s3:GetObject"))
    assert refusal(session.put_object, Bucket=bucket, Key="k", Body=b"evil") == DENIED
    assert session.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    for call, wanted in [("create_access_key", {"UserName": "u"}), ("create_user", {"UserName": "x"}),
                         ("put_user_policy", {"UserName": "u", "PolicyName": "q", "PolicyDocument": policy("*")})]:
        assert refusal(getattr(held_by(account, "iam", held), call), **wanted) == DENIED, call
    iam.delete_access_key(UserName="u", AccessKeyId=key[0])
    assert refusal(session.get_object, Bucket=bucket, Key="k")[0] in (400, 403)


def test_a_user_who_makes_itself_more(account, owner, bucket):  # noqa: F811
    """The weakness: who could manage its own keys managed everybody's, or its own policies."""
    admin = account.user("admin")
    account.client("iam").put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=policy("*"))
    key = account.user("u")
    own = policy("iam:*AccessKey*", f"arn:aws:iam::{account.id}:user/u")
    account.client("iam").put_user_policy(UserName="u", PolicyName="own", PolicyDocument=own)
    iam = account.client("iam", *key)
    iam.list_access_keys(UserName="u")
    for call, wanted in [("create_access_key", {"UserName": "admin"}), ("list_access_keys", {"UserName": "admin"}),
                         ("update_access_key", {"UserName": "admin", "AccessKeyId": admin[0], "Status": "Inactive"}),
                         ("delete_access_key", {"UserName": "admin", "AccessKeyId": admin[0]}),
                         ("put_user_policy", {"UserName": "u", "PolicyName": "q", "PolicyDocument": policy("*")}),
                         ("attach_user_policy", {"UserName": "u", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
                         ("add_user_to_group", {"UserName": "u", "GroupName": "admins"})]:
        assert refusal(getattr(iam, call), **wanted) == DENIED, call
    # The key of somebody else, named as one's own.
    assert refusal(iam.update_access_key, UserName="u", AccessKeyId=admin[0], Status="Inactive")[0] in (403, 404)
    assert refusal(iam.delete_access_key, AccessKeyId=admin[0])[0] in (403, 404)
    assert account.client("sts", *admin).get_caller_identity()["Arn"].endswith("user/admin")


def locked_version(s3):
    bucket = new_bucket(s3, ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(hours=1)
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    return {"Bucket": bucket, "Key": "k", "VersionId": version}, until


def test_compliance_downgrade(owner):
    """The weakness: nobody could delete the version, but its retention could be made shorter, or one that can be bypassed."""
    place, until = locked_version(owner)
    earlier, later = until - datetime.timedelta(minutes=1), until + datetime.timedelta(minutes=1)
    for retention in [{"Mode": "GOVERNANCE", "RetainUntilDate": until}, {"Mode": "GOVERNANCE", "RetainUntilDate": later},
                      {"Mode": "COMPLIANCE", "RetainUntilDate": earlier}, {}]:
        for bypass in ({}, {"BypassGovernanceRetention": True}):
            assert refusal(owner.put_object_retention, **place, Retention=retention, **bypass)[0] in (400, 403), retention
    assert refusal(owner.delete_object, **place, BypassGovernanceRetention=True) == DENIED
    owner.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
    owner.put_object_legal_hold(**place, LegalHold={"Status": "OFF"})
    found = owner.head_object(**place)
    assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until)
    owner.put_object_retention(**place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later})
    assert refusal(owner.delete_object, **place) == DENIED


def test_lock_that_the_bucket_forgets(owner):
    """The weakness: the bucket's configuration was changed, and with it what its locked versions were."""
    place, _ = locked_version(owner)
    bucket = {"Bucket": place["Bucket"]}
    owner.put_object_lock_configuration(**bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    assert refusal(owner.put_bucket_versioning, **bucket, VersioningConfiguration={"Status": "Suspended"}) == (409, "InvalidBucketState")
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    owner.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [rule]})
    assert refusal(owner.delete_bucket, **bucket) == (409, "BucketNotEmpty")
    assert refusal(owner.delete_object, **place) == DENIED
    assert owner.get_object(**place)["Body"].read() == b"kept"


def test_bucket_recreated_under_old_grants(server, account, owner):  # noqa: F811
    """The weakness: rules are kept by the bucket's name, and the next owner of the name got the last one's."""
    bucket = new_bucket(owner, ObjectOwnership="ObjectWriter")
    owner.delete_public_access_block(Bucket=bucket)
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "Resource": [arn(bucket), arn(bucket, "*")]}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    owner.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    owner.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    owner.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    owner.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
    owner.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}})
    owner.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]})
    upload = owner.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    owner.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    nobody = anyone(server)
    nobody.put_object(Bucket=bucket, Key="k", Body=b"k")
    owner.delete_object(Bucket=bucket, Key="k")
    owner.delete_bucket(Bucket=bucket)

    made = json.loads(server.admin("user", "add", f"next-{uuid.uuid4().hex[:8]}", "--json"))
    following = Account(server, made["users"][0], made["key"]).client("s3")
    following.create_bucket(Bucket=bucket)
    following.put_object(Bucket=bucket, Key="k", Body=b"mine")
    for call, wanted in [(nobody.get_object, {"Key": "k"}), (nobody.put_object, {"Key": "k", "Body": b"x"}), (nobody.list_objects_v2, {}),
                         (owner.get_object, {"Key": "k"}), (owner.list_objects_v2, {}), (owner.get_bucket_policy, {}), (owner.delete_bucket, {})]:
        assert refusal(call, Bucket=bucket, **wanted) == DENIED, (call, wanted)
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    assert refusal(following.list_parts, **named) == (404, "NoSuchUpload")
    for read, code in [("get_bucket_policy", "NoSuchBucketPolicy"), ("get_bucket_cors", "NoSuchCORSConfiguration"), ("get_bucket_tagging", "NoSuchTagSet"),
                       ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
                       ("get_bucket_website", "NoSuchWebsiteConfiguration"), ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")]:
        assert refusal(getattr(following, read), Bucket=bucket) == (404, code), read
    block = following.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())


def test_an_object_put_again_under_old_grants(server, owner):  # noqa: F811
    """The weakness: the list, tags or locks of an object that was replaced went over to the one that replaced it."""
    bucket = new_bucket(owner, ObjectOwnership="ObjectWriter")
    owner.delete_public_access_block(Bucket=bucket)
    for replace in (lambda: None, lambda: owner.delete_object(Bucket=bucket, Key="k")):
        owner.put_object(Bucket=bucket, Key="k", Body=b"open", ACL="public-read", Tagging="open=yes")
        assert anyone(server).get_object(Bucket=bucket, Key="k")["Body"].read() == b"open"
        replace()
        owner.put_object(Bucket=bucket, Key="k", Body=b"secret")
        assert refusal(anyone(server).get_object, Bucket=bucket, Key="k") == DENIED
        assert owner.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_a_delete_of_many_that_asks_once(account, owner, bucket):  # noqa: F811
    """The weakness: the right to delete one key, or the bucket's, was enough for all keys of the request."""
    for key in ("mine/k", "other/k"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"k")
    user = allowed(account, ("s3:DeleteObject", [arn(bucket, "mine/*"), arn(bucket)]))
    for quiet in (False, True):
        answer = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "other/k"}, {"Key": "mine/k"}], "Quiet": quiet})
        assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("other/k", "AccessDenied")]
    assert [found["Key"] for found in owner.list_objects_v2(Bucket=bucket)["Contents"]] == ["other/k"]


def test_a_form_that_outgrows_its_signer(server, account, owner, bucket):  # noqa: F811
    """The weakness: the policy of a form was all that was asked, and its signer's rights were not."""
    key = account.user("u")
    account.client("iam").put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy("s3:PutObject", arn(bucket, "in/*")))
    signer = account.client("s3", *key)

    def post(name, **fields):
        form = signer.generate_presigned_post(bucket, name, Fields=fields, Conditions=[{field: value} for field, value in fields.items()])["fields"]
        body, content_type = encode(form.items(), b"x")
        link = connection(server)
        link.request("POST", f"/{bucket}", body=body, headers={"Content-Type": content_type})
        answer = Answer(link.getresponse())
        link.close()
        return answer.outcome

    assert post("in/k") == (204, None)
    assert post("out/k") == DENIED
    assert post("in/k", tagging="<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>") == DENIED
    assert [found["Key"] for found in owner.list_objects_v2(Bucket=bucket)["Contents"]] == ["in/k"]


def test_customer_keys_in_clear(owner, server):  # noqa: F811
    """The weakness: a key that was sent without TLS was taken, when everybody on the way had read it."""
    secret = b"K" * 32
    header = {"x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-server-side-encryption-customer-key": base64.b64encode(secret).decode(),
              "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(secret).digest()).decode()}
    bucket = new_bucket(owner)
    key = (ACCESS_KEY, SECRET_KEY)
    assert send_as(server, key, "PUT", f"/{bucket}/k", header.items(), b"x").outcome == (400, "InvalidRequest")
    assert "Contents" not in owner.list_objects_v2(Bucket=bucket)


def test_removed_keys_and_users_that_still_get_in(account, owner, bucket):  # noqa: F811
    """The weakness: what had been taken away was remembered where signatures are verified."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    key = account.user("u")
    iam = account.client("iam")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy("s3:GetObject"))
    s3 = account.client("s3", *key)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    iam.delete_user_policy(UserName="u", PolicyName="p")
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == DENIED
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy("s3:GetObject"))
    iam.update_access_key(UserName="u", AccessKeyId=key[0], Status="Inactive")
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == (403, "InvalidAccessKeyId")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    assert refused.value.code == 403


def test_conditional_reads_that_tell_what_may_not_be_read(account, owner, bucket):  # noqa: F811
    """The weakness: a condition was answered before it was asked whether the sender may read at all."""
    tag = owner.put_object(Bucket=bucket, Key="k", Body=b"k")["ETag"]
    user = allowed(account, ("s3:PutObject", arn(bucket, "in/*")))
    for condition in [{"IfMatch": tag}, {"IfNoneMatch": tag}, {"IfMatch": '"none"'}, {"Range": "bytes=5-"}, {"PartNumber": 2}]:
        assert refusal(user.get_object, Bucket=bucket, Key="k", **condition) == DENIED, condition
    with pytest.raises(ClientError) as refused:
        user.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=tag)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_entity_tags_that_are_guessed_by_writes_and_deletes(account, owner, bucket):  # noqa: F811
    """The weakness: who may write or delete an object but not read it found its tag out, and with it what is in it."""
    user = allowed(account, (["s3:PutObject", "s3:DeleteObject"], arn(bucket, "*")))
    place = {"Bucket": bucket, "Key": "k"}
    for tag in (owner.put_object(**place, Body=b"k")["ETag"], '"none"'):
        assert refusal(user.put_object, **place, Body=b"x", IfMatch=tag) == DENIED
        assert refusal(user.put_object, **place, Body=b"x", IfNoneMatch=tag) == DENIED
        assert refusal(user.delete_object, **place, IfMatch=tag) == DENIED
        many = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "ETag": tag}]})
        assert [error["Code"] for error in many["Errors"]] == ["AccessDenied"]
    tag = user.put_object(**place, Body=b"x", IfMatch="*")["ETag"]
    user.delete_object(**place, IfMatch="*")
    reader = allowed(account, (["s3:PutObject", "s3:DeleteObject", "s3:GetObject"], arn(bucket, "*")), name="v")
    reader.put_object(**place, Body=b"x", IfNoneMatch="*")
    reader.put_object(**place, Body=b"x", IfMatch=tag)
    reader.delete_object(**place, IfMatch=tag)


def test_tags_and_locks_that_may_not_be_read(account, owner):  # noqa: F811
    """The weakness: who may read an object but not its tags and locks was told that it has some."""
    bucket = new_bucket(owner, ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=600)
    owner.put_object(Bucket=bucket, Key="k", Body=b"k", Tagging="a=b", ObjectLockLegalHoldStatus="OFF",
                     ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    told = {"TagCount": "s3:GetObjectTagging", "ObjectLockMode": "s3:GetObjectRetention",
            "ObjectLockRetainUntilDate": "s3:GetObjectRetention", "ObjectLockLegalHoldStatus": "s3:GetObjectLegalHold"}
    assert told.keys() <= owner.get_object(Bucket=bucket, Key="k").keys()
    for number, permission in enumerate(["s3:GetObject", *sorted(set(told.values()))]):
        user = allowed(account, (["s3:GetObject", permission], arn(bucket, "*")), name=f"u{number}")
        for call in (user.get_object, user.head_object):
            found = call(Bucket=bucket, Key="k")
            assert {name for name in told if name in found} == {name for name, needed in told.items() if needed == permission}


def for_principal(bucket, principal, effect="Allow", **more):
    """A policy of a bucket about its objects, for one principal."""
    statement = {"Effect": effect, "Principal": {"AWS": principal}, "Action": "s3:GetObject", "Resource": arn(bucket, "*"), **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def delete_user(iam, name):
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_a_user_that_was_made_anew_got_what_a_policy_gave_the_deleted_one(account, owner, bucket):  # noqa: F811
    """The weakness: a policy was compared by names, and the next user of a name had what the last one was given."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    iam, key = account.client("iam"), account.user("u")
    user = iam.get_user(UserName="u")["User"]
    text = for_principal(bucket, user["Arn"])
    owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert account.client("s3", *key).get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == text
    delete_user(iam, "u")
    shown = owner.get_bucket_policy(Bucket=bucket)["Policy"]
    assert shown == text.replace(user["Arn"], user["UserId"])
    anew = account.client("s3", *account.user("u"))
    assert iam.get_user(UserName="u")["User"]["Arn"] == user["Arn"]
    assert refusal(anew.get_object, Bucket=bucket, Key="k") == DENIED
    # Nor by what is shown of who is gone, put again.
    owner.put_bucket_policy(Bucket=bucket, Policy=shown)
    assert refusal(anew.get_object, Bucket=bucket, Key="k") == DENIED
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == shown
    owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert anew.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"


def test_a_renamed_user_escaped_a_deny(account, owner, bucket):  # noqa: F811
    """The weakness: a policy was compared by names, and who had another one was not denied any more."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    user, iam = allowed(account, ("s3:GetObject", arn(bucket, "*"))), account.client("iam")
    before = iam.get_user(UserName="u")["User"]["Arn"]
    text = for_principal(bucket, before, effect="Deny")
    owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert refusal(user.get_object, Bucket=bucket, Key="k") == DENIED
    iam.update_user(UserName="u", NewUserName="v", NewPath="/team/")
    after = iam.get_user(UserName="v")["User"]["Arn"]
    assert after != before
    assert refusal(user.get_object, Bucket=bucket, Key="k") == DENIED
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == text.replace(before, after)
    # All but who is named: still that user.
    but = {"Effect": "Deny", "NotPrincipal": {"AWS": [after, f"arn:aws:iam::{account.id}:root"]}, "Action": "s3:GetObject", "Resource": arn(bucket, "*")}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [but]}))
    iam.update_user(UserName="v", NewUserName="w")
    assert user.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    # A condition is about the name, as it is written.
    named = iam.get_user(UserName="w")["User"]["Arn"]
    condition = for_principal(bucket, "*", effect="Deny", Condition={"ArnEquals": {"aws:PrincipalArn": named}})
    owner.put_bucket_policy(Bucket=bucket, Policy=condition)
    assert refusal(user.get_object, Bucket=bucket, Key="k") == DENIED
    iam.update_user(UserName="w", NewUserName="x")
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == condition
    assert user.get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"


def test_a_role_that_was_made_anew_got_what_a_policy_gave_the_deleted_one(account, owner, bucket):  # noqa: F811
    """The weakness: a policy was compared by names, and sessions of the next role of a name had what the last one was given."""
    owner.put_object(Bucket=bucket, Key="k", Body=b"k")
    sts, iam = account.client("sts", *account.user("u")), account.client("iam")

    def session(role):
        return held_by(account, "s3", sts.assume_role(RoleArn=role, RoleSessionName="ses")["Credentials"])

    role = role_for(account, "u", "s3:ListAllMyBuckets")
    old, text = iam.get_role(RoleName="r")["Role"]["RoleId"], for_principal(bucket, role)
    owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert session(role).get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.delete_role(RoleName="r")
    assert role_for(account, "u", "s3:ListAllMyBuckets") == role
    session(role).list_buckets()
    assert refusal(session(role).get_object, Bucket=bucket, Key="k") == DENIED
    assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == text.replace(role, old)
    owner.put_bucket_policy(Bucket=bucket, Policy=text)
    assert session(role).get_object(Bucket=bucket, Key="k")["Body"].read() == b"k"


def test_a_role_that_trusted_whoever_had_the_name_of_a_user(account):  # noqa: F811
    """The weakness: a trust policy was compared by names, and let in the next user of the name."""
    iam, first = account.client("iam"), account.user("u")
    role = role_for(account, "u", "s3:GetObject")

    def assume(key):
        return account.client("sts", *key).assume_role(RoleArn=role, RoleSessionName="ses")["Credentials"]

    def trusted():
        """Who is shown to be trusted, in both ways to ask."""
        shown = [iam.get_role(RoleName="r")["Role"], *iam.list_roles()["Roles"]]
        got, listed = (one["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"] for one in shown)
        assert got == listed
        return got

    assert assume(first) and trusted() == iam.get_user(UserName="u")["User"]["Arn"]
    iam.update_user(UserName="u", NewUserName="v")
    user = iam.get_user(UserName="v")["User"]
    assert assume(first) and trusted() == user["Arn"]
    assert refusal(assume, key=account.user("u")) == DENIED
    delete_user(iam, "v")
    second = account.user("v")
    assert refusal(assume, key=second) == DENIED and trusted() == user["UserId"]
    document = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(document))
    assert refusal(assume, key=second) == DENIED and trusted() == user["UserId"]
    document["Statement"][0]["Principal"]["AWS"] = user["Arn"]
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(document))
    assert assume(second) and trusted() == user["Arn"]


def test_a_name_that_nobody_had_was_granted_to_whoever_took_it_later(account, owner, bucket):  # noqa: F811
    """The weakness: a policy could name a user before there was one, and so whoever got to make a user of that name."""
    iam = account.client("iam")
    iam.create_user(UserName="u", Path="/team/")
    role_for(account, "team/u", "s3:GetObject")

    def trust(principal):
        statement = {"Effect": "Allow", "Principal": {"AWS": ["*", principal]}, "Action": "sts:AssumeRole"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    for nobody in ["user/v", "role/v", "user/u", "user/team/U", "role/team/u", "user/r", "user/AIDAAAAAAAAAAAAAAAAAA"]:
        nobody = f"arn:aws:iam::{account.id}:{nobody}"
        with pytest.raises(ClientError) as refused:
            owner.put_bucket_policy(Bucket=bucket, Policy=for_principal(bucket, nobody))
        error = refused.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("MalformedPolicy", "Invalid principal in policy"), nobody
        for call, more in [(iam.create_role, {"RoleName": "s", "AssumeRolePolicyDocument": trust(nobody)}),
                           (iam.update_assume_role_policy, {"RoleName": "r", "PolicyDocument": trust(nobody)})]:
            with pytest.raises(ClientError) as refused:
                call(**more)
            error = refused.value.response["Error"]
            assert error["Code"] == "MalformedPolicyDocument", nobody
            assert error["Message"] == f'Invalid principal in policy: "AWS":"{nobody}"'
    assert refusal(owner.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert refusal(iam.get_role, RoleName="s") == (404, "NoSuchEntity")
    user = f"arn:aws:iam::{account.id}:user/team/u"
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"AWS": user}
    # Of accounts that are none of this store's it cannot be told; their names are compared as they are.
    for principal in [user, "arn:aws:iam::000000000001:user/u", f"arn:aws:sts::{account.id}:assumed-role/none/ses"]:
        text = for_principal(bucket, principal)
        owner.put_bucket_policy(Bucket=bucket, Policy=text)
        assert owner.get_bucket_policy(Bucket=bucket)["Policy"] == text
