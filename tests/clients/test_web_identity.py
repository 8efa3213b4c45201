"""Roles for who brings a token of an OpenID Connect provider: AssumeRoleWithWebIdentity."""

import base64
import http.server
import itertools
import json
import ssl
import threading
import time

import boto3
import pytest
import rsa
from botocore import UNSIGNED
from botocore.config import Config

from harness import REGION, running, scratch_root
from receiver import certificates
from test_iam import Account, client, code_of, policy

_numbers = itertools.count(1)


def encoded(value) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """An identity provider with one key, at https://localhost."""

    def __init__(self, tls):
        self.public, self.private = rsa.newkeys(2048)
        self.asked = []
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                documents = {
                    "/realm/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/realm/keys": {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
                                              "n": number(issuer.public.n), "e": number(issuer.public.e)}]},
                }
                body = json.dumps(documents.get(self.path)).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.place = f"localhost:{self.server.server_address[1]}/realm"
        self.url = f"https://{self.place}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, key=None, **changes):
        claims = {"iss": self.url, "sub": "ann", "aud": "training", "iat": int(time.time()), "exp": int(time.time()) + 300}
        message = f'{encoded({"alg": "RS256", "typ": "JWT", "kid": "one"})}.{encoded(claims | changes)}'
        return f"{message}.{encoded(rsa.sign(message.encode(), key or self.private, 'SHA-256'))}"


@pytest.fixture(scope="module")
def issuer():
    root = scratch_root()
    authority, tls = certificates(root)
    issuer = Issuer(tls)
    issuer.authority = authority
    yield issuer
    issuer.server.shutdown()


@pytest.fixture(scope="module")
def server(issuer):
    settings = {"GRANARY_IDENTITY_PROVIDER_ALLOW_PRIVATE": "true", "GRANARY_IDENTITY_PROVIDER_CA_CERT": str(issuer.authority)}
    with running(settings=settings) as server:
        yield server


def new_account(server):
    made = json.loads(server.admin("user", "add", f"account{next(_numbers)}", "--json"))
    return Account(server, made["users"][0], made["key"])


@pytest.fixture
def account(server):
    return new_account(server)


def anybody(server):
    """Nobody signs these requests: the token is all there is."""
    return boto3.client("sts", endpoint_url=server.endpoint, region_name=REGION,
                        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}))


def provider_and_role(account, issuer, condition=None, name="trainer"):
    iam = account.client("iam")
    provider = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["training"])["OpenIDConnectProviderArn"]
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    if condition:
        statement["Condition"] = condition
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy("s3:ListAllMyBuckets"))
    return provider, role


def test_a_token_of_a_trusted_provider_becomes_a_session(server, account, issuer):
    provider, role = provider_and_role(account, issuer, {"StringEquals": {
        f"{issuer.place}:aud": "training", f"{issuer.place}:sub": "ann"}})
    sts = anybody(server)
    assume = {"RoleArn": role, "RoleSessionName": "night"}
    answer = sts.assume_role_with_web_identity(**assume, WebIdentityToken=issuer.token(), DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account.id}:assumed-role/trainer/night"
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"], answer["Provider"]) == ("ann", "training", provider)
    made = answer["Credentials"]
    s3 = client(server, "s3", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert s3.list_buckets()["Buckets"] == []
    assert code_of(s3.create_bucket, Bucket="not-this") == (403, "AccessDenied")
    for token, outcome in [
        (issuer.token(sub="bob"), (403, "AccessDenied")),
        (issuer.token(aud="elsewhere"), (400, "InvalidIdentityToken")),
        (issuer.token(exp=int(time.time()) - 600), (400, "ExpiredTokenException")),
        (issuer.token(iss="https://localhost/other"), (400, "InvalidIdentityToken")),
        (issuer.token(key=rsa.newkeys(1024)[1]), (400, "InvalidIdentityToken")),
        (issuer.token()[:-8] + "AAAAAAAA", (400, "InvalidIdentityToken")),
    ]:
        assert code_of(sts.assume_role_with_web_identity, **assume, WebIdentityToken=token) == outcome
    other = {"RoleArn": role + "x", "RoleSessionName": "night"}
    assert code_of(sts.assume_role_with_web_identity, **other, WebIdentityToken=issuer.token()) == (403, "AccessDenied")
    # Nothing else goes without a signature.
    assert code_of(sts.get_caller_identity)[0] == 403
    # What is taken away leaves nothing behind.
    account.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert code_of(s3.list_buckets) == (403, "InvalidAccessKeyId") or code_of(s3.list_buckets)[1] == "InvalidToken"


def test_tokens_mark_their_sessions_if_the_role_lets_them(server, account, issuer):
    provider, role = provider_and_role(account, issuer)
    iam, sts = account.client("iam"), anybody(server)
    claims = {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["red"]}, "transitive_tag_keys": ["Team"]},
              "https://aws.amazon.com/source_identity": "ann"}
    assume = {"RoleArn": role, "RoleSessionName": "night", "WebIdentityToken": issuer.token(**claims)}
    assert code_of(sts.assume_role_with_web_identity, **assume) == (403, "AccessDenied")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": {"StringEquals": {"aws:RequestTag/Team": "red", "sts:SourceIdentity": "ann"}}}]})
    iam.update_assume_role_policy(RoleName="trainer", PolicyDocument=trust)
    red = {"Condition": {"StringEquals": {
        "aws:PrincipalTag/Team": "red", "aws:SourceIdentity": "ann", "aws:FederatedProvider": provider}}}
    iam.put_role_policy(RoleName="trainer", PolicyName="p", PolicyDocument=policy("s3:ListAllMyBuckets", **red))
    answer = sts.assume_role_with_web_identity(**assume)
    assert answer["SourceIdentity"] == "ann" and answer["PackedPolicySize"] >= 1
    made = answer["Credentials"]
    s3 = client(server, "s3", made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert s3.list_buckets()["Buckets"] == []
    unclear = {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["red", "blue"]}}}
    assume["WebIdentityToken"] = issuer.token(**unclear)
    assert code_of(sts.assume_role_with_web_identity, **assume) == (400, "InvalidIdentityToken")


