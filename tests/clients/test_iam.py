"""Users, groups, keys, policies and roles through the IAM API, with boto3 and aws-cli."""

import datetime
import itertools
import json

import boto3
import pytest
from botocore.exceptions import ClientError

from harness import ACCESS_KEY, REGION, SECRET_KEY, Server, program, run, running
from walkthrough import walk

_numbers = itertools.count(1)


def client(server, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None):
    from botocore.config import Config

    return boto3.client(
        service, endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=access_key,
        aws_secret_access_key=secret_key, aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
                      signature_version="s3v4" if service == "s3" else "v4"),
    )


def code_of(call, *args, **kwargs):
    """The status and code of the error that a call answers."""
    with pytest.raises(ClientError) as refused:
        call(*args, **kwargs)
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def policy(action, resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def server():
    """One server for the tests of a module: identities do not depend on the layout of the drives."""
    with running(drives=2) as server:
        yield server


@pytest.fixture
def account(server):
    """A new account; clients of its root user."""
    made = json.loads(server.admin("user", "add", f"account-{next(_numbers)}", "--json"))
    return Account(server, made["users"][0], made["key"])


class Account:
    def __init__(self, server, user, key):
        self.server, self.id, self.canonical_id, self.name = server, user["account_id"], user["canonical_id"], user["name"]
        self.key = (key["access_key"], key["secret_key"])

    def client(self, service, *key):
        return client(self.server, service, *(key or self.key))

    def user(self, name="u"):
        """A new user with a key, and the key."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]


def test_users_come_and_go(account):
    iam = account.client("iam")
    made = iam.create_user(UserName="Ann", Path="/team/", Tags=[{"Key": "k", "Value": "v"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{account.id}:user/team/Ann"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert code_of(iam.create_user, UserName="ann") == (409, "EntityAlreadyExists")
    assert iam.get_user(UserName="ANN")["User"]["Tags"] == [{"Key": "k", "Value": "v"}]
    iam.update_user(UserName="Ann", NewUserName="bob", NewPath="/")
    assert code_of(iam.get_user, UserName="Ann") == (404, "NoSuchEntity")
    assert iam.get_user(UserName="bob")["User"]["UserId"] == made["UserId"]
    iam.tag_user(UserName="bob", Tags=[{"Key": "K", "Value": "w"}, {"Key": "b", "Value": ""}])
    assert iam.list_user_tags(UserName="bob")["Tags"] == [{"Key": "K", "Value": "w"}, {"Key": "b", "Value": ""}]
    iam.untag_user(UserName="bob", TagKeys=["k"])
    assert iam.list_user_tags(UserName="bob")["Tags"] == [{"Key": "b", "Value": ""}]
    key = iam.create_access_key(UserName="bob")["AccessKey"]["AccessKeyId"]
    assert code_of(iam.delete_user, UserName="bob") == (409, "DeleteConflict")
    iam.delete_access_key(UserName="bob", AccessKeyId=key)
    iam.delete_user(UserName="bob")
    assert iam.list_users()["Users"] == []
    assert code_of(iam.create_user, UserName="a b") == (400, "ValidationError")
    assert code_of(iam.create_user, UserName="a", Path="a") == (400, "ValidationError")


def test_lists_come_in_pages(account):
    iam = account.client("iam")
    for name in ("c", "A", "b"):
        iam.create_user(UserName=name, Path="/x/" if name == "b" else "/")
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["A"], ["b"], ["c"]]
    assert [user["UserName"] for user in iam.list_users(PathPrefix="/x/")["Users"]] == ["b"]
    assert code_of(iam.list_users, Marker="nonsense!") == (400, "ValidationError")


def test_keys_rotate(account):
    iam = account.client("iam")
    key = account.user("ann")
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy("iam:*"))
    assert account.client("iam", *key).get_user()["User"]["UserName"] == "ann"
    second = account.client("iam", *key).create_access_key()["AccessKey"]
    assert code_of(iam.create_access_key, UserName="ann") == (409, "LimitExceeded")
    account.client("iam", second["AccessKeyId"], second["SecretAccessKey"]).update_access_key(
        AccessKeyId=key[0], Status="Inactive")
    assert code_of(account.client("iam", *key).get_user) == (403, "InvalidClientTokenId")
    assert code_of(account.client("s3", *key).list_buckets) == (403, "InvalidAccessKeyId")
    iam.update_access_key(UserName="ann", AccessKeyId=key[0], Status="Active")
    assert account.client("iam", *key).get_user()["User"]["UserName"] == "ann"
    listed = iam.list_access_keys(UserName="ann")["AccessKeyMetadata"]
    assert sorted(one["AccessKeyId"] for one in listed) == sorted([key[0], second["AccessKeyId"]])
    iam.delete_access_key(UserName="ann", AccessKeyId=key[0])
    assert code_of(iam.delete_access_key, UserName="ann", AccessKeyId=key[0]) == (404, "NoSuchEntity")
    assert code_of(account.client("iam", *key).get_user) == (403, "InvalidClientTokenId")
    used = iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])
    assert used["UserName"] == "ann" and used["AccessKeyLastUsed"]["ServiceName"] == "iam"


def test_when_a_key_was_used_last_is_told_and_outlives_the_server(tmp_path):
    server = Server(tmp_path, drives=1).start()
    try:
        made = json.loads(server.admin("user", "add", "used", "--json"))
        account = Account(server, made["users"][0], made["key"])
        iam = account.client("iam")
        key = account.user("u")

        def last(access_key=key[0]):
            return iam.get_access_key_last_used(AccessKeyId=access_key)["AccessKeyLastUsed"]

        assert last() == {"ServiceName": "N/A", "Region": "N/A"}
        assert code_of(account.client("s3", key[0], "wrong-secret-0123456789").list_buckets) == (403, "SignatureDoesNotMatch")
        assert last() == {"ServiceName": "N/A", "Region": "N/A"}, "nobody with the secret used it"
        before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        assert code_of(account.client("s3", *key).list_buckets) == (403, "AccessDenied")
        used = last()
        assert (used["ServiceName"], used["Region"]) == ("s3", REGION)
        assert before <= used["LastUsedDate"] <= datetime.datetime.now(datetime.timezone.utc)
        server.stop()
        server.start()
        assert last() == used
        iam.delete_access_key(UserName="u", AccessKeyId=key[0])
        assert code_of(iam.get_access_key_last_used, AccessKeyId=key[0]) == (404, "NoSuchEntity")
    finally:
        server.kill()


def test_inline_policies_are_kept_as_they_were_written(account):
    iam = account.client("iam")
    iam.create_user(UserName="u")
    text = {"Version": "2012-10-17", "Statement": {"Sid": "ünï", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    text["Statement"].pop("Sid")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(text))
    assert iam.get_user_policy(UserName="u", PolicyName="p")["PolicyDocument"] == text
    assert iam.list_user_policies(UserName="u")["PolicyNames"] == ["p"]
    for bad in ("", "[]", "{}", policy("nonsense"), json.dumps({**text, "Version": "2011-01-01"})):
        status, code = code_of(iam.put_user_policy, UserName="u", PolicyName="p", PolicyDocument=bad or " ")
        assert (status, code) == (400, "MalformedPolicyDocument"), bad
    long = policy(["s3:GetObject"] * 200)
    assert code_of(iam.put_user_policy, UserName="u", PolicyName="q", PolicyDocument=long) == (409, "LimitExceeded")
    spaced = policy("s3:GetObject").replace(" ", " " * 1000)
    assert code_of(iam.put_user_policy, UserName="u", PolicyName="q", PolicyDocument=spaced) == (409, "LimitExceeded")
    assert code_of(iam.delete_user, UserName="u") == (409, "DeleteConflict")
    iam.delete_user_policy(UserName="u", PolicyName="p")
    assert code_of(iam.get_user_policy, UserName="u", PolicyName="p") == (404, "NoSuchEntity")


def test_managed_policies_and_their_versions(account):
    iam = account.client("iam")
    made = iam.create_policy(PolicyName="read", PolicyDocument=policy("iam:Get*"), Description="reads")["Policy"]
    arn = made["Arn"]
    assert (arn, made["DefaultVersionId"]) == (f"arn:aws:iam::{account.id}:policy/read", "v1")
    assert code_of(iam.create_policy, PolicyName="READ", PolicyDocument=policy("s3:*")) == (409, "EntityAlreadyExists")
    key = account.user("ann")
    assert code_of(account.client("iam", *key).get_user) == (403, "AccessDenied")
    iam.attach_user_policy(UserName="ann", PolicyArn=arn)
    assert account.client("iam", *key).get_user()["User"]["UserName"] == "ann"
    for number in range(2, 6):
        version = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=policy("iam:List*"), SetAsDefault=number == 5)["PolicyVersion"]
        assert version["VersionId"] == f"v{number}"
    assert code_of(account.client("iam", *key).get_user) == (403, "AccessDenied")
    assert code_of(iam.create_policy_version, PolicyArn=arn, PolicyDocument=policy("s3:*")) == (409, "LimitExceeded")
    assert code_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v5") == (409, "DeleteConflict")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert account.client("iam", *key).get_user()["User"]["UserName"] == "ann"
    for number in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    next_one = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"))["PolicyVersion"]
    assert next_one["VersionId"] == "v6"
    iam.delete_policy_version(PolicyArn=arn, VersionId="v6")
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]["Version"] == "2012-10-17"
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == "ann"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert code_of(iam.delete_policy, PolicyArn=arn) == (409, "DeleteConflict")
    iam.detach_user_policy(UserName="ann", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    assert code_of(iam.get_policy, PolicyArn=arn) == (404, "NoSuchEntity")
    names = [one["PolicyName"] for one in iam.list_policies(Scope="AWS")["Policies"]]
    assert "AmazonS3ReadOnlyAccess" in names
    assert code_of(iam.attach_user_policy, UserName="ann", PolicyArn=arn) == (404, "NoSuchEntity")


def test_groups_give_their_policies_to_their_members(account):
    iam = account.client("iam")
    key = account.user("ann")
    group = iam.create_group(GroupName="Team")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{account.id}:group/Team"
    iam.put_group_policy(GroupName="team", PolicyName="p", PolicyDocument=policy("iam:GetUser"))
    assert code_of(account.client("iam", *key).get_user) == (403, "AccessDenied")
    iam.add_user_to_group(GroupName="Team", UserName="ann")
    assert account.client("iam", *key).get_user()["User"]["UserName"] == "ann"
    iam.update_group(GroupName="Team", NewGroupName="crew")
    assert [user["UserName"] for user in iam.get_group(GroupName="crew")["Users"]] == ["ann"]
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName="ann")["Groups"]] == ["crew"]
    assert code_of(iam.delete_group, GroupName="crew") == (409, "DeleteConflict")
    iam.remove_user_from_group(GroupName="crew", UserName="ann")
    assert code_of(account.client("iam", *key).get_user) == (403, "AccessDenied")
    iam.delete_group_policy(GroupName="crew", PolicyName="p")
    iam.delete_group(GroupName="crew")
    assert iam.list_groups()["Groups"] == []


def test_accounts_do_not_see_each_other(server, account):
    other = json.loads(server.admin("user", "add", f"account-{next(_numbers)}", "--json"))
    stranger = client(server, "iam", other["key"]["access_key"], other["key"]["secret_key"])
    account.user("ann")
    assert code_of(stranger.get_user, UserName="ann") == (404, "NoSuchEntity")
    assert stranger.list_users()["Users"] == []
    arn = account.client("iam").create_policy(PolicyName="p", PolicyDocument=policy("s3:*"))["Policy"]["Arn"]
    stranger.create_user(UserName="eve")
    assert code_of(stranger.attach_user_policy, UserName="eve", PolicyArn=arn) == (404, "NoSuchEntity")
    assert code_of(stranger.get_policy, PolicyArn=arn) == (404, "NoSuchEntity")
    key = account.client("iam").list_access_keys(UserName="ann")["AccessKeyMetadata"][0]["AccessKeyId"]
    assert code_of(stranger.get_access_key_last_used, AccessKeyId=key) == (404, "NoSuchEntity")


def test_a_user_is_allowed_what_its_policies_name(account):
    key = account.user("ann")
    iam, own = account.client("iam"), account.client("iam", *key)
    assert code_of(own.create_user, UserName="eve") == (403, "AccessDenied")
    assert code_of(own.get_user, UserName="nobody") == (403, "AccessDenied")
    text = policy(["iam:CreateUser", "iam:GetUser"], f"arn:aws:iam::{account.id}:user/sub/*")
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=text)
    assert code_of(own.create_user, UserName="eve") == (403, "AccessDenied")
    assert own.create_user(UserName="eve", Path="/sub/")["User"]["UserName"] == "eve"
    deny = policy("iam:*", effect="Deny", Condition={"StringEquals": {"aws:username": "ann"}})
    iam.put_user_policy(UserName="ann", PolicyName="q", PolicyDocument=deny)
    assert code_of(own.get_user, UserName="eve") == (403, "AccessDenied")


def test_spoofed_condition_keys(account):
    """A parameter that an action does not have pleases no condition."""
    key = account.user("ann")
    text = policy("iam:*", Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}})
    account.client("iam").put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=text)
    own = account.client("iam", *key)

    def add(params, **_):
        params["body"]["PolicyArn"] = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

    own.meta.events.register("before-call.iam.CreateUser", add)
    assert code_of(own.create_user, UserName="eve") == (403, "AccessDenied")
    own.attach_user_policy(UserName="ann", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    refused = code_of(own.attach_user_policy, UserName="ann", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    assert refused == (403, "AccessDenied")


def test_tags_and_boundaries_bound_an_administrator(account):
    key, iam = account.user("admin"), account.client("iam")
    least = iam.create_policy(PolicyName="least", PolicyDocument=policy("s3:GetObject"))["Policy"]["Arn"]
    red = {"StringEquals": {"aws:RequestTag/team": "red"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "shift"]}}
    own = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}", "iam:ResourceTag/team": "red"},
           "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}, "Bool": {"aws:SecureTransport": "false"}}
    statements = [
        (["iam:CreateUser"], {}), (["iam:TagUser"], red), (["iam:GetUser", "iam:DeleteUser"], own),
        (["iam:UntagUser"], {"ForAllValues:StringEquals": {"aws:TagKeys": ["shift"]}}),
        (["iam:AttachUserPolicy"], {"StringEquals": {"iam:PermissionsBoundary": least}})]
    iam.put_user_policy(UserName="admin", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition} for action, condition in statements]}))
    iam.tag_user(UserName="admin", Tags=[{"Key": "team", "Value": "red"}])
    admin, denied = account.client("iam", *key), (403, "AccessDenied")

    def team(name, **more):
        return {"Tags": [{"Key": tag, "Value": value} for tag, value in {"team": name, **more}.items()]}

    # A user that is made with tags needs the permission to tag.
    assert code_of(admin.create_user, UserName="a", **team("blue")) == denied
    assert code_of(admin.create_user, UserName="a", **team("red", rank="1")) == denied
    admin.create_user(UserName="a", **team("red", shift="late"))
    admin.create_user(UserName="b")
    assert code_of(admin.tag_user, UserName="b", **team("blue")) == denied
    assert code_of(admin.get_user, UserName="b") == denied
    admin.tag_user(UserName="b", **team("red"))
    assert admin.get_user(UserName="b")["User"]["Tags"] == team("red")["Tags"]
    assert code_of(admin.untag_user, UserName="a", TagKeys=["shift", "team"]) == denied
    admin.untag_user(UserName="a", TagKeys=["shift"])
    attach = {"UserName": "a", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    assert code_of(admin.attach_user_policy, **attach) == denied
    iam.put_user_permissions_boundary(UserName="a", PermissionsBoundary=least)
    admin.attach_user_policy(**attach)
    iam.tag_user(UserName="b", **team("blue"))
    assert code_of(admin.delete_user, UserName="b") == denied


def test_a_boundary_narrows(account):
    iam = account.client("iam")
    key = account.user("ann")
    bound = iam.create_policy(PolicyName="bound", PolicyDocument=policy("iam:Get*"))["Policy"]["Arn"]
    iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=policy("*"))
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=bound)
    own = account.client("iam", *key)
    assert own.get_user()["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == bound
    assert code_of(own.create_user, UserName="eve") == (403, "AccessDenied")
    assert code_of(iam.delete_policy, PolicyArn=bound) == (409, "DeleteConflict")
    iam.delete_user_permissions_boundary(UserName="ann")
    own.create_user(UserName="eve")


def test_requests_that_are_not_signed_rightly(server, account):
    wrong = client(server, "iam", account.key[0], "not-the-secret-key")
    assert code_of(wrong.list_users) == (403, "SignatureDoesNotMatch")
    assert code_of(client(server, "iam", "AKIANOBODY", "not-the-secret-key").list_users) == (403, "InvalidClientTokenId")
    changed = account.client("iam")
    changed.meta.events.register(
        "before-send.iam.ListUsers", lambda request, **_: setattr(request, "body", request.body.replace("ListUsers", "ListRoles")))
    assert code_of(changed.list_users) == (403, "SignatureDoesNotMatch")


def test_an_s3_signature_opens_no_other_service(server, account):
    """A signature is right for the service it was made for only."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    body = "Action=ListUsers&Version=2010-05-08"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = {}
    for service in ("iam", "sts", "s3"):
        request = AWSRequest("POST", server.endpoint + "/", headers=dict(headers), data=body)
        SigV4Auth(Credentials(*account.key), service, REGION).add_auth(request)
        answers[service] = URLLib3Session().send(request.prepare()).status_code
    assert answers["iam"] == 200
    assert answers["sts"] == 400 and answers["s3"] == 400


def test_secrets_in_logs(fresh_server):
    """Neither the log nor what lies on the drives shows a secret."""
    fresh_server.stop()
    fresh_server.settings["GRANARY_LOG"] = "trace"
    fresh_server.start()
    secret = "swordfish-0123456789-swordfish"
    fresh_server.admin("user", "add", "ann", "--access-key", "AKANN", "--secret-key", secret)
    iam = client(fresh_server, "iam", "AKANN", secret)
    iam.create_user(UserName="u")
    made = iam.create_access_key(UserName="u")["AccessKey"]["SecretAccessKey"]
    sts = client(fresh_server, "sts", "AKANN", secret).get_session_token()["Credentials"]
    fresh_server.stop()
    needles = [text.encode() for text in (secret, made, sts["SecretAccessKey"], SECRET_KEY)]
    files = [fresh_server.log_path] + [path for drive in fresh_server.drives for path in drive.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path
    fresh_server.start()
    assert client(fresh_server, "iam", "AKANN", secret).get_user(UserName="u")["User"]["UserName"] == "u"


def test_a_new_root_secret_opens_the_old_secrets_once_it_is_told_the_one_before(fresh_server):
    import harness

    fresh_server.admin("user", "add", "ann", "--access-key", "AKANN", "--secret-key", "swordfish-of-ann")
    fresh_server.stop()
    before = harness.SECRET_KEY
    try:
        harness.SECRET_KEY = "another-root-secret-key-0123456789"
        with pytest.raises(AssertionError, match="GRANARY_PREVIOUS_ROOT_SECRET_KEY"):
            fresh_server.start()
        fresh_server.settings["GRANARY_PREVIOUS_ROOT_SECRET_KEY"] = before
        fresh_server.start()
        fresh_server.stop()
        del fresh_server.settings["GRANARY_PREVIOUS_ROOT_SECRET_KEY"]
        fresh_server.start()
        assert client(fresh_server, "iam", "AKANN", "swordfish-of-ann").get_user()["User"]["UserName"] == "ann"
    finally:
        harness.SECRET_KEY = before


def test_the_operators_commands(server):
    name = f"op-{next(_numbers)}"
    made = json.loads(server.admin("user", "add", name, "--access-key", f"AK{name}", "--secret-key", "swordfish1",
                                   "--display-name", "Op", "--email", f"{name}@example.com", "--json"))
    user = made["users"][0]
    assert made["key"] == {"access_key": f"AK{name}", "secret_key": "swordfish1"}
    assert len(user["account_id"]) == 12 and len(user["canonical_id"]) == 64
    assert name in server.admin("user", "list")
    in_account = ["--account", user["account_id"]]
    sub = json.loads(server.admin("user", "add", "sub", *in_account, "--json"))
    key = (sub["key"]["access_key"], sub["key"]["secret_key"])
    assert code_of(client(server, "iam", *key).get_user) == (403, "AccessDenied")
    file = server.root / f"{name}.json"
    file.write_text(policy("iam:GetUser"))
    server.admin("policy", "set", "sub", *in_account, "--policy", "p", "--file", file)
    assert client(server, "iam", *key).get_user()["User"]["UserName"] == "sub"
    server.admin("policy", "attach", "sub", *in_account, "--arn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert json.loads(server.admin("policy", "list", "sub", *in_account, "--json")) == [
        "p", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
    server.admin("key", "disable", key[0])
    assert "disabled" in server.admin("key", "list", "sub", *in_account)
    assert code_of(client(server, "iam", *key).get_user) == (403, "InvalidClientTokenId")
    server.admin("key", "enable", key[0])
    assert client(server, "iam", *key).get_user()["User"]["UserName"] == "sub"
    server.admin("user", "remove", "sub", *in_account)
    assert code_of(client(server, "iam", *key).get_user) == (403, "InvalidClientTokenId")
    server.admin("user", "remove", name)
    assert code_of(client(server, "iam", f"AK{name}", "swordfish1").get_user) == (403, "InvalidClientTokenId")


def test_the_cli(account):
    env = account.server.client_env() | {"AWS_ACCESS_KEY_ID": account.key[0], "AWS_SECRET_ACCESS_KEY": account.key[1]}

    def aws(*words):
        out = run([program("aws"), *words, "--output", "json"], env=env)
        return json.loads(out) if out.strip() else None

    assert aws("sts", "get-caller-identity")["Arn"] == f"arn:aws:iam::{account.id}:root"
    aws("iam", "create-user", "--user-name", "ann")
    aws("iam", "attach-user-policy", "--user-name", "ann", "--policy-arn", "arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    key = aws("iam", "create-access-key", "--user-name", "ann")["AccessKey"]
    env |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert aws("iam", "get-user")["User"]["UserName"] == "ann"


def test_identities_survive_a_crash(fresh_server):
    made = json.loads(fresh_server.admin("user", "add", "ann", "--json"))
    key = (made["key"]["access_key"], made["key"]["secret_key"])
    client(fresh_server, "iam", *key).create_user(UserName="u")
    fresh_server.kill()
    fresh_server.start()
    assert client(fresh_server, "iam", *key).get_user(UserName="u")["User"]["UserName"] == "u"


def test_what_is_not_there_says_so(account):
    iam = account.client("iam")
    assert code_of(iam.create_instance_profile, InstanceProfileName="x") == (501, "NotImplemented")
    assert code_of(account.client("sts").get_federation_token, Name="xx") == (501, "NotImplemented")
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    # What Terraform asks for before it deletes a role or a user.
    assert code_of(iam.list_instance_profiles_for_role, RoleName="r") == (404, "NoSuchEntity")
    trust = {"Effect": "Allow", "Principal": {"AWS": account.id}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []
    assert code_of(iam.list_ssh_public_keys, UserName="u") == (404, "NoSuchEntity")
    user = account.client("iam", *account.user("u"))
    assert code_of(user.list_mfa_devices) == (403, "AccessDenied")
    for call, member in [("list_ssh_public_keys", "SSHPublicKeys"), ("list_mfa_devices", "MFADevices"),
                         ("list_signing_certificates", "Certificates"),
                         ("list_service_specific_credentials", "ServiceSpecificCredentials")]:
        assert getattr(iam, call)(UserName="u")[member] == [], call
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert code_of(iam.delete_login_profile, UserName="u") == (404, "NoSuchEntity")
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["Users"], summary["UsersQuota"]) == (1, 5000)


def test_every_command_of_the_page_about_identities_prints_what_the_page_says(account, tmp_path):
    program("aws")
    env = account.server.client_env() | {"AWS_ACCESS_KEY_ID": account.key[0], "AWS_SECRET_ACCESS_KEY": account.key[1]}
    walk("identity.md", env=env, cwd=tmp_path)
