//! The kinds of configurations, with the schemas of AWS's API reference.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>

use super::checks;
use super::schema::Content::{Flag, Grantee, Group, Number, OneOf, Text};
use super::schema::{Member, many, maybe, one, some};
use crate::body::Protection;
use crate::error::{ErrorCode, S3Result};
use crate::operation::Operation;
use crate::xml::read::Element;

/// The name of a bucket's tags.
pub(super) const TAGGING: &str = "tagging/";

/// A kind of configuration.
pub(in crate::ops) struct Kind {
    /// What the names of its documents begin with.
    pub(super) name: &'static str,
    /// The root element of its documents.
    pub(super) root: &'static str,
    /// That of its list.
    pub(super) list_root: &'static str,
    /// Get, put, delete and list.
    pub(super) operations: [Option<Operation>; 4],
    /// Whether a bucket may have several, told apart by their ids.
    pub(super) has_ids: bool,
    /// What the root holds.
    pub(super) schema: &'static [Member],
    /// What the schema does not say.
    pub(super) check: fn(&Element) -> S3Result<()>,
    /// What a bucket has that was given none.
    pub(super) default: Option<&'static str>,
    /// The answer when there is none, or no more.
    pub(super) missing: Option<ErrorCode>,
    /// Whether the document must come with a digest.
    pub(super) protection: Protection,
}

const PLAIN: Kind = Kind {
    name: "",
    root: "",
    list_root: "",
    operations: [None; 4],
    has_ids: false,
    schema: &[],
    check: checks::nothing,
    default: None,
    missing: None,
    protection: Protection::Optional,
};

