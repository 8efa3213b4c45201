//! The page `docs/compatibility.md`, made from the table of operations.

use std::fmt::Write as _;

use crate::operation::{Operation, Scope, Selector, Status};

/// Which of other people's tests fail here, and why.
const CEPH: &str = include_str!("ceph_tests.md");

/// What the table cannot say.
const BESIDE: &str = "
## Beside the table
- **Browser uploads** (`POST /{bucket}` with a form, which botocore's model does not have) are implemented: policies with all
  conditions, the redirects and statuses, and every field that AWS names. A form may be signed with Signature Version 4 or, as
  AWS documents for forms too, with version 2. Forms without a policy are anonymous.
  As AWS says, every field but the signature, the file, the policy and `x-ignore-*` must be in the policy's conditions,
  checksums too (one of ceph's tests expects otherwise).
- **Regions**: the server is in one region (`--region`), and requests must be signed for it; others get
  `AuthorizationHeaderMalformed` with the right one, by which SDKs correct themselves. A bucket may be created with
  that region as its location or with none, where AWS wants a location. The name us-east-1 is refused as a location, as at AWS: clients that
  send it there (s3fs with `region_name`) make buckets when they are told no region.
  A signature for no region at all, which clients without one in their configuration make, is taken.
- **Signature Version 2**, which AWS has retired, is refused for all but forms. With `--allow-signature-v2` it is taken in the
  `Authorization` header and in presigned URLs, for old clients. It does not cover the body, and parameters of the query that it does not
  cover are refused, so that they cannot change what was signed; policies can refuse it by `s3:signatureversion`.
- **Bodies without a length** (`Transfer-Encoding: chunked` and no `Content-Length`) are `MissingContentLength`, as at AWS, which documents
  that header as required. With `--allow-unknown-length` objects and parts may come so; signatures, checksums and limits count as for others.
- **Principals in the policies of buckets** may have the name of an account (`arn:aws:iam::lab:root`) where AWS has its number; the
  number is put there when the policy is kept. Names of nobody are `Invalid principal in policy`, as at AWS ([access.md](access.md)).
- **An ACL in the headers of a new object** needs `s3:PutObjectAcl` if it gives anything to anybody but the writer and the bucket's owner.
  Who may write by the bucket's ACL may also give the new object an ACL and tags.
- **RenameObject and appends** work in every bucket, not in directory buckets alone. A renamed object keeps its tags and its time;
  the old key is deleted as the bucket's versioning says. `If-Modified-Since` and `If-Unmodified-Since` on the destination are
  not implemented, and `x-amz-client-token` is not looked at: a rename that is sent again after it was done finds no source
  (`NoSuchKey`). Appending is by `x-amz-write-offset-bytes`; the ETag is then no MD5, as on AWS.
- **`If-None-Match` on writes** takes an ETag as well, and refuses what has that one; AWS takes `*` alone.
- **Storage classes** lie on drives of their kind where a store has SSDs and disks, and are but names elsewhere ([tiers.md](tiers.md)).
  A class that has no drives is `InvalidStorageClass`. Lifecycle rules move objects between them, to STANDARD_IA and ONEZONE_IA also before the
  30 days that AWS wants; of which length on, where they do not say,
  `--transition-default-minimum-object-size` chooses between AWS's defaults of now and of before September 2024. GLACIER and DEEP_ARCHIVE must be
  restored before they are read: where there are SSDs beside disks the restore copies them there, is in progress until that is done, and
  `RestoreAlreadyInProgress` and `GlacierExpeditedRetrievalNotAvailable` are sent as at AWS; elsewhere it is done at once. INTELLIGENT_TIERING
  objects lie on disks, and get copies on SSDs while they are read often.
- **Versioning** takes no `MfaDelete: Enabled`, as nobody has a second factor here (`NotImplemented`), and policies by the tags of buckets
  (`s3:BucketTag`, `aws:ResourceTag`) match none, as at AWS where ABAC is off; PutBucketAbac is `NotImplemented`.
- **Object lock** has no holds until an event (`x-amz-object-lock-event-hold`, `EventHold`), and buckets no namespace of their account
  (`x-amz-bucket-namespace: account-regional`): who asks for them gets `NotImplemented`.
- **Part numbers** need not be consecutive in a completion, also where the parts have checksums (`InvalidPartOrder` at AWS).
- **Websites** are served on the subdomains of `--website-domain`, for GET and HEAD, without signatures.
- **Request heads** may have 16 KiB (`max_header_bytes`; AWS: 8 KiB) and 100 headers.
- **Encryption**: objects are encrypted only where the request, the bucket's default or the server's `--encrypt-by-default` asks
  for it; AWS encrypts every object with SSE-S3. Without a default, GetBucketEncryption answers
  `ServerSideEncryptionConfigurationNotFoundError`. New buckets do not block SSE-C. Encryption in two layers
  (`aws:kms:dsse`) is not implemented, nor are appends to encrypted objects. Keys of SSE-KMS are shown by their names, not by ARNs.
  Another SSE-C key than the object's is `InvalidRequest` (400); `aws:kms` without a key's name takes the default key.
  See [encryption.md](encryption.md).
- **Where AWS does not say** what it answers, others' tests decide: a part number beyond the last is `InvalidPart` (400), where clients of
  AWS have reported `InvalidPartNumber` (416); a range of UploadPartCopy beyond its source is `InvalidRange` (416), a checksum that is none
  `BadDigest`; a presigned URL with `X-Amz-Expires` of zero or less has expired (`AccessDenied`), one for more than a week is
  `AuthorizationQueryParametersError`; CompleteMultipartUpload need not repeat the checksums of parts, and compares those that it is
  given; the policy status of a bucket without a policy is that of its lists, where clients of
  AWS have reported `NoSuchBucketPolicy`; a copy of an archive that is not restored, and a restore of what is no archive, are
  `InvalidObjectState`, as clients of AWS report, where its reference has `ObjectNotInActiveTierError` and `ObjectAlreadyInActiveTierError`;
  a lifecycle rule with both ONEZONE_IA and GLACIER_IR, neither of which becomes the other, is `InvalidRequest`; with `NoSuchKey` stands `x-amz-delete-marker: false` unless a delete marker hides the key.
";

/// The text of the page.
#[must_use]
pub fn page() -> String {
    let count = |status| Operation::ALL.iter().filter(|op| op.status() == status).count();
    let (implemented, stored) = (count(Status::Implemented), count(Status::Stored));
    let absent = count(Status::Absent);
    let mut out = format!(
        "# Compatibility with Amazon S3\n\n\
         Generated from the table of operations in `server/s3`; a test checks that it is current, and \
         another one calls every operation and checks that it is true.\n\n\
         {implemented} of the {} operations in botocore's model of S3 are implemented. {stored} more are stored and \
         returned: the configuration is checked and kept, and has no other effect on this server. {absent} more \
         answers as for a bucket without a configuration, as none can be put. Every other one \
         answers `501 NotImplemented` with its name.\n\n\
         | Operation | Request | Status |\n|---|---|---|\n",
        Operation::ALL.len()
    );
    for operation in Operation::ALL {
        let status = match (operation.selector(), operation.status()) {
            (Selector::Elsewhere(place), _) => format!("see {place}"),
            (_, Status::Implemented) => "implemented".to_owned(),
            (_, Status::Stored) => "stored and returned".to_owned(),
            (_, Status::Absent) => "answers that there is none".to_owned(),
            (_, Status::Missing) => "not implemented".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {operation} | `{}` | {status} |", request(*operation));
    }
    out.push_str(BESIDE);
    out.push_str(CEPH);
    out
}

fn request(operation: Operation) -> String {
    let path = match operation.scope() {
        Scope::Service => "/",
        Scope::Bucket => "/{bucket}",
        Scope::Object => "/{bucket}/{key}",
    };
    let method = operation.method();
    match operation.selector() {
        Selector::Plain | Selector::Elsewhere(_) => format!("{method} {path}"),
        Selector::Subresource(name) => format!("{method} {path}?{name}"),
        Selector::SubresourceWithId(name) => format!("{method} {path}?{name}&id="),
        Selector::NamedAnnotation => format!("{method} {path}?annotation&annotationName="),
        Selector::Upload if operation.name() == "UploadPart" => {
            format!("{method} {path}?partNumber=&uploadId=")
        }
        Selector::Upload => format!("{method} {path}?uploadId="),
        Selector::UploadCopy => format!("{method} {path}?partNumber=&uploadId= (x-amz-copy-source)"),
        Selector::Copy => format!("{method} {path} (x-amz-copy-source)"),
        Selector::ListType2 => format!("{method} {path}?list-type=2"),
        Selector::ObjectLambda => format!("{method} /WriteGetObjectResponse"),
    }
}
