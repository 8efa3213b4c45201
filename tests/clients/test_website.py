"""Websites: redirects, error pages, and who may see what. Browsers sign nothing."""

import http.client
import json
import uuid

import pytest
from botocore.exceptions import ClientError

from harness import running
from test_protocol import Answer

DOMAIN = "web.example"


@pytest.fixture(scope="module")
def server():
    with running(settings={"GRANARY_WEBSITE_DOMAIN": DOMAIN}) as server:
        yield server


@pytest.fixture
def site(server):
    """A client, a bucket and the host of its website."""
    client = server.boto3()
    bucket = f"site-{uuid.uuid4().hex[:10]}"
    client.create_bucket(Bucket=bucket)
    return client, bucket, f"{bucket}.{DOMAIN}"


def visit(server, host, path, method="GET", **headers):
    address, port = server.host.split(":")
    link = http.client.HTTPConnection(address, int(port))
    link.request(method, path, headers={"Host": host, **headers})
    answer = Answer(link.getresponse())
    link.close()
    return answer


def configure(client, bucket, **configuration):
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)


def test_a_host_without_a_website_says_so_in_html(server, site):
    _, _, host = site
    for where, code in [(host, "NoSuchWebsiteConfiguration"), (f"no-such-bucket.{DOMAIN}", "NoSuchBucket")]:
        answer = visit(server, where, "/")
        assert answer.status == 404 and f"<li>Code: {code}</li>".encode() in answer.body, answer.body
        assert answer.headers["content-type"].startswith("text/html") and answer.headers["x-amz-error-code"] == code
    assert visit(server, host, "/", "HEAD").body == b""


def test_all_requests_are_redirected(server, site):
    client, bucket, host = site
    configure(client, bucket, RedirectAllRequestsTo={"HostName": "example.com", "Protocol": "https"})
    answer = visit(server, host, "/a%20b/c?d=e")
    assert (answer.status, answer.headers["location"]) == (301, "https://example.com/a%20b/c?d=e")