const TAG: &[Member] = &[one("Key", Text), one("Value", Text)];
const FILTER: &[Member] = &[
    maybe("Prefix", Text),
    maybe("Tag", Group(TAG)),
    maybe("AccessPointArn", Text),
    maybe("And", Group(&[maybe("Prefix", Text), many("Tag", Group(TAG)), maybe("AccessPointArn", Text)])),
];
const PROTOCOL: &[&str] = &["http", "https"];
pub(super) const ALL: &[Kind] = &[
    Kind {
        name: TAGGING,
        root: "Tagging",
        operations: [
            Some(Operation::GetBucketTagging),
            Some(Operation::PutBucketTagging),
            Some(Operation::DeleteBucketTagging),
            None,
        ],
        schema: &[one("TagSet", Group(&[many("Tag", Group(TAG))]))],
        check: checks::tagging,
        missing: Some(ErrorCode::NoSuchTagSet),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: crate::cors::DOCUMENT,
        root: crate::cors::ROOT,
        operations: [
            Some(Operation::GetBucketCors),
            Some(Operation::PutBucketCors),
            Some(Operation::DeleteBucketCors),
            None,
        ],
        schema: &[some(
            "CORSRule",
            Group(&[
                maybe("ID", Text),
                many("AllowedHeader", Text),
                some("AllowedMethod", Text),
                some("AllowedOrigin", Text),
                many("ExposeHeader", Text),
                maybe("MaxAgeSeconds", Number),
            ]),
        )],
        check: checks::cors,
        missing: Some(ErrorCode::NoSuchCORSConfiguration),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: "accelerate/",
        root: "AccelerateConfiguration",
        operations: [
            Some(Operation::GetBucketAccelerateConfiguration),
            Some(Operation::PutBucketAccelerateConfiguration),
            None,
            None,
        ],
        schema: &[one("Status", OneOf(&["Enabled", "Suspended"]))],
        default: Some(""),
        ..PLAIN
    },
    Kind {
        name: "analytics/",
        root: "AnalyticsConfiguration",
        list_root: "ListBucketAnalyticsConfigurationResult",
        operations: [
            Some(Operation::GetBucketAnalyticsConfiguration),
            Some(Operation::PutBucketAnalyticsConfiguration),
            Some(Operation::DeleteBucketAnalyticsConfiguration),
            Some(Operation::ListBucketAnalyticsConfigurations),
        ],
        has_ids: true,
        schema: &[
            one("Id", Text),
            maybe("Filter", Group(FILTER)),
            one(
                "StorageClassAnalysis",
                Group(&[maybe(
                    "DataExport",
                    Group(&[
                        one("OutputSchemaVersion", OneOf(&["V_1"])),
                        one(
                            "Destination",
                            Group(&[one(
                                "S3BucketDestination",
                                Group(&[
                                    one("Format", OneOf(&["CSV"])),
                                    maybe("BucketAccountId", Text),
                                    one("Bucket", Text),
                                    maybe("Prefix", Text),
                                ]),
                            )]),
                        ),
                    ]),
                )]),
            ),
        ],
        missing: Some(ErrorCode::NoSuchConfiguration),
        ..PLAIN
    },
    Kind {
        name: "metrics/",
        root: "MetricsConfiguration",
        list_root: "ListMetricsConfigurationsResult",
        operations: [
            Some(Operation::GetBucketMetricsConfiguration),
            Some(Operation::PutBucketMetricsConfiguration),
            Some(Operation::DeleteBucketMetricsConfiguration),
            Some(Operation::ListBucketMetricsConfigurations),
        ],
        has_ids: true,
        schema: &[one("Id", Text), maybe("Filter", Group(FILTER))],
        missing: Some(ErrorCode::NoSuchConfiguration),
        ..PLAIN
    },
    Kind {
        name: "intelligent-tiering/",
        root: "IntelligentTieringConfiguration",
        list_root: "ListBucketIntelligentTieringConfigurationsOutput",
        operations: [
            Some(Operation::GetBucketIntelligentTieringConfiguration),
            Some(Operation::PutBucketIntelligentTieringConfiguration),
            Some(Operation::DeleteBucketIntelligentTieringConfiguration),
            Some(Operation::ListBucketIntelligentTieringConfigurations),
        ],
        has_ids: true,
        schema: &[
            one("Id", Text),
            maybe("Filter", Group(FILTER)),
            one("Status", OneOf(&["Enabled", "Disabled"])),
            some(
                "Tiering",
                Group(&[
                    one("AccessTier", OneOf(&["ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"])),
                    one("Days", Number),
                ]),
            ),
        ],
        check: checks::intelligent_tiering,
        missing: Some(ErrorCode::NoSuchConfiguration),
        ..PLAIN
    },
    Kind {
        name: crate::inventory::DOCUMENT,
        root: "InventoryConfiguration",
        list_root: "ListInventoryConfigurationsResult",
        operations: [
            Some(Operation::GetBucketInventoryConfiguration),
            Some(Operation::PutBucketInventoryConfiguration),
            Some(Operation::DeleteBucketInventoryConfiguration),
            Some(Operation::ListBucketInventoryConfigurations),
        ],
        has_ids: true,
        schema: INVENTORY,
        check: checks::inventory,
        missing: Some(ErrorCode::NoSuchConfiguration),
        ..PLAIN
    },
    Kind {
        name: crate::logs::DOCUMENT,
        root: "BucketLoggingStatus",
        operations: [Some(Operation::GetBucketLogging), Some(Operation::PutBucketLogging), None, None],
        schema: LOGGING,
        default: Some(""),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: crate::access::payment::DOCUMENT,
        root: "RequestPaymentConfiguration",
        operations: [
            Some(Operation::GetBucketRequestPayment),
            Some(Operation::PutBucketRequestPayment),
            None,
            None,
        ],
        schema: &[one("Payer", OneOf(&["BucketOwner", "Requester"]))],
        default: Some("<Payer>BucketOwner</Payer>"),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: crate::access::rules::OWNERSHIP,
        root: "OwnershipControls",
        operations: [
            Some(Operation::GetBucketOwnershipControls),
            Some(Operation::PutBucketOwnershipControls),
            Some(Operation::DeleteBucketOwnershipControls),
            None,
        ],
        schema: &[some(
            "Rule",
            Group(&[one(
                "ObjectOwnership",
                OneOf(&["BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"]),
            )]),
        )],
        check: checks::ownership,
        default: Some("<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"),
        missing: Some(ErrorCode::OwnershipControlsNotFoundError),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: crate::access::rules::BLOCK,
        root: "PublicAccessBlockConfiguration",
        operations: [
            Some(Operation::GetPublicAccessBlock),
            Some(Operation::PutPublicAccessBlock),
            Some(Operation::DeletePublicAccessBlock),
            None,
        ],
        schema: &[
            maybe("BlockPublicAcls", Flag),
            maybe("IgnorePublicAcls", Flag),
            maybe("BlockPublicPolicy", Flag),
            maybe("RestrictPublicBuckets", Flag),
        ],
        check: checks::not_empty,
        default: Some(
            "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
             <BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>",
        ),
        missing: Some(ErrorCode::NoSuchPublicAccessBlockConfiguration),
        protection: Protection::Required,
        ..PLAIN
    },
    Kind {
        name: "website/",
        root: "WebsiteConfiguration",
        operations: [
            Some(Operation::GetBucketWebsite),
            Some(Operation::PutBucketWebsite),
            Some(Operation::DeleteBucketWebsite),
            None,
        ],
        schema: WEBSITE,
        check: crate::website::check,
        missing: Some(ErrorCode::NoSuchWebsiteConfiguration),
        protection: Protection::Required,
        ..PLAIN
    },
];

