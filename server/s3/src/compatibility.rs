//! The page `docs/compatibility.md`, made from the table of operations.

use std::fmt::Write as _;

use crate::operation::{Operation, Scope, Selector, Status};

/// Where an operation that is implemented differs from AWS's.
const DIFFERENCES: &str = "\n## Differences\n\n\
     - Objects are encrypted only where the request, the bucket's default or the server's `--encrypt-by-default` asks \
     for it; AWS encrypts every object with SSE-S3. Without a default, GetBucketEncryption answers \
     `ServerSideEncryptionConfigurationNotFoundError`. New buckets do not block SSE-C. See \
     [encryption.md](encryption.md).\n\
     - Encryption in two layers (`aws:kms:dsse`) is not implemented.\n\
     - Keys of SSE-KMS are shown by their names, not by ARNs.\n";

/// The text of the page.
#[must_use]
pub fn page() -> String {
    let count = |status| Operation::ALL.iter().filter(|op| op.status() == status).count();
    let (implemented, stored) = (count(Status::Implemented), count(Status::Stored));
    let mut out = format!(
        "# Compatibility with Amazon S3\n\n\
         Generated from the table of operations in `server/s3`; a test checks that it is current, and \
         another one calls every operation and checks that it is true.\n\n\
         {implemented} of the {} operations in botocore's model of S3 are implemented. {stored} more are stored and \
         returned: the configuration is checked and kept, and has no other effect on this server. Every other one \
         answers `501 NotImplemented` with its name.\n\n\
         | Operation | Request | Status |\n|---|---|---|\n",
        Operation::ALL.len()
    );
    for operation in Operation::ALL {
        let status = match (operation.selector(), operation.status()) {
            (Selector::Elsewhere(place), _) => format!("see {place}"),
            (_, Status::Implemented) => "implemented".to_owned(),
            (_, Status::Stored) => "stored and returned".to_owned(),
            (_, Status::Missing) => "not implemented".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {operation} | `{}` | {status} |", request(*operation));
    }
    out.push_str(DIFFERENCES);
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