def test_routing_rules_redirect_requests_and_errors(server, site):
    client, bucket, host = site
    rules = [
        {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
        {"Condition": {"HttpErrorCodeReturnedEquals": "403", "KeyPrefixEquals": "gone/"},
         "Redirect": {"HostName": "archive.example", "HttpRedirectCode": "302"}},
    ]
    configure(client, bucket, IndexDocument={"Suffix": "index.html"}, RoutingRules=rules)
    moved = visit(server, host, "/docs/a.html")
    assert (moved.status, moved.headers["location"]) == (301, "/documents/a.html")
    client.put_object(Bucket=bucket, Key="gone/page", Body=b"secret")
    gone = visit(server, host, "/gone/page")
    assert (gone.status, gone.headers["location"]) == (302, "http://archive.example/gone/page")


def test_a_rule_that_cannot_be_followed_is_refused_and_the_site_stays_up(server, site):
    """A number that was no redirect was kept, and every page of the site answered 400 from then on."""
    client, bucket, host = site
    configure(client, bucket, IndexDocument={"Suffix": "index.html"})
    for rule in [{"Redirect": {"HostName": "h", "HttpRedirectCode": "5"}},
                 {"Redirect": {"HostName": "h"}, "Condition": {"HttpErrorCodeReturnedEquals": "200"}},
                 {"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]:
        with pytest.raises(ClientError) as refused:
            configure(client, bucket, IndexDocument={"Suffix": "index.html"}, RoutingRules=[rule])
        assert refused.value.response["Error"]["Code"] == "InvalidRequest", rule
    # It is not public, which is not 400.
    assert visit(server, host, "/").status == 403


def test_what_is_not_public_is_not_shown(server, site):
    client, bucket, host = site
    configure(client, bucket, IndexDocument={"Suffix": "index.html"}, ErrorDocument={"Key": "error.html"})
    for key in ("index.html", "error.html", "docs/index.html"):
        client.put_object(Bucket=bucket, Key=key, Body=b"secret " + key.encode())
    for path in ("/", "/index.html", "/docs/", "/docs", "/missing", "/%3Cscript%3E"):
        answer = visit(server, host, path)
        assert answer.status == 403 and b"AccessDenied" in answer.body, (path, answer.body)
        assert b"secret" not in answer.body and b"<script>" not in answer.body


def test_a_website_only_reads_and_knows_no_signatures(server, site):
    client, bucket, host = site
    configure(client, bucket, IndexDocument={"Suffix": "index.html"})
    for method in ("PUT", "POST", "DELETE", "OPTIONS"):
        answer = visit(server, host, "/index.html", method)
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"
    client.put_object(Bucket=bucket, Key="index.html", Body=b"secret")
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "index.html"})
    signed = visit(server, host, url[url.index("/index.html"):])
    assert signed.status == 403 and b"secret" not in signed.body


def test_the_server_s_own_pages_are_not_on_websites(server, site):
    """A website's visitors could read the metrics, and its pages could not have these names."""
    client, bucket, host = site
    configure(client, bucket, IndexDocument={"Suffix": "index.html"})
    for path in ("/metrics", "/health/live", "/_granary/v1/drives"):
        answer = visit(server, host, path)
        assert answer.status == 403 and answer.headers["content-type"].startswith("text/html"), (path, answer.body)
    assert visit(server, server.host, "/health/live").body == b"live\n"


def make_public(client, bucket):
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.delete_public_access_block(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.fixture
def public_site(site):
    client, bucket, host = site
    make_public(client, bucket)
    configure(client, bucket, IndexDocument={"Suffix": "index.html"}, ErrorDocument={"Key": "errors/error.html"})
    return client, bucket, host


def test_pages_are_served_as_they_are_kept(server, public_site):
    client, bucket, host = public_site
    for key in ("index.html", "docs/index.html", "a page.html"):
        client.put_object(Bucket=bucket, Key=key, Body=b"page " + key.encode(), ContentType="text/html", CacheControl="max-age=5")
    for path, key in [("/", "index.html"), ("/docs/", "docs/index.html"), ("/a%20page.html?x=y", "a page.html")]:
        answer = visit(server, host, path)
        assert (answer.status, answer.body) == (200, b"page " + key.encode())
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("text/html", "max-age=5")
    assert visit(server, host, "/", "HEAD").headers["content-length"] == str(len(b"page index.html"))
    part = visit(server, host, "/", Range="bytes=0-3")
    assert (part.status, part.body) == (206, b"page")
    assert visit(server, host, "/", **{"If-None-Match": answer.headers["etag"]}).status == 200
    tag = visit(server, host, "/").headers["etag"]
    kept = visit(server, host, "/", **{"If-None-Match": tag})
    assert (kept.status, kept.headers["etag"]) == (304, tag)
    # A cache would take these for the page's own.
    assert not {"content-type", "content-length", "x-amz-error-code"} & {name.lower() for name in kept.headers}
    # What is a directory is asked for as one.
    moved = visit(server, host, "/docs")
    assert (moved.status, moved.headers["location"]) == (302, "/docs/")


def test_an_object_may_redirect(server, public_site):
    client, bucket, host = public_site
    client.put_object(Bucket=bucket, Key="old.html", Body=b"old", WebsiteRedirectLocation="/new.html")
    answer = visit(server, host, "/old.html")
    assert (answer.status, answer.headers["location"], answer.body) == (301, "/new.html", b"")
    # S3's own clients get the object.
    assert client.get_object(Bucket=bucket, Key="old.html")["Body"].read() == b"old"


def test_the_page_for_errors_has_their_status(server, public_site):
    client, bucket, host = public_site
    missing = visit(server, host, "/missing")
    # Whether a key is there is told to nobody who may not list.
    assert missing.status == 403
    client.put_object(Bucket=bucket, Key="errors/error.html", Body=b"our own page", ContentType="text/html")
    shown = visit(server, host, "/missing", Range="bytes=0-1")
    assert (shown.status, shown.body, shown.headers["content-type"]) == (403, b"our own page", "text/html")
    everything = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
                  "Resource": [f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everything]}))
    shown = visit(server, host, "/missing")
    assert (shown.status, shown.body) == (404, b"our own page")


def test_a_rule_for_missing_pages(server, public_site):
    client, bucket, host = public_site
    rule = {"Condition": {"HttpErrorCodeReturnedEquals": "403"}, "Redirect": {"ReplaceKeyWith": "app.html", "HttpRedirectCode": "302"}}
    configure(client, bucket, IndexDocument={"Suffix": "index.html"}, RoutingRules=[rule])
    client.put_object(Bucket=bucket, Key="there.html", Body=b"there")
    assert visit(server, host, "/there.html").body == b"there"
    moved = visit(server, host, "/not/there")
    assert (moved.status, moved.headers["location"]) == (302, "/app.html")
