"""Uploads by browsers' forms: boto3 makes the policies, and the forms are sent as a browser would."""

import base64
import datetime
import hashlib
import hmac
import json
import uuid

import pytest

from harness import ACCESS_KEY, SECRET_KEY, seeded_bytes
from test_protocol import Answer, connection


def encode(fields, file=None, file_name="a.txt"):
    """A body of multipart/form-data and its type."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields]
    if file is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="{file_name}"\r\nContent-Type: text/html\r\n\r\n'
        parts += [f"--{boundary}\r\n{head}".encode(), file, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def post(server, bucket, fields, file=b"content", file_name="a.txt", headers=()):
    body, content_type = encode(list(fields), file, file_name)
    link = connection(server)
    link.request("POST", f"/{bucket}", body=body, headers={"Content-Type": content_type, **dict(headers)})
    answer = Answer(link.getresponse())
    link.close()
    return answer


def policy_of(bucket, conditions, seconds=600):
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    document = {"expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [{"bucket": bucket}, *conditions]}
    return base64.b64encode(json.dumps(document).encode()).decode()


def signed_v2(policy):
    signature = hmac.new(SECRET_KEY.encode(), policy.encode(), hashlib.sha1).digest()
    return [("AWSAccessKeyId", ACCESS_KEY), ("policy", policy), ("signature", base64.b64encode(signature).decode())]


def presigned(client, bucket, key="user/${filename}", fields=None, conditions=None):
    return client.generate_presigned_post(bucket, key, Fields=fields, Conditions=conditions)["fields"]


@pytest.fixture
def client(server):
    # Without this, boto3 signs forms with version 2.
    return server.boto3(signature_version="s3v4")


def test_a_form_as_boto3_makes_it_by_default_uploads(server, bucket):
    form = presigned(server.boto3(), bucket, "k")
    assert post(server, bucket, form.items()).status == 204


def test_a_form_of_boto3_uploads(server, bucket, client):
    fields = {"Content-Type": "text/plain", "x-amz-meta-who": "me", "acl": "bucket-owner-full-control", "x-amz-storage-class": "STANDARD_IA"}
    conditions = [{name: value} for name, value in fields.items()]
    form = presigned(client, bucket, fields=fields, conditions=conditions)
    answer = post(server, bucket, form.items(), b"hello", "../x/hello.txt")
    assert answer.status == 204 and answer.body == b"", answer.body
    found = client.get_object(Bucket=bucket, Key="user/hello.txt")
    assert found["Body"].read() == b"hello"
    assert answer.headers["etag"] == found["ETag"]
    assert answer.headers["location"] == f"{server.endpoint}/{bucket}/user/hello.txt"
    assert (found["ContentType"], found["Metadata"], found["StorageClass"]) == ("text/plain", {"who": "me"}, "STANDARD_IA")


@pytest.mark.parametrize("length", [0, 1, 131_071, 131_072, 131_073, 5_000_000])
def test_files_of_all_sizes_come_back_whole(server, bucket, client, length):
    file = seeded_bytes(length, length)
    answer = post(server, bucket, presigned(client, bucket, "k").items(), file)
    assert answer.status == 204, answer.body
    found = client.get_object(Bucket=bucket, Key="k")
    assert found["Body"].read() == file
    assert found["ETag"] == f'"{hashlib.md5(file).hexdigest()}"'


def test_the_answer_is_what_the_form_asks_for(server, bucket, client):
    def ask(name, value):
        return post(server, bucket, presigned(client, bucket, "a key", {name: value}, [{name: value}]).items())

    assert ask("success_action_status", "200").status == 200
    created = ask("success_action_status", "201")
    assert (created.status, created.field("Key"), created.field("Bucket")) == (201, "a key", bucket)
    assert created.field("ETag").replace("&quot;", '"') == created.headers["etag"]
    assert created.field("Location") == created.headers["location"]
    assert created.headers["location"] == f"{server.endpoint}/{bucket}/a%20key"
    assert ask("success_action_status", "404").status == 204
    redirected = ask("success_action_redirect", "http://localhost/done?a=b")
    etag = redirected.headers["etag"].strip('"')
    assert redirected.status == 303
    assert redirected.headers["location"] == f"http://localhost/done?a=b&bucket={bucket}&key=a%20key&etag=%22{etag}%22"
    assert ask("success_action_redirect", "javascript:alert(1)").status == 204


def test_post_without_policy_fields_stores_nothing(server, bucket, client):
    """The weakness: a form that carries no policy, or half of one, was taken for an authorised one."""
    whole = presigned(client, bucket, "k")
    none = post(server, bucket, [("key", "k")])
    assert none.outcome == (403, "AccessDenied")
    for gone in ["policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"]:
        answer = post(server, bucket, [(name, value) for name, value in whole.items() if name != gone])
        assert answer.outcome == (400, "InvalidArgument"), (gone, answer.body)
        assert answer.field("ArgumentName").lower() == gone
    for fields in [[("policy", ""), ("signature", "")], [("policy", ""), ("AWSAccessKeyId", ""), ("signature", "")],
                   [("policy", whole["policy"]), ("AWSAccessKeyId", ACCESS_KEY), ("signature", "")]]:
        answer = post(server, bucket, [("key", "k"), *fields])
        assert answer.status in (400, 403), answer.body
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_a_form_that_was_changed_stores_nothing(server, bucket, client):
    fields = {"x-amz-meta-a": "1"}
    form = presigned(client, bucket, "k", fields, [fields, ["content-length-range", 2, 5]])

    def changed(**changes):
        return post(server, bucket, {**form, **{name.replace("_", "-"): value for name, value in changes.items()}}.items(), b"abc")

    for changes, outcome in [
        ({"key": "other"}, (403, "AccessDenied")),
        ({"x_amz_meta_a": "2"}, (403, "AccessDenied")),
        ({"x_amz_meta_b": "2"}, (403, "AccessDenied")),
        ({"acl": "public-read"}, (403, "AccessDenied")),
        ({"x_amz_signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({"policy": policy_of(bucket, [["starts-with", "$key", ""]])}, (403, "SignatureDoesNotMatch")),
        ({"x_amz_credential": form["x-amz-credential"].replace(ACCESS_KEY, "AKIANOBODY")}, (403, "InvalidAccessKeyId")),
        ({"x_amz_security_token": "x"}, (400, "InvalidToken")),
    ]:
        answer = changed(**changes)
        assert answer.outcome == outcome, (changes, answer.body)
    assert post(server, bucket, form.items(), b"a").outcome == (400, "EntityTooSmall")
    too_large = post(server, bucket, form.items(), b"abcdef")
    assert too_large.outcome == (400, "EntityTooLarge") and too_large.field("MaxSizeAllowed") == "5"
    assert post(server, bucket, form.items(), b"x" * 1_000_000).outcome == (400, "EntityTooLarge")
    twice = post(server, bucket, [*form.items(), ("key", "k2")], b"abc")
    assert twice.outcome == (400, "MalformedPOSTRequest")
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert changed().status == 204


def test_version_2_signs_forms_and_nothing_else(server, bucket, client):
    """AWS documents both versions for forms; every other request needs version 4."""
    policy = policy_of(bucket, [["starts-with", "$key", "foo"], {"acl": "bucket-owner-full-control"}])
    fields = [("key", "foo.txt"), ("acl", "bucket-owner-full-control"), *signed_v2(policy)]
    assert post(server, bucket, fields).status == 204
    assert client.get_object(Bucket=bucket, Key="foo.txt")["Body"].read() == b"content"
    wrong = [(name, value[::-1] if name == "signature" else value) for name, value in fields]
    assert post(server, bucket, wrong).outcome == (403, "SignatureDoesNotMatch")
    expired = policy_of(bucket, [["starts-with", "$key", "foo"]], seconds=-5)
    assert post(server, bucket, [("key", "foo.txt"), *signed_v2(expired)]).outcome == (403, "AccessDenied")
    link = connection(server)
    link.request("GET", f"/{bucket}", headers={"Authorization": f"AWS {ACCESS_KEY}:AAAA", "Date": "x"})
    assert Answer(link.getresponse()).status == 400
    link.close()


def test_tags_checksums_locks_and_versions_of_a_form(server, client):
    bucket = f"forms-{uuid.uuid4().hex[:10]}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1/2</Value></Tag></TagSet></Tagging>"
    sha256 = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=600)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"tagging": tagging, "x-amz-checksum-sha256": sha256, "x-amz-object-lock-mode": "GOVERNANCE",
              "x-amz-object-lock-retain-until-date": until}
    form = presigned(client, bucket, "k", fields, [{name: value} for name, value in fields.items()])
    answer = post(server, bucket, form.items())
    assert answer.status == 204, answer.body
    version = answer.headers["x-amz-version-id"]
    found = client.head_object(Bucket=bucket, Key="k", VersionId=version, ChecksumMode="ENABLED")
    assert (found["ChecksumSHA256"], found["ObjectLockMode"]) == (sha256, "GOVERNANCE")
    tags = client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a b", "Value": "1/2"}]
    assert post(server, bucket, form.items(), b"other").outcome == (400, "BadDigest")
    client.delete_object(Bucket=bucket, Key="k", VersionId=version, BypassGovernanceRetention=True)


def test_a_post_that_is_no_form_is_told_so(server, bucket):
    def send(body, content_type, headers=()):
        link = connection(server)
        link.request("POST", f"/{bucket}", body=body, headers={**({"Content-Type": content_type} if content_type else {}), **dict(headers)})
        answer = Answer(link.getresponse())
        link.close()
        return answer

    no_form = send(b"x", "text/plain")
    assert no_form.outcome == (412, "PreconditionFailed")
    assert no_form.field("Condition") == "Bucket POST must be of the enclosure-type multipart/form-data"
    assert send(b"x", None).outcome == (412, "PreconditionFailed")
    assert send(b"x", "multipart/form-data").outcome == (400, "MalformedPOSTRequest")
    assert send(b"x", "multipart/form-data; boundary=B").outcome == (400, "MalformedPOSTRequest")
    long = encode([("key", "k" * 21_000)], b"x")
    assert send(*long).outcome == (400, "MaxPostPreDataLengthExceededError")
    without_file = encode([("key", "k")])
    assert send(*without_file).outcome == (400, "InvalidArgument")
    chunked = send(iter([long[0]]), long[1], {"Transfer-Encoding": "chunked"}.items())
    assert chunked.outcome == (411, "MissingContentLength")


def test_a_form_cut_off_stores_nothing(server, bucket, client):
    form = presigned(client, bucket, "k")
    body, content_type = encode(list(form.items()), b"x" * 300_000)
    end = body.rindex(b"\r\n--")
    for length in (end, end - 100_000, end + 5):
        link = connection(server)
        link.request("POST", f"/{bucket}", body=body[:length], headers={"Content-Type": content_type})
        assert Answer(link.getresponse()).outcome == (400, "MalformedPOSTRequest")
        link.close()
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_a_form_leaves_its_connection_usable(server, bucket, client):
    form = presigned(client, bucket, "k")
    link = connection(server)
    for number in range(3):
        body, content_type = encode(list(form.items()), f"file {number}".encode() * 50_000)
        link.request("POST", f"/{bucket}", body=body, headers={"Content-Type": content_type})
        response = link.getresponse()
        assert response.status == 204 and not response.will_close
        response.read()
    link.close()


def public_write(client, bucket, *actions):
    statement = {"Effect": "Allow", "Principal": "*", "Action": list(actions), "Resource": f"arn:aws:s3:::{bucket}/drop/*"}
    client.delete_public_access_block(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def test_a_form_without_a_policy_may_what_everybody_may(server, bucket, client):
    public_write(client, bucket, "s3:PutObject")
    assert post(server, bucket, [("key", "drop/k")]).status == 204
    assert client.get_object(Bucket=bucket, Key="drop/k")["Body"].read() == b"content"
    assert post(server, bucket, [("key", "elsewhere")]).outcome == (403, "AccessDenied")
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    tagged = post(server, bucket, [("key", "drop/tagged"), ("tagging", tagging)])
    assert tagged.outcome == (403, "AccessDenied"), "tags are another permission"


def test_a_signed_form_may_no_more_than_its_signer(server, bucket, client):
    """The policy of a form restricts; what its signer may not, it cannot allow."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/forbidden/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    form = presigned(client, bucket, "forbidden/k")
    assert post(server, bucket, form.items()).outcome == (403, "AccessDenied")
    assert post(server, bucket, presigned(client, bucket, "allowed/k").items()).status == 204


def test_who_writes_an_object_gives_it_its_list(server, client):
    """Where lists count, who may write in a bucket could not upload with one: it asked the object that was not there yet."""
    bucket = f"lists-{uuid.uuid4().hex[:10]}"
    client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    public = [("key", "drop/k"), ("acl", "public-read")]
    public_write(client, bucket, "s3:PutObject")
    assert post(server, bucket, public).outcome == (403, "AccessDenied"), "a policy must name what it allows"
    client.delete_bucket_policy(Bucket=bucket)
    assert post(server, bucket, public).outcome == (403, "AccessDenied")
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    for _ in range(2):
        assert post(server, bucket, public).status == 204
    link = connection(server)
    link.request("GET", f"/{bucket}/drop/k")
    assert Answer(link.getresponse()).body == b"content"
    link.close()
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert post(server, bucket, public).outcome == (403, "AccessDenied")
    assert post(server, bucket, [("key", "drop/plain")]).status == 204
