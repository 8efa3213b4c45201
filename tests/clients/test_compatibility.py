"""The compatibility page is true: every operation of botocore's model is called, and exactly those that the page marks
as not implemented answer `501 NotImplemented`."""

import itertools
import re
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import ClientError

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
MODEL = botocore.session.get_session().get_service_model("s3")
_numbers = itertools.count(1)

# What the model alone does not tell: values that name something, and documents that must be sound.
VALUES = {
    "CopySource": "{bucket}/k",
    "ExpressionType": "SQL",
    "Expression": "SELECT * FROM s3object",
    "Id": "x",
    "RenameSource": "/{bucket}/k",
    "RequestRoute": "route",
    "Status": "Enabled",
    "Bucket": "{bucket}",
    "Key": "k",
    "UploadId": "{upload}",
    "Role": "arn:aws:iam::000000000000:role/r",
    "Policy": '{{"Version": "2012-10-17", "Statement": []}}',
    "AllowedMethods": ["GET"],
    "AllowedOrigins": ["*"],
    "Days": 1,
    "Suffix": "index.html",
    "Format": "CSV",
    "Frequency": "Daily",
}
# Members that are not required by the model and yet by the operation.
ADDED = {
    "RestoreObject": {"RestoreRequest": {"Days": 1}},
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
    """A bucket with an object `k` and an upload for it, made anew for each operation."""
    s3 = server.boto3()

    def make():
        bucket = f"compatibility-{next(_numbers)}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        return {"bucket": bucket, "upload": upload, "etag": etag.strip('"')}

    return make


def test_the_page_names_every_operation():
    assert sorted(statuses()) == sorted(MODEL.operation_names)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_an_operation_is_what_the_page_says(server, place, name):
    s3 = server.boto3(inject_host_prefix=False, parameter_validation=False)
    model = MODEL.operation_model(name)
    parameters = minimal(model.input_shape) if model.input_shape else {}
    parameters.update(ADDED.get(name, {}))
    parameters = filled(parameters, place())
    if name == "CreateBucket":
        parameters["Bucket"] += "-new"
    try:
        s3._make_api_call(name, parameters)
        outcome = (200, None)
    except ClientError as error:
        outcome = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
    page = statuses()
    status = page[name]
    if status.startswith("see "):
        status = page.get(status.removeprefix("see "), "elsewhere")
    if status == "not implemented":
        assert outcome == (501, "NotImplemented")
    else:
        assert outcome[0] < 500 and outcome[1] not in ("MethodNotAllowed", "MalformedXML"), outcome
