//! Every operation of S3 and how a request names it.
//!
//! The table holds the 116 operations of botocore's model of S3, whether implemented here or not. A request is
//! routed over the whole table, so that an operation that is missing is answered with `NotImplemented` and its
//! name, and is never mistaken for another one: `PUT /bucket/key?tagging` must not replace the object.

use std::fmt;

use http::{HeaderMap, Method};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::form::parser::not_a_form;
use crate::query::Query;

/// What the path of an operation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `/`.
    Service,
    /// `/bucket`.
    Bucket,
    /// `/bucket/key`.
    Object,
}

/// What tells an operation from others of the same method and scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Nothing: the operation if nothing else is selected.
    Plain,
    /// A query parameter of this name.
    Subresource(&'static str),
    /// A query parameter of this name together with `id`.
    SubresourceWithId(&'static str),
    /// `annotation` together with `annotationName`.
    NamedAnnotation,
    /// `uploadId` (or `partNumber` on a PUT) in the query.
    Upload,
    /// As [`Selector::Upload`], with an `x-amz-copy-source` header.
    UploadCopy,
    /// An `x-amz-copy-source` header.
    Copy,
    /// `list-type=2`.
    ListType2,
    /// `POST /WriteGetObjectResponse` with its routing header.
    ObjectLambda,
    /// Requests never name it here: it has another endpoint, or another operation stands for it.
    Elsewhere(&'static str),
}

/// Whether this server has the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Implemented,
    /// What is put is checked, kept and returned, and has no other effect here.
    Stored,
    /// It answers that there is none of what it reads: none can be put here.
    Absent,
    /// It answers `NotImplemented`.
    Missing,
}

macro_rules! operations {
    ($($name:ident: $method:ident $scope:ident $selector:ident$(($argument:literal))? $status:ident;)+) => {
        /// An operation of S3.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the variants are AWS's names")]
        pub enum Operation {
            $($name),+
        }

        impl Operation {
            /// Every operation, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// AWS's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The HTTP method.
            #[must_use]
            pub fn method(self) -> Method {
                match self { $(Self::$name => Method::$method),+ }
            }

            /// What the path names.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope),+ }
            }

            /// What selects it.
            #[must_use]
            pub fn selector(self) -> Selector {
                match self { $(Self::$name => Selector::$selector$(($argument))?),+ }
            }

            /// Whether this server has it.
            #[must_use]
            pub fn status(self) -> Status {
                match self { $(Self::$name => Status::$status),+ }
            }
        }
    };
}

