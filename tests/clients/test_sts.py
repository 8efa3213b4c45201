"""Temporary credentials: roles, sessions, and what they must never become."""

import base64
import json

import pytest

from test_iam import Account, account, client, code_of, policy, server  # noqa: F401


def trust(principal, **more):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def session_client(server, service, credentials):
    return client(server, service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


def role(account, name="r", action="iam:Get*", principal="u"):
    """A role that a user of the account may assume, and its ARN."""
    iam = account.client("iam")
    arn = f"arn:aws:iam::{account.id}:user/{principal}"
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(arn), Description="d")["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(action))
    return made["Arn"]


def test_roles_come_and_go(account):
    account.user("u")
    arn = role(account)
    iam = account.client("iam")
    found = iam.get_role(RoleName="R")["Role"]
    assert (found["Arn"], found["MaxSessionDuration"], found["Description"]) == (arn, 3600, "d")
    assert found["AssumeRolePolicyDocument"]["Statement"][0]["Action"] == "sts:AssumeRole"
    iam.update_role(RoleName="r", Description="", MaxSessionDuration=7200)
    found = iam.get_role(RoleName="r")["Role"]
    assert found["MaxSessionDuration"] == 7200 and "Description" not in found
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(account.id))
    bad = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
    refused = code_of(iam.create_role, RoleName="x", AssumeRolePolicyDocument=json.dumps(bad))
    assert refused == (400, "MalformedPolicyDocument")
    assert code_of(iam.create_role, RoleName="R", AssumeRolePolicyDocument=trust(account.id)) == (409, "EntityAlreadyExists")
    assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == ["r"]
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert code_of(iam.delete_role, RoleName="r") == (409, "DeleteConflict")
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.detach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam.delete_role(RoleName="r")
    assert code_of(iam.get_role, RoleName="r") == (404, "NoSuchEntity")


def test_who_is_trusted_assumes_the_role(account):
    key = account.user("u")
    arn = role(account)
    sts = account.client("sts", *key)
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="ses")
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account.id}:assumed-role/r/ses"
    held = session_client(account.server, "sts", answer["Credentials"]).get_caller_identity()
    assert held["Arn"] == answer["AssumedRoleUser"]["Arn"] and held["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    iam = session_client(account.server, "iam", answer["Credentials"])
    assert iam.get_user(UserName="u")["User"]["UserName"] == "u"
    assert code_of(iam.create_user, UserName="x") == (403, "AccessDenied")
    account.client("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy("iam:List*"))
    assert code_of(iam.get_user, UserName="u") == (403, "AccessDenied")


def test_who_is_not_trusted_does_not(account):
    account.user("u")
    arn = role(account)
    eve = account.user("eve")
    assert code_of(account.client("sts", *eve).assume_role, RoleArn=arn, RoleSessionName="ses") == (403, "AccessDenied")
    account.client("iam").put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=policy("sts:*"))
    assert code_of(account.client("sts", *eve).assume_role, RoleArn=arn, RoleSessionName="ses") == (403, "AccessDenied")
    nobody = arn.replace("role/r", "role/none")
    assert code_of(account.client("sts", *eve).assume_role, RoleArn=nobody, RoleSessionName="ses") == (403, "AccessDenied")
    assert code_of(account.client("sts").assume_role, RoleArn=arn, RoleSessionName="ses") == (403, "AccessDenied")
    # An account that is trusted lets in whom its own policies let.
    account.client("iam").update_assume_role_policy(RoleName="r", PolicyDocument=trust(account.id))
    assert account.client("sts", *eve).assume_role(RoleArn=arn, RoleSessionName="ses")["Credentials"]
    account.client("iam").delete_user_policy(UserName="eve", PolicyName="p")
    assert code_of(account.client("sts", *eve).assume_role, RoleArn=arn, RoleSessionName="ses") == (403, "AccessDenied")


def test_another_account_needs_its_own_permission_too(server, account):
    made = json.loads(server.admin("user", "add", f"{account.name}-other", "--json"))
    other = Account(server, made["users"][0], made["key"])
    key = other.user("ann")
    iam = account.client("iam")
    text = trust(f"arn:aws:iam::{other.id}:user/ann", Condition={"StringEquals": {"sts:ExternalId": "42"}})
    arn = iam.create_role(RoleName="r", AssumeRolePolicyDocument=text)["Role"]["Arn"]
    sts = other.client("sts", *key)
    wanted = {"RoleArn": arn, "RoleSessionName": "ses", "ExternalId": "42"}
    assert code_of(sts.assume_role, **wanted) == (403, "AccessDenied")
    other.client("iam").put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy("sts:AssumeRole", arn))
    assert sts.assume_role(**wanted)["Credentials"]
    assert code_of(sts.assume_role, RoleArn=arn, RoleSessionName="ses") == (403, "AccessDenied")


def test_session_policies_that_widen(account):
    key = account.user("u")
    arn = role(account)
    sts = account.client("sts", *key)
    wide = sts.assume_role(RoleArn=arn, RoleSessionName="ses", Policy=policy("*"))["Credentials"]
    iam = session_client(account.server, "iam", wide)
    assert iam.get_user(UserName="u")["User"]["UserName"] == "u"
    assert code_of(iam.create_user, UserName="x") == (403, "AccessDenied")
    narrow = sts.assume_role(RoleArn=arn, RoleSessionName="ses", Policy=policy("iam:GetRole"))["Credentials"]
    assert code_of(session_client(account.server, "iam", narrow).get_user, UserName="u") == (403, "AccessDenied")
    named = sts.assume_role(
        RoleArn=arn, RoleSessionName="ses", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}])
    named = session_client(account.server, "iam", named["Credentials"])
    assert code_of(named.get_user, UserName="u") == (403, "AccessDenied")
    assert code_of(sts.assume_role, RoleArn=arn, RoleSessionName="ses", Policy="{}") == (400, "MalformedPolicyDocument")


