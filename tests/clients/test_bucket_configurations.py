"""CORS, and the configurations that are kept and returned."""

import datetime

import pytest
from botocore.exceptions import ClientError

from test_protocol import Answer, connection, send


def code(call, *args, **kwargs):
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["ResponseMetadata"]["HTTPStatusCode"], raised.value.response["Error"]["Code"]


def unsigned(server, method, target, headers):
    link = connection(server)
    link.request(method, target, headers=headers)
    answer = Answer(link.getresponse())
    link.close()
    return answer


RULES = [
    {"ID": "first", "AllowedOrigins": ["https://*.a.org", "https://b.org"], "AllowedMethods": ["GET", "PUT"],
     "AllowedHeaders": ["x-amz-*", "Content-Type"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 600},
    {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
]


@pytest.fixture
def open_bucket(server, bucket):
    s3 = server.boto3()
    assert code(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    return bucket


def test_cors_rules_are_kept(server, open_bucket):
    s3 = server.boto3()
    assert s3.get_bucket_cors(Bucket=open_bucket)["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket=open_bucket)
    assert code(s3.get_bucket_cors, Bucket=open_bucket) == (404, "NoSuchCORSConfiguration")
    wrong = [{"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}]
    assert code(s3.put_bucket_cors, Bucket=open_bucket, CORSConfiguration={"CORSRules": wrong}) == (
        400, "InvalidRequest")


def test_a_preflight_is_answered_by_the_rules(server, open_bucket):
    asked = {"Origin": "https://x.a.org", "Access-Control-Request-Method": "PUT",
             "Access-Control-Request-Headers": "X-Amz-Date, content-type"}
    answer = unsigned(server, "OPTIONS", f"/{open_bucket}/k", asked)
    assert answer.status == 200 and not answer.body
    shown = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert shown == {
        "access-control-allow-origin": "https://x.a.org", "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-amz-date, content-type", "access-control-allow-credentials": "true",
        "access-control-expose-headers": "ETag", "access-control-max-age": "600"}
    assert "Origin" in answer.headers["vary"]
    for other in ({"Origin": "https://evil.org"}, {"Access-Control-Request-Method": "DELETE"},
                  {"Access-Control-Request-Headers": "x-other"}):
        refused = unsigned(server, "OPTIONS", f"/{open_bucket}/k", asked | other)
        assert refused.outcome == (403, "AccessForbidden") and "access-control-allow-origin" not in refused.headers
    for missing in ("Origin", "Access-Control-Request-Method"):
        rest = {name: value for name, value in asked.items() if name != missing}
        assert unsigned(server, "OPTIONS", f"/{open_bucket}", rest).outcome == (400, "BadRequest")
    assert unsigned(server, "OPTIONS", "/no-such-bucket/k", asked).outcome == (404, "NoSuchBucket")


def test_a_bucket_without_cors_answers_no_preflight(server, bucket):
    asked = {"Origin": "https://x.a.org", "Access-Control-Request-Method": "GET"}
    assert unsigned(server, "OPTIONS", f"/{bucket}/k", asked).outcome == (403, "AccessForbidden")
    answer = send(server, "GET", f"/{bucket}", {"Origin": "https://x.a.org"})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_answers_tell_a_browser_what_its_page_may_see(server, open_bucket):
    origin = {"Origin": "https://b.org"}
    answer = send(server, "GET", f"/{open_bucket}/k", origin)
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "https://b.org"
    assert answer.headers["access-control-expose-headers"] == "ETag" and "Origin" in answer.headers["vary"]
    # Errors too, so that the page can read them, and those of who may not ask at all.
    assert send(server, "GET", f"/{open_bucket}/none", origin).headers["access-control-allow-origin"] == "https://b.org"
    denied = unsigned(server, "GET", f"/{open_bucket}/k", origin)
    assert denied.outcome == (403, "AccessDenied") and denied.headers["access-control-allow-origin"] == "https://b.org"
    anyone = send(server, "HEAD", f"/{open_bucket}/k", {"Origin": "https://c.org"})
    assert anyone.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in anyone.headers
    other = send(server, "GET", f"/{open_bucket}/k", {"Origin": "https://c.org"})
    assert other.status == 200 and "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in send(server, "GET", f"/{open_bucket}/k").headers


def test_answers_tell_what_the_lifecycle_will_do(server, bucket):
    s3 = server.boto3()
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        {"ID": "tagged ones", "Status": "Enabled", "Filter": {"Tag": {"Key": "a", "Value": "1"}},
         "Expiration": {"Days": 3}}]})
    place = {"Bucket": bucket, "Key": "logs/k"}
    begun = s3.create_multipart_upload(**place, Tagging="a=1")
    named = {**place, "UploadId": begun["UploadId"]}
    for answer in (begun, s3.list_parts(**named)):
        left = answer["AbortDate"] - datetime.datetime.now(datetime.timezone.utc)
        assert answer["AbortRuleId"] == "uploads" and 6 <= left.days <= 7
        assert answer["AbortDate"].time() == datetime.time(0)
    other = {"Bucket": bucket, "Key": "other"}
    begun = s3.create_multipart_upload(**other)
    assert "AbortDate" not in begun
    other["UploadId"] = begun["UploadId"]
    initiated = s3.list_multipart_uploads(Bucket=bucket, Prefix="other")["Uploads"][0]["Initiated"]
    earlier = initiated - datetime.timedelta(seconds=5)
    assert code(s3.abort_multipart_upload, **other, IfMatchInitiatedTime=earlier) == (412, "PreconditionFailed")
    s3.abort_multipart_upload(**other, IfMatchInitiatedTime=initiated)
    parts = {"Parts": [{"PartNumber": 1, "ETag": s3.upload_part(**named, PartNumber=1, Body=b"x")["ETag"]}]}
    done = s3.complete_multipart_upload(**named, MultipartUpload=parts)
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=place)
    for answer in (done, copied, s3.head_object(**place)):
        assert answer["Expiration"].startswith('expiry-date="') and answer["Expiration"].endswith('rule-id="tagged%20ones"')
    untagged = s3.copy_object(Bucket=bucket, Key="copy", CopySource=place, TaggingDirective="REPLACE")
    assert "Expiration" not in untagged


INVENTORY = {
    "Id": "i", "IsEnabled": True, "IncludedObjectVersions": "All", "OptionalFields": ["Size", "ETag"],
    "Schedule": {"Frequency": "Daily"},
    "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::lists", "Format": "CSV", "Prefix": "p"}},
}
WITH_IDS = {
    "analytics": ("AnalyticsConfiguration", {"Id": "i", "Filter": {"Prefix": "p"}, "StorageClassAnalysis": {}}),
    "metrics": ("MetricsConfiguration", {"Id": "i", "Filter": {"And": {"Prefix": "p", "Tags": [
        {"Key": "a", "Value": "b"}]}}}),
    "intelligent_tiering": ("IntelligentTieringConfiguration", {
        "Id": "i", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}),
    "inventory": ("InventoryConfiguration", INVENTORY),
}


