"""The compatibility page is true: every operation of botocore's model is called where it has something to do. Those that the page
marks as implemented do it, those that it marks as not implemented answer `501 NotImplemented`, and what is stored is returned."""

import datetime
import itertools
import re
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import ClientError

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
MODEL = botocore.session.get_session().get_service_model("s3")
_numbers = itertools.count(1)

DONE = ("implemented", "stored and returned")

# What the model alone does not tell: values that name something, and documents that must be sound.
VALUES = {
    "CopySource": "{bucket}/other",
    "ExpressionType": "SQL",
    "Expression": "SELECT * FROM s3object",
    "Id": "x",
    "RenameSource": "/{bucket}/other",
    "RequestRoute": "route",
    "Status": "Enabled",
    "Bucket": "{bucket}",
    "Key": "k",
    "UploadId": "{upload}",
    "Role": "arn:aws:iam::000000000000:role/r",
    "Policy": '{{"Statement": {{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectTorrent", '
              '"Resource": "arn:aws:s3:::{bucket}/*"}}}}',
    "AllowedMethods": ["GET"],
    "AllowedOrigins": ["*"],
    "Days": 1,
    "Suffix": "index.html",
    "Format": "CSV",
    "Frequency": "Daily",
}
# Members that are not required by the model and yet by the operation.
ADDED = {
    "RestoreObject": {"Key": "archived", "RestoreRequest": {"Days": 1}},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "k"}]}},
    "PutBucketAccelerateConfiguration": {"AccelerateConfiguration": {"Status": "Suspended"}},
    "PutBucketEncryption": {"ServerSideEncryptionConfiguration": {"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}},
    "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "PutBucketWebsite": {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}},
    "PutBucketOwnershipControls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    "PutPublicAccessBlock": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
    "PutBucketAcl": {"ACL": "private"},
    "PutObjectAcl": {"ACL": "private"},
    "PutObjectLockConfiguration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    "PutObjectLegalHold": {"LegalHold": {"Status": "OFF"}},
    "PutObjectRetention": {"Retention": {
        "Mode": "GOVERNANCE", "RetainUntilDate": datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)}},
    "PutBucketInventoryConfiguration": {"InventoryConfiguration": {
        "Id": "x", "IsEnabled": False, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::{bucket}", "Format": "CSV"}}}},
    "PutBucketLifecycleConfiguration": {"LifecycleConfiguration": {"Rules": [
        {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "p"}, "Expiration": {"Days": 1}}]}},
    "PutBucketLifecycle": {"LifecycleConfiguration": {"Rules": [
        {"ID": "x", "Status": "Enabled", "Prefix": "p", "Expiration": {"Days": 1}}]}},
    "PutBucketIntelligentTieringConfiguration": {"IntelligentTieringConfiguration": {
        "Id": "x", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}},
    "CompleteMultipartUpload": {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"{etag}"'}]}},
}


def statuses():
    rows = re.findall(r"^\| (\w+) \| `[^`]*` \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return dict(rows)


def filled(value, names):
    """The value with the names of this call's bucket and upload in it."""
    if isinstance(value, str):
        return value.format(**names)
    if isinstance(value, list):
        return [filled(one, names) for one in value]
    if isinstance(value, dict):
        return {name: filled(one, names) for name, one in value.items()}
    return value


def minimal(shape, name=""):
    """The least that the model takes for a shape."""
    if name in VALUES:
        return VALUES[name]
    if shape.type_name == "structure":
        return {member: minimal(shape.members[member], member) for member in shape.required_members}
    if shape.type_name == "list":
        return [minimal(shape.member, name.removesuffix("s"))]
    if shape.type_name == "map":
        return {}
    if shape.type_name in ("integer", "long"):
        return 1
    if shape.type_name == "boolean":
        return False
    if shape.type_name == "blob":
        return b""
    return shape.enum[0] if getattr(shape, "enum", None) else "x"


@pytest.fixture(scope="module")
def place(server):
    """A bucket with objects and an upload, made anew for each operation, where what it is about is not switched off."""
    s3 = server.boto3()

    def make(name):
        bucket = f"compatibility-{next(_numbers)}"
        # An object cannot be renamed where its versions are kept.
        s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerPreferred", ObjectLockEnabledForBucket=name != "RenameObject")
        if name not in ("CreateBucket", "DeleteBucket"):
            for key, kept in [("k", "STANDARD"), ("other", "STANDARD"), ("archived", "GLACIER")]:
                s3.put_object(Bucket=bucket, Key=key, Body=b"hello", StorageClass=kept)
            if name == "RenameObject":
                s3.delete_object(Bucket=bucket, Key="k")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        if name == "DeleteBucket":
            s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
        return {"bucket": bucket, "upload": upload, "etag": etag.strip('"')}

    return make


def parameters_of(name, names):
    model = MODEL.operation_model(name)
    parameters = minimal(model.input_shape) if model.input_shape else {}
    return filled({**parameters, **ADDED.get(name, {})}, names)


def put_before(name):
    """The operation that puts what this one gets, lists or deletes."""
    about = re.sub("^(Get|Delete|List)", "", name)
    puts = [f"Put{about}Configuration", f"Put{about}", f"Put{about.removesuffix('s')}"]
    return next((put for put in puts if about != name and put in MODEL.operation_names), None)


def holds(got, put):
    """Whether all that was put is in what is got."""
    if isinstance(put, dict):
        return isinstance(got, dict) and all(holds(got.get(name), value) for name, value in put.items())
    if isinstance(put, list):
        return isinstance(got, list) and len(got) == len(put) and all(map(holds, got, put))
    return got == put


def test_the_page_names_every_operation():
    assert sorted(statuses()) == sorted(MODEL.operation_names)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_an_operation_is_what_the_page_says(server, place, name):
    s3 = server.boto3(inject_host_prefix=False, parameter_validation=False)
    page, names = statuses(), place(name)
    status = page[name]
    if status.startswith("see "):
        status = page.get(status.removeprefix("see "), "elsewhere")
    put = put_before(name)
    if status in DONE and put and page[put] in DONE:
        s3._make_api_call(put, parameters_of(put, names))
    parameters = parameters_of(name, names)
    if name == "CreateBucket":
        parameters["Bucket"] += "-new"
    try:
        answer = s3._make_api_call(name, parameters)
        outcome = (200, None)
    except ClientError as error:
        outcome = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
    if status == "not implemented":
        assert outcome == (501, "NotImplemented")
    elif status == "answers that there is none":
        assert outcome == (404, "ReplicationConfigurationNotFoundError")
    elif status in DONE:
        assert outcome == (200, None)
    else:
        assert outcome[0] < 500 and outcome[1] not in ("MethodNotAllowed", "MalformedXML"), outcome
    if status == "stored and returned" and name.startswith("Get"):
        (member, stored), = ((key, value) for key, value in parameters_of(put, names).items() if key not in ("Bucket", "Id"))
        # What a bucket has one of is returned without a name of its own.
        assert holds(answer.get(member, answer), stored), (answer, stored)
