use super::*;
use crate::error::ErrorCode;

fn read(inside: &str) -> S3Result<NotificationRules> {
    let document = format!("<NotificationConfiguration>{inside}</NotificationConfiguration>");
    parse(document.as_bytes(), &["hook".to_owned(), "other".to_owned()], || "made".to_owned())
}

fn queue(rest: &str) -> String {
    format!(
        "<QueueConfiguration><Queue>arn:granary:sqs:us-east-1:000000000000:hook</Queue>{rest}</QueueConfiguration>"
    )
}

fn filter(prefix: &str, suffix: &str) -> String {
    format!(
        "<Filter><S3Key><FilterRule><Name>Prefix</Name><Value>{prefix}</Value></FilterRule>\
         <FilterRule><Name>suffix</Name><Value>{suffix}</Value></FilterRule></S3Key></Filter>"
    )
}

const CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

#[test]
fn destinations_are_the_targets_of_the_operator() {
    let read_one = read(&queue(&format!("<Id>i</Id>{CREATED}{}", filter("a/", ".jpg")))).unwrap();
    let rule = &read_one.rules[0];
    assert_eq!((rule.id.as_str(), rule.target.as_str()), ("i", "hook"));
    assert_eq!((rule.prefix.as_deref(), rule.suffix.as_deref()), (Some("a/"), Some(".jpg")));
    let topic = "<TopicConfiguration><Topic>arn:aws:sns:r:a:other</Topic><Event>s3:ObjectRemoved:Delete</Event></TopicConfiguration>";
    let rule = &read(topic).unwrap().rules[0];
    assert_eq!(
        (rule.id.as_str(), rule.target.as_str(), rule.destination),
        ("made", "other", DestinationKind::Topic)
    );
    assert_eq!(read("").unwrap(), NotificationRules::default());
}

#[test]
fn what_is_kept_is_taken_again() {
    for inside in [
        queue(&format!("<Id> a&amp;b </Id>{CREATED}{}", filter(" x&#xD;&lt; ", ""))),
        queue(CREATED),
        String::new(),
    ] {
        let document = format!("<NotificationConfiguration>{inside}</NotificationConfiguration>");
        crate::notifications::check_notifications(document.as_bytes());
    }
}

#[test]
fn no_request_names_a_target_of_its_own() {
    for arn in [
        "arn:granary:sqs:r:a:unknown",
        "arn:granary:sns:r:a:hook",
        "arn:granary:sqs:r:hook",
        "hook",
        "https://169.254.169.254/",
        "arn:granary:sqs:r:a:https://evil.example/",
        "arn:other:sqs:r:a:hook",
        "arn:granary:sqs:r:a:",
        "",
    ] {
        let document = format!("<QueueConfiguration><Queue>{arn}</Queue>{CREATED}</QueueConfiguration>");
        assert_eq!(read(&document).unwrap_err().code(), ErrorCode::InvalidArgument, "{arn}");
    }
    let function = format!(
        "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:r:a:function:hook</CloudFunction>{CREATED}</CloudFunctionConfiguration>"
    );
    assert_eq!(read(&function).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(read("<EventBridgeConfiguration/>").unwrap_err().code(), ErrorCode::NotImplemented);
}

#[test]
fn what_aws_refuses_is_refused() {
    let twice = |rest: &str| {
        format!(
            "{}{}",
            queue(&format!("<Id>a</Id>{CREATED}{rest}")),
            queue(&format!("<Id>b</Id>{CREATED}{rest}"))
        )
    };
    for (document, code) in [
        (queue(""), ErrorCode::MalformedXML),
        (queue("<Event>s3:ObjectEaten:*</Event>"), ErrorCode::InvalidArgument),
        (
            queue(&format!(
                "{CREATED}<Filter><S3Key><FilterRule><Name>infix</Name><Value>a</Value></FilterRule></S3Key></Filter>"
            )),
            ErrorCode::InvalidArgument,
        ),
        (queue(&format!("{CREATED}<Other/>")), ErrorCode::MalformedXML),
        (queue(&format!("{CREATED}<Id>a</Id><Id>b</Id>")), ErrorCode::MalformedXML),
        (twice(""), ErrorCode::InvalidArgument),
        (twice(&filter("a", "b")), ErrorCode::InvalidArgument),
        (format!("{0}{0}", queue(CREATED)), ErrorCode::InvalidArgument),
        (queue(&format!("{CREATED}{}", filter(&"x".repeat(1025), ""))), ErrorCode::InvalidArgument),
        (queue(CREATED).repeat(101), ErrorCode::MalformedXML),
    ] {
        assert_eq!(read(&document).unwrap_err().code(), code, "{document}");
    }
}

#[test]
fn configurations_that_share_no_event_stand_beside_each_other() {
    let both = |a: &str, b: &str| {
        read(&format!("{}{}", queue(&format!("<Id>a</Id>{a}")), queue(&format!("<Id>b</Id>{b}"))))
    };
    let with = |prefix: &str, suffix: &str| format!("{CREATED}{}", filter(prefix, suffix));
    assert!(both(&with("a/", ""), &with("b/", "")).is_ok());
    assert!(both(&with("", ".jpg"), &with("", ".png")).is_ok());
    assert!(both(CREATED, "<Event>s3:ObjectRemoved:*</Event>").is_ok());
    assert!(both(&with("a/", ""), &with("a/b", "")).is_err());
    assert!(both(&with("a/", ".jpg"), &with("", "x.jpg")).is_err());
    assert!(both(CREATED, "<Event>s3:ObjectCreated:Put</Event>").is_err());
}