@pytest.mark.parametrize("kind", WITH_IDS)
def test_configurations_with_ids(server, bucket, kind):
    s3 = server.boto3()
    member, document = WITH_IDS[kind]
    put, get, delete = (getattr(s3, f"{verb}_bucket_{kind}_configuration") for verb in ("put", "get", "delete"))
    listing = getattr(s3, f"list_bucket_{kind}_configurations")
    assert code(get, Bucket=bucket, Id="i") == (404, "NoSuchConfiguration")
    assert listing(Bucket=bucket).get(f"{member}List", []) == []
    put(Bucket=bucket, Id="i", **{member: document})
    assert get(Bucket=bucket, Id="i")[member] == document
    assert code(put, Bucket=bucket, Id="other", **{member: document}) == (400, "InvalidArgument")
    for number in range(120):
        put(Bucket=bucket, Id=f"j{number:03}", **{member: document | {"Id": f"j{number:03}"}})
    first = listing(Bucket=bucket)
    assert first["IsTruncated"] and len(first[f"{member}List"]) == 100
    rest = listing(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    ids = [found["Id"] for found in first[f"{member}List"] + rest[f"{member}List"]]
    assert ids == ["i"] + [f"j{number:03}" for number in range(120)] and not rest["IsTruncated"]
    delete(Bucket=bucket, Id="i")
    assert code(delete, Bucket=bucket, Id="i") == (404, "NoSuchConfiguration")
    assert code(get, Bucket=bucket, Id="i") == (404, "NoSuchConfiguration")


def test_configurations_that_a_bucket_has_from_the_start(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket}
    assert "Status" not in s3.get_bucket_accelerate_configuration(**place)
    s3.put_bucket_accelerate_configuration(**place, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(**place)["Status"] == "Enabled"
    assert s3.get_bucket_request_payment(**place)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(**place, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(**place)["Payer"] == "Requester"
    assert "LoggingEnabled" not in s3.get_bucket_logging(**place)
    logging = {"TargetBucket": bucket, "TargetPrefix": "log/"}
    s3.put_bucket_logging(**place, BucketLoggingStatus={"LoggingEnabled": logging})
    assert s3.get_bucket_logging(**place)["LoggingEnabled"] == logging
    logging = {"LoggingEnabled": logging | {"TargetBucket": "no-such-bucket"}}
    assert code(s3.put_bucket_logging, **place, BucketLoggingStatus=logging) == (400, "InvalidTargetBucketForLogging")
    s3.put_bucket_logging(**place, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(**place)


def test_access_is_blocked_and_owned_until_that_is_removed(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket}
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    found = s3.get_public_access_block(**place)["PublicAccessBlockConfiguration"]
    assert found == dict.fromkeys(names, True)
    some = dict.fromkeys(names, False) | {"BlockPublicAcls": True}
    s3.put_public_access_block(**place, PublicAccessBlockConfiguration=some)
    assert s3.get_public_access_block(**place)["PublicAccessBlockConfiguration"] == some
    s3.delete_public_access_block(**place)
    assert code(s3.get_public_access_block, **place) == (404, "NoSuchPublicAccessBlockConfiguration")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert s3.get_bucket_ownership_controls(**place)["OwnershipControls"] == enforced
    s3.put_bucket_ownership_controls(**place, OwnershipControls=enforced)
    other = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(**place, OwnershipControls=other)
    assert s3.get_bucket_ownership_controls(**place)["OwnershipControls"] == other
    s3.delete_bucket_ownership_controls(**place)
    assert code(s3.get_bucket_ownership_controls, **place) == (404, "OwnershipControlsNotFoundError")


def test_website_and_notification(server, bucket):
    s3 = server.boto3()
    place = {"Bucket": bucket}
    assert code(s3.get_bucket_website, **place) == (404, "NoSuchWebsiteConfiguration")
    website = {"IndexDocument": {"Suffix": "i.html"}, "ErrorDocument": {"Key": "a&b"},
               "RoutingRules": [{"Condition": {"KeyPrefixEquals": "p/"}, "Redirect": {"ReplaceKeyPrefixWith": "q/"}}]}
    s3.put_bucket_website(**place, WebsiteConfiguration=website)
    found = s3.get_bucket_website(**place)
    assert {name: found[name] for name in website} == website
    wrong = {"IndexDocument": {"Suffix": "a/b"}}
    assert code(s3.put_bucket_website, **place, WebsiteConfiguration=wrong) == (400, "InvalidArgument")
    s3.delete_bucket_website(**place)
    assert code(s3.get_bucket_website, **place) == (404, "NoSuchWebsiteConfiguration")
    s3.put_bucket_notification_configuration(**place, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(**place)
    queue = {"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:1:q", "Events": ["s3:ObjectCreated:*"]}]}
    refused = code(s3.put_bucket_notification_configuration, **place, NotificationConfiguration=queue)
    assert refused == (400, "InvalidArgument")


def test_configurations_go_with_their_bucket(server, bucket):
    s3 = server.boto3()
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_bucket(Bucket=bucket)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchBucket")
    s3.create_bucket(Bucket=bucket)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_what_would_only_seem_secure_is_refused(server, bucket):
    s3 = server.boto3()
    replication = {"Role": "r", "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::b"}}]}
    assert code(s3.put_bucket_replication, Bucket=bucket, ReplicationConfiguration=replication)[0] == 501


def test_a_bucket_that_is_not_replicated_says_so(server, bucket):
    """It answered that this was not implemented, and programs that look at all configurations gave up."""
    s3 = server.boto3()
    assert code(s3.get_bucket_replication, Bucket=bucket) == (404, "ReplicationConfigurationNotFoundError")
    s3.delete_bucket(Bucket=bucket)
    assert code(s3.get_bucket_replication, Bucket=bucket) == (404, "NoSuchBucket")