def test_a_role_that_names_no_provider_takes_no_tokens(server, account, issuer):
    iam = account.client("iam")
    _, role = provider_and_role(account, issuer)
    anyone = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRoleWithWebIdentity"}]}
    iam.update_assume_role_policy(RoleName="trainer", PolicyDocument=json.dumps(anyone))
    assume = {"RoleArn": role, "RoleSessionName": "night", "WebIdentityToken": issuer.token()}
    assert code_of(anybody(server).assume_role_with_web_identity, **assume) == (403, "AccessDenied")
    # A provider counts in its account only.
    stranger = new_account(server)
    elsewhere = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::{account.id}:oidc-provider/{issuer.place}"}}]}
    role = stranger.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(elsewhere))["Role"]["Arn"]
    assert code_of(anybody(server).assume_role_with_web_identity, **assume | {"RoleArn": role}) == (
        400, "InvalidIdentityToken")


def test_providers_come_and_go(account, issuer):
    iam = account.client("iam")
    thumbprint = "0" * 40
    arn = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["a"], ThumbprintList=[thumbprint],
                                              Tags=[{"Key": "k", "Value": "v"}])["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{account.id}:oidc-provider/{issuer.place}"
    named = {"OpenIDConnectProviderArn": arn}
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    assert code_of(iam.create_open_id_connect_provider, Url=issuer.url) == (409, "EntityAlreadyExists")
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(**named, ClientID="b")
    iam.remove_client_id_from_open_id_connect_provider(**named, ClientID="a")
    iam.update_open_id_connect_provider_thumbprint(**named, ThumbprintList=["1" * 40])
    found = iam.get_open_id_connect_provider(**named)
    assert (found["Url"], found["ClientIDList"], found["ThumbprintList"]) == (issuer.place, ["b"], ["1" * 40])
    iam.tag_open_id_connect_provider(**named, Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_open_id_connect_provider(**named, TagKeys=["k"])
    assert iam.list_open_id_connect_provider_tags(**named)["Tags"] == [{"Key": "l", "Value": "w"}]
    for url in ["http://example.com", "https://", "https://example.com/?a=b", "https://user@example.com"]:
        assert code_of(iam.create_open_id_connect_provider, Url=url) == (400, "InvalidInput"), url
    iam.delete_open_id_connect_provider(**named)
    assert code_of(iam.delete_open_id_connect_provider, **named) == (404, "NoSuchEntity")
    assert code_of(iam.get_open_id_connect_provider, **named) == (404, "NoSuchEntity")


def test_ssrf_through_identity_providers(issuer):
    """The weakness: an account names a provider within, and the server fetches what it likes from there."""
    with running(settings={"GRANARY_IDENTITY_PROVIDER_CA_CERT": str(issuer.authority)}) as server:
        account = new_account(server)
        _, role = provider_and_role(account, issuer)
        asked = len(issuer.asked)
        assume = {"RoleArn": role, "RoleSessionName": "night", "WebIdentityToken": issuer.token()}
        assert code_of(anybody(server).assume_role_with_web_identity, **assume) == (400, "IDPCommunicationError")
        assert len(issuer.asked) == asked