operations! {
    AbortMultipartUpload: DELETE Object Upload Implemented;
    CompleteMultipartUpload: POST Object Upload Implemented;
    CopyObject: PUT Object Copy Implemented;
    CreateBucket: PUT Bucket Plain Implemented;
    CreateBucketMetadataConfiguration: POST Bucket Subresource("metadataConfiguration") Missing;
    CreateBucketMetadataTableConfiguration: POST Bucket Subresource("metadataTable") Missing;
    CreateMultipartUpload: POST Object Subresource("uploads") Implemented;
    CreateSession: GET Bucket Subresource("session") Missing;
    DeleteBucket: DELETE Bucket Plain Implemented;
    DeleteBucketAnalyticsConfiguration: DELETE Bucket SubresourceWithId("analytics") Stored;
    DeleteBucketCors: DELETE Bucket Subresource("cors") Implemented;
    DeleteBucketEncryption: DELETE Bucket Subresource("encryption") Implemented;
    DeleteBucketIntelligentTieringConfiguration: DELETE Bucket SubresourceWithId("intelligent-tiering") Stored;
    DeleteBucketInventoryConfiguration: DELETE Bucket SubresourceWithId("inventory") Implemented;
    DeleteBucketLifecycle: DELETE Bucket Subresource("lifecycle") Implemented;
    DeleteBucketMetadataConfiguration: DELETE Bucket Subresource("metadataConfiguration") Missing;
    DeleteBucketMetadataTableConfiguration: DELETE Bucket Subresource("metadataTable") Missing;
    DeleteBucketMetricsConfiguration: DELETE Bucket SubresourceWithId("metrics") Stored;
    DeleteBucketOwnershipControls: DELETE Bucket Subresource("ownershipControls") Implemented;
    DeleteBucketPolicy: DELETE Bucket Subresource("policy") Implemented;
    DeleteBucketReplication: DELETE Bucket Subresource("replication") Missing;
    DeleteBucketTagging: DELETE Bucket Subresource("tagging") Implemented;
    DeleteBucketWebsite: DELETE Bucket Subresource("website") Implemented;
    DeleteObject: DELETE Object Plain Implemented;
    DeleteObjectAnnotation: DELETE Object Subresource("annotation") Missing;
    DeleteObjectTagging: DELETE Object Subresource("tagging") Implemented;
    DeleteObjects: POST Bucket Subresource("delete") Implemented;
    DeletePublicAccessBlock: DELETE Bucket Subresource("publicAccessBlock") Implemented;
    GetBucketAbac: GET Bucket Subresource("abac") Missing;
    GetBucketAccelerateConfiguration: GET Bucket Subresource("accelerate") Stored;
    GetBucketAcl: GET Bucket Subresource("acl") Implemented;
    GetBucketAnalyticsConfiguration: GET Bucket SubresourceWithId("analytics") Stored;
    GetBucketCors: GET Bucket Subresource("cors") Implemented;
    GetBucketEncryption: GET Bucket Subresource("encryption") Implemented;
    GetBucketIntelligentTieringConfiguration: GET Bucket SubresourceWithId("intelligent-tiering") Stored;
    GetBucketInventoryConfiguration: GET Bucket SubresourceWithId("inventory") Implemented;
    GetBucketLifecycle: GET Bucket Elsewhere("GetBucketLifecycleConfiguration") Missing;
    GetBucketLifecycleConfiguration: GET Bucket Subresource("lifecycle") Implemented;
    GetBucketLocation: GET Bucket Subresource("location") Implemented;
    GetBucketLogging: GET Bucket Subresource("logging") Implemented;
    GetBucketMetadataConfiguration: GET Bucket Subresource("metadataConfiguration") Missing;
    GetBucketMetadataTableConfiguration: GET Bucket Subresource("metadataTable") Missing;
    GetBucketMetricsConfiguration: GET Bucket SubresourceWithId("metrics") Stored;
    GetBucketNotification: GET Bucket Elsewhere("GetBucketNotificationConfiguration") Missing;
    GetBucketNotificationConfiguration: GET Bucket Subresource("notification") Implemented;
    GetBucketOwnershipControls: GET Bucket Subresource("ownershipControls") Implemented;
    GetBucketPolicy: GET Bucket Subresource("policy") Implemented;
    GetBucketPolicyStatus: GET Bucket Subresource("policyStatus") Implemented;
    GetBucketReplication: GET Bucket Subresource("replication") Absent;
    GetBucketRequestPayment: GET Bucket Subresource("requestPayment") Implemented;
    GetBucketTagging: GET Bucket Subresource("tagging") Implemented;
    GetBucketVersioning: GET Bucket Subresource("versioning") Implemented;
    GetBucketWebsite: GET Bucket Subresource("website") Implemented;
    GetObject: GET Object Plain Implemented;
    GetObjectAcl: GET Object Subresource("acl") Implemented;
    GetObjectAnnotation: GET Object NamedAnnotation Missing;
    GetObjectAttributes: GET Object Subresource("attributes") Implemented;
    GetObjectLegalHold: GET Object Subresource("legal-hold") Implemented;
    GetObjectLockConfiguration: GET Bucket Subresource("object-lock") Implemented;
    GetObjectRetention: GET Object Subresource("retention") Implemented;
    GetObjectTagging: GET Object Subresource("tagging") Implemented;
    GetObjectTorrent: GET Object Subresource("torrent") Implemented;
    GetPublicAccessBlock: GET Bucket Subresource("publicAccessBlock") Implemented;
    HeadBucket: HEAD Bucket Plain Implemented;
    HeadObject: HEAD Object Plain Implemented;
    ListBucketAnalyticsConfigurations: GET Bucket Subresource("analytics") Stored;
    ListBucketIntelligentTieringConfigurations: GET Bucket Subresource("intelligent-tiering") Stored;
    ListBucketInventoryConfigurations: GET Bucket Subresource("inventory") Implemented;
    ListBucketMetricsConfigurations: GET Bucket Subresource("metrics") Stored;
    ListBuckets: GET Service Plain Implemented;
    ListDirectoryBuckets: GET Service Elsewhere("the endpoint of directory buckets") Missing;
    ListMultipartUploads: GET Bucket Subresource("uploads") Implemented;
    ListObjectAnnotations: GET Object Subresource("annotation") Missing;
    ListObjectVersions: GET Bucket Subresource("versions") Implemented;
    ListObjects: GET Bucket Plain Implemented;
    ListObjectsV2: GET Bucket ListType2 Implemented;
    ListParts: GET Object Upload Implemented;
    PutBucketAbac: PUT Bucket Subresource("abac") Missing;
    PutBucketAccelerateConfiguration: PUT Bucket Subresource("accelerate") Stored;
    PutBucketAcl: PUT Bucket Subresource("acl") Implemented;
    PutBucketAnalyticsConfiguration: PUT Bucket SubresourceWithId("analytics") Stored;
    PutBucketCors: PUT Bucket Subresource("cors") Implemented;
    PutBucketEncryption: PUT Bucket Subresource("encryption") Implemented;
    PutBucketIntelligentTieringConfiguration: PUT Bucket SubresourceWithId("intelligent-tiering") Stored;
    PutBucketInventoryConfiguration: PUT Bucket SubresourceWithId("inventory") Implemented;
    PutBucketLifecycle: PUT Bucket Elsewhere("PutBucketLifecycleConfiguration") Missing;
    PutBucketLifecycleConfiguration: PUT Bucket Subresource("lifecycle") Implemented;
    PutBucketLogging: PUT Bucket Subresource("logging") Implemented;
    PutBucketMetricsConfiguration: PUT Bucket SubresourceWithId("metrics") Stored;
    PutBucketNotification: PUT Bucket Elsewhere("PutBucketNotificationConfiguration") Missing;
    PutBucketNotificationConfiguration: PUT Bucket Subresource("notification") Implemented;
    PutBucketOwnershipControls: PUT Bucket Subresource("ownershipControls") Implemented;
    PutBucketPolicy: PUT Bucket Subresource("policy") Implemented;
    PutBucketReplication: PUT Bucket Subresource("replication") Missing;
    PutBucketRequestPayment: PUT Bucket Subresource("requestPayment") Implemented;
    PutBucketTagging: PUT Bucket Subresource("tagging") Implemented;
    PutBucketVersioning: PUT Bucket Subresource("versioning") Implemented;
    PutBucketWebsite: PUT Bucket Subresource("website") Implemented;
    PutObject: PUT Object Plain Implemented;
    PutObjectAcl: PUT Object Subresource("acl") Implemented;
    PutObjectAnnotation: PUT Object Subresource("annotation") Missing;
    PutObjectLegalHold: PUT Object Subresource("legal-hold") Implemented;
    PutObjectLockConfiguration: PUT Bucket Subresource("object-lock") Implemented;
    PutObjectRetention: PUT Object Subresource("retention") Implemented;
    PutObjectTagging: PUT Object Subresource("tagging") Implemented;
    PutPublicAccessBlock: PUT Bucket Subresource("publicAccessBlock") Implemented;
    RenameObject: PUT Object Subresource("renameObject") Implemented;
    RestoreObject: POST Object Subresource("restore") Implemented;
    SelectObjectContent: POST Object Subresource("select") Missing;
    UpdateBucketMetadataAnnotationTableConfiguration: PUT Bucket Subresource("metadataAnnotationTable") Missing;
    UpdateBucketMetadataInventoryTableConfiguration: PUT Bucket Subresource("metadataInventoryTable") Missing;
    UpdateBucketMetadataJournalTableConfiguration: PUT Bucket Subresource("metadataJournalTable") Missing;
    UpdateObjectEncryption: PUT Object Subresource("encryption") Missing;
    UploadPart: PUT Object Upload Implemented;
    UploadPartCopy: PUT Object UploadCopy Implemented;
    WriteGetObjectResponse: POST Service ObjectLambda Missing;
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Finds the operation of a request.
///
/// # Errors
/// `MethodNotAllowed` when no operation has this method here, `InvalidArgument` for an unknown `list-type`, and
/// `PreconditionFailed` for a POST to a bucket that is no form.
pub fn route(method: &Method, scope: Scope, query: &Query<'_>, headers: &HeaderMap) -> S3Result<Operation> {
    if !query.is_empty()
        && let Some(operation) = by_query(method, scope, query, headers)?
    {
        return Ok(operation);
    }
    match (scope, method) {
        (Scope::Service, &Method::GET) => Ok(Operation::ListBuckets),
        (Scope::Bucket, &Method::GET) => Ok(Operation::ListObjects),
        (Scope::Bucket, &Method::HEAD) => Ok(Operation::HeadBucket),
        (Scope::Bucket, &Method::PUT) => Ok(Operation::CreateBucket),
        (Scope::Bucket, &Method::DELETE) => Ok(Operation::DeleteBucket),
        // A browser's form is taken up before anything is routed.
        (Scope::Bucket, &Method::POST) => Err(not_a_form()),
        (Scope::Object, &Method::GET) => Ok(Operation::GetObject),
        (Scope::Object, &Method::HEAD) => Ok(Operation::HeadObject),
        (Scope::Object, &Method::PUT) if headers.contains_key("x-amz-copy-source") => {
            Ok(Operation::CopyObject)
        }
        (Scope::Object, &Method::PUT) => Ok(Operation::PutObject),
        (Scope::Object, &Method::DELETE) => Ok(Operation::DeleteObject),
        _ => Err(method_not_allowed(method)),
    }
}

fn method_not_allowed(method: &Method) -> S3Error {
    S3Error::new(ErrorCode::MethodNotAllowed).field("Method", method.as_str())
}

/// The operation that the query selects, if it selects one.
fn by_query(
    method: &Method,
    scope: Scope,
    query: &Query<'_>,
    headers: &HeaderMap,
) -> S3Result<Option<Operation>> {
    if scope == Scope::Object
        && let Some(operation) = upload_operation(method, query, headers)
    {
        return Ok(Some(operation));
    }
    let mut selects_another = false;
    let names_annotation = query.get("annotation").is_some() && query.get("annotationName").is_some();
    if scope == Scope::Object && *method == Method::GET && names_annotation {
        return Ok(Some(Operation::GetObjectAnnotation));
    }
    for (name, _) in query.pairs() {
        let mut without_id = None;
        for operation in Operation::ALL {
            let needs_id = match operation.selector() {
                Selector::Subresource(selector) if selector == name => false,
                Selector::SubresourceWithId(selector) if selector == name => true,
                _ => continue,
            };
            if operation.method() != *method || operation.scope() != scope {
                selects_another = true;
            } else if needs_id && query.get("id").is_none() {
                without_id = without_id.or(Some(*operation));
            } else if !needs_id && query.get("id").is_some() && has_id_form(*operation, name) {
                // ListBucketAnalyticsConfigurations with an id is GetBucketAnalyticsConfiguration.
            } else {
                return Ok(Some(*operation));
            }
        }
        if without_id.is_some() {
            return Ok(without_id);
        }
    }
    // A write that selects something it cannot write must not fall through to the plain write.
    if selects_another && !matches!(*method, Method::GET | Method::HEAD) {
        return Err(method_not_allowed(method));
    }
    match query.get("list-type") {
        // Version 1 is what was before there were versions.
        None | Some("1") => Ok(None),
        Some("2") if scope == Scope::Bucket && *method == Method::GET => Ok(Some(Operation::ListObjectsV2)),
        Some(other) if scope == Scope::Bucket && *method == Method::GET => {
            Err(S3Error::invalid_argument("list-type", other, "Incorrect List Type specified in Request"))
        }
        _ => Ok(None),
    }
}

fn has_id_form(operation: Operation, name: &str) -> bool {
    Operation::ALL.iter().any(|other| {
        matches!(other.selector(), Selector::SubresourceWithId(selector) if selector == name)
            && other.method() == operation.method()
    })
}

/// The operations on an upload. A PUT with half of what UploadPart needs is still UploadPart, whose handler
/// refuses it; it is never PutObject.
fn upload_operation(method: &Method, query: &Query<'_>, headers: &HeaderMap) -> Option<Operation> {
    let upload = query.get("uploadId").is_some();
    let part = query.get("partNumber").is_some();
    match *method {
        Method::PUT if (upload || part) && headers.contains_key("x-amz-copy-source") => {
            Some(Operation::UploadPartCopy)
        }
        Method::PUT if upload || part => Some(Operation::UploadPart),
        Method::POST if upload => Some(Operation::CompleteMultipartUpload),
        Method::DELETE if upload => Some(Operation::AbortMultipartUpload),
        Method::GET if upload => Some(Operation::ListParts),
        _ => None,
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
