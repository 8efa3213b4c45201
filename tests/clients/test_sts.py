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


MARKS = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def tags(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def bucket_of(account):
    name = f"{account.name}-marks"
    account.client("s3").create_bucket(Bucket=name)
    return name


def put(account, credentials, bucket, key):
    session_client(account.server, "s3", credentials).put_object(Bucket=bucket, Key=key, Body=b"k")


def test_session_tags_need_permission_and_stand_for_variables(account):
    key, bucket, iam = account.user("u"), bucket_of(account), account.client("iam")
    arn, sts = role(account), account.client("sts", *key)
    iam.tag_role(RoleName="r", Tags=tags(Team="blue"))
    iam.tag_user(UserName="u", Tags=tags(Team="green"))
    own_team = policy("s3:PutObject", f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/Team}}/*")
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=own_team)
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=own_team)
    assume = {"RoleArn": arn, "RoleSessionName": "ses"}
    assert code_of(sts.assume_role, **assume, Tags=tags(Team="red")) == (403, "AccessDenied")
    user = {"AWS": f"arn:aws:iam::{account.id}:user/u"}
    only = {"StringEquals": {"aws:RequestTag/Team": ["red", "blue"]}, "ForAllValues:StringEquals": {
        "aws:TagKeys": ["Team", "team", "Shift"], "sts:TransitiveTagKeys": ["team"]}}
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": user, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": user, "Action": "sts:TagSession", "Condition": only}]}))
    for refused in [{"Tags": tags(Team="green")}, {"Tags": tags(Team="red", Rank="1")}, {"Tags": tags(Shift="late")},
                    {"Tags": tags(team="red", Shift="late"), "TransitiveTagKeys": ["Shift"]}]:
        assert code_of(sts.assume_role, **assume, **refused) == (403, "AccessDenied"), refused
    answer = sts.assume_role(**assume, Tags=tags(team="red", Shift="late"), TransitiveTagKeys=["team"])
    assert 1 <= answer["PackedPolicySize"] <= 5 and "SourceIdentity" not in answer
    plain = sts.assume_role(**assume)
    assert "PackedPolicySize" not in plain
    sessions = {"red": answer, "blue": plain, "green": sts.get_session_token()}
    for team, made in sessions.items():
        for folder in sessions:
            if folder == team:
                put(account, made["Credentials"], bucket, f"{folder}/k")
            else:
                assert code_of(put, account, made["Credentials"], bucket, f"{folder}/k") == (403, "AccessDenied")


def test_a_chain_keeps_its_transitive_tags_and_its_source_identity(account):
    key, bucket, iam = account.user("u"), bucket_of(account), account.client("iam")
    one, two = role(account, "one", action="sts:*"), role(account, "two")
    iam.update_assume_role_policy(RoleName="one", PolicyDocument=trust(f"arn:aws:iam::{account.id}:user/u", Action=MARKS))
    iam.put_role_policy(RoleName="two", PolicyName="p", PolicyDocument=policy("s3:PutObject", [
        f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/Team}}/${{aws:SourceIdentity}}/*",
        f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/Shift}}/*"]))
    first = account.client("sts", *key).assume_role(
        RoleArn=one, RoleSessionName="ses", Tags=tags(Team="red", Shift="late"), TransitiveTagKeys=["TEAM"], SourceIdentity="ann")
    assert first["SourceIdentity"] == "ann"
    sts, assume = session_client(account.server, "sts", first["Credentials"]), {"RoleArn": two, "RoleSessionName": "ses"}
    # What is inherited needs the permissions as well.
    for lacking in MARKS:
        iam.update_assume_role_policy(RoleName="two", PolicyDocument=trust(one, Action=[action for action in MARKS if action != lacking]))
        assert code_of(sts.assume_role, **assume) == (403, "AccessDenied"), lacking
    known = {"StringEquals": {"aws:SourceIdentity": "ann", "sts:SourceIdentity": "ann", "aws:PrincipalTag/Shift": "late"}}
    iam.update_assume_role_policy(RoleName="two", PolicyDocument=trust(one, Action=MARKS, Condition=known))
    assert code_of(sts.assume_role, **assume, Tags=tags(team="blue")) == (400, "InvalidParameterValue")
    assert code_of(sts.assume_role, **assume, SourceIdentity="bob") == (400, "ValidationError")
    second = sts.assume_role(**assume, SourceIdentity="ann")
    assert second["SourceIdentity"] == "ann" and second["PackedPolicySize"] >= 1
    put(account, second["Credentials"], bucket, "red/ann/k")
    for elsewhere in ["red/bob/k", "blue/ann/k", "late/k"]:
        assert code_of(put, account, second["Credentials"], bucket, elsewhere) == (403, "AccessDenied"), elsewhere


def test_marks_that_are_none(account):
    key, iam = account.user("u"), account.client("iam")
    arn, sts = role(account), account.client("sts", *key)
    named = {"StringEquals": {"sts:SourceIdentity": "ann"}}
    iam.update_assume_role_policy(
        RoleName="r", PolicyDocument=trust(f"arn:aws:iam::{account.id}:user/u", Action=MARKS, Condition=named))
    assume = {"RoleArn": arn, "RoleSessionName": "ses"}
    for source in [{}, {"SourceIdentity": "bob"}]:
        assert code_of(sts.assume_role, **assume, **source) == (403, "AccessDenied"), source
    assume["SourceIdentity"] = "ann"
    assert sts.assume_role(**assume)["SourceIdentity"] == "ann"
    many = {f"key{number}": "v" * 256 for number in range(51)}
    for refused, code in [
        ({"Tags": tags(**many)}, "ValidationError"),
        ({"Tags": tags(**dict(list(many.items())[:50]))}, "PackedPolicyTooLarge"),
        ({"Tags": tags(**{"aws:k": "v"})}, "ValidationError"),
        ({"Tags": tags(k="*")}, "ValidationError"),
        ({"Tags": tags(**{"k" * 129: "v"})}, "ValidationError"),
        ({"Tags": tags(k="v", K="v")}, "InvalidParameterValue"),
        ({"Tags": tags(k="v"), "TransitiveTagKeys": ["l"]}, "InvalidParameterValue"),
        ({"SourceIdentity": "a b"}, "ValidationError"),
    ]:
        assert code_of(sts.assume_role, **assume | refused) == (400, code), refused


def test_the_root_of_the_store_is_nobodys_role(server):
    sts = client(server, "sts")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    held = sts.get_session_token()["Credentials"]
    # A session of the store's root is one of its account, and no longer over all accounts.
    answer = session_client(server, "sts", held).get_caller_identity()
    assert answer["Account"] == "000000000000"