def test_service_keys_that_outgrow_their_parent(account):
    """A session of a user makes no keys, no users and no other session of its own."""
    key = account.user("u")
    account.client("iam").put_user_policy(UserName="u", PolicyName="all", PolicyDocument=policy("*"))
    for parent in (key, account.key):
        held = account.client("sts", *parent).get_session_token()["Credentials"]
        iam = session_client(account.server, "iam", held)
        assert code_of(iam.create_access_key) == (403, "AccessDenied")
        assert code_of(iam.create_access_key, UserName="u") == (403, "AccessDenied")
        assert code_of(iam.put_user_policy, UserName="u", PolicyName="x", PolicyDocument=policy("*")) == (403, "AccessDenied")
        assert code_of(session_client(account.server, "sts", held).get_session_token) == (403, "AccessDenied")
        whoami = session_client(account.server, "sts", held).get_caller_identity()["Arn"]
        assert whoami == account.client("sts", *parent).get_caller_identity()["Arn"]


def test_sessions_end_with_the_key_they_were_made_with(account):
    key = account.user("u")
    iam, arn = account.client("iam"), role(account)
    sts = account.client("sts", *key)
    sessions = [sts.get_session_token()["Credentials"], sts.assume_role(RoleArn=arn, RoleSessionName="ses")["Credentials"]]
    held = [session_client(account.server, "sts", one) for one in sessions]
    for one in held:
        one.get_caller_identity()
    iam.update_access_key(UserName="u", AccessKeyId=key[0], Status="Inactive")
    for one in held:
        assert code_of(one.get_caller_identity) == (403, "InvalidClientTokenId")
    iam.update_access_key(UserName="u", AccessKeyId=key[0], Status="Active")
    for one in held:
        one.get_caller_identity()
    iam.delete_access_key(UserName="u", AccessKeyId=key[0])
    for one in held:
        assert code_of(one.get_caller_identity) == (403, "InvalidClientTokenId")


def test_sessions_end_with_the_role_they_are_of(account):
    key = account.user("u")
    arn = role(account)
    held = account.client("sts", *key).assume_role(RoleArn=arn, RoleSessionName="ses")["Credentials"]
    iam = account.client("iam")
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.delete_role(RoleName="r")
    role(account, action="*")
    assert code_of(session_client(account.server, "sts", held).get_caller_identity) == (403, "InvalidClientTokenId")


def test_token_of_another_key(account):
    one, two = account.user("one"), account.user("two")
    first = account.client("sts", *one).get_session_token()["Credentials"]
    second = account.client("sts", *two).get_session_token()["Credentials"]
    mixed = first | {"SessionToken": second["SessionToken"]}
    assert code_of(session_client(account.server, "sts", mixed).get_caller_identity) == (403, "InvalidClientTokenId")
    assert code_of(session_client(account.server, "s3", mixed).list_buckets) == (400, "InvalidToken")
    on_long_term = {"AccessKeyId": one[0], "SecretAccessKey": one[1], "SessionToken": first["SessionToken"]}
    assert code_of(session_client(account.server, "s3", on_long_term).list_buckets) == (400, "InvalidToken")
    without = client(account.server, "s3", first["AccessKeyId"], first["SecretAccessKey"])
    assert code_of(without.list_buckets) == (403, "InvalidAccessKeyId")


def test_a_changed_token_is_none(account):
    key = account.user("u")
    held = account.client("sts", *key).get_session_token()["Credentials"]
    text = held["SessionToken"]
    for at in range(0, len(text), len(text) // 16):
        other = "A" if text[at] != "A" else "B"
        changed = held | {"SessionToken": text[:at] + other + text[at + 1:]}
        assert code_of(session_client(account.server, "s3", changed).list_buckets) == (400, "InvalidToken")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert held["SecretAccessKey"].encode() not in raw


def test_presigned_urls_carry_the_token(account):
    import urllib.error
    import urllib.request

    key = account.user("u")
    held = account.client("sts", *key).get_session_token()["Credentials"]
    s3 = session_client(account.server, "s3", held)
    url = s3.generate_presigned_url("list_buckets")
    assert "X-Amz-Security-Token" in url or "x-amz-security-token" in url
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    # The user has no permission, which is found out after the signature.
    assert refused.value.code == 403 and b"AccessDenied" in refused.value.read()


def test_durations_have_bounds(account):
    key = account.user("u")
    arn = role(account)
    sts = account.client("sts", *key)
    too_long = {"RoleArn": arn, "RoleSessionName": "ses", "DurationSeconds": 7200}
    assert code_of(sts.assume_role, **too_long) == (400, "ValidationError")
    account.client("iam").update_role(RoleName="r", MaxSessionDuration=7200)
    assert sts.assume_role(**too_long)["Credentials"]


def test_the_root_of_the_store_is_nobodys_role(server):
    sts = client(server, "sts")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    held = sts.get_session_token()["Credentials"]
    # A session of the store's root is one of its account, and no longer over all accounts.
    answer = session_client(server, "sts", held).get_caller_identity()
    assert answer["Account"] == "000000000000"