const INVENTORY: &[Member] = &[
    one("Id", Text),
    one("IsEnabled", Flag),
    one("IncludedObjectVersions", OneOf(&["All", "Current"])),
    maybe("Filter", Group(&[one("Prefix", Text)])),
    maybe("OptionalFields", Group(&[many("Field", Text)])),
    one("Schedule", Group(&[one("Frequency", OneOf(&["Daily", "Weekly"]))])),
    one(
        "Destination",
        Group(&[one(
            "S3BucketDestination",
            Group(&[
                maybe("AccountId", Text),
                one("Bucket", Text),
                one("Format", OneOf(&["CSV", "ORC", "Parquet"])),
                maybe("Prefix", Text),
                maybe(
                    "Encryption",
                    Group(&[maybe("SSE-S3", Group(&[])), maybe("SSE-KMS", Group(&[one("KeyId", Text)]))]),
                ),
            ]),
        )]),
    ),
];

const LOGGING: &[Member] = &[maybe(
    "LoggingEnabled",
    Group(&[
        one("TargetBucket", Text),
        one("TargetPrefix", Text),
        maybe(
            "TargetGrants",
            Group(&[many(
                "Grant",
                Group(&[
                    one("Grantee", Grantee),
                    one("Permission", OneOf(&["FULL_CONTROL", "READ", "WRITE"])),
                ]),
            )]),
        ),
        maybe(
            "TargetObjectKeyFormat",
            Group(&[
                maybe("SimplePrefix", Group(&[])),
                maybe(
                    "PartitionedPrefix",
                    Group(&[maybe("PartitionDateSource", OneOf(&["EventTime", "DeliveryTime"]))]),
                ),
            ]),
        ),
    ]),
)];

const WEBSITE: &[Member] = &[
    maybe("ErrorDocument", Group(&[one("Key", Text)])),
    maybe("IndexDocument", Group(&[one("Suffix", Text)])),
    maybe("RedirectAllRequestsTo", Group(&[one("HostName", Text), maybe("Protocol", OneOf(PROTOCOL))])),
    maybe(
        "RoutingRules",
        Group(&[some(
            "RoutingRule",
            Group(&[
                maybe(
                    "Condition",
                    Group(&[maybe("HttpErrorCodeReturnedEquals", Number), maybe("KeyPrefixEquals", Text)]),
                ),
                one(
                    "Redirect",
                    Group(&[
                        maybe("HostName", Text),
                        maybe("HttpRedirectCode", Number),
                        maybe("Protocol", OneOf(PROTOCOL)),
                        maybe("ReplaceKeyPrefixWith", Text),
                        maybe("ReplaceKeyWith", Text),
                    ]),
                ),
            ]),
        )]),
    ),
];
