use super::*;
use crate::error::ErrorCode;

fn parsed(inside: &str) -> S3Result<RestoreRequest> {
    let space = "http://s3.amazonaws.com/doc/2006-03-01/";
    parse_restore(format!("<RestoreRequest xmlns=\"{space}\">{inside}</RestoreRequest>").as_bytes())
}

#[test]
fn days_and_urgency_are_read() {
    let request = |days, tier| RestoreRequest { days, tier };
    assert_eq!(parsed("<Days>3</Days>").unwrap(), request(3, RetrievalTier::Standard));
    let bulk = "<Days> 1 </Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>";
    assert_eq!(parsed(bulk).unwrap(), request(1, RetrievalTier::Bulk));
    let expedited = parsed("<Days>1</Days><Tier>Expedited</Tier><Description>x</Description>");
    assert_eq!(expedited.unwrap(), request(1, RetrievalTier::Expedited));
}

#[test]
fn what_is_no_request_is_refused() {
    for bad in [
        "",
        "<Days>0</Days>",
        "<Days>-1</Days>",
        "<Days>x</Days>",
        "<Days>1</Days><Tier>Fast</Tier>",
        "<Days>1</Days><Other/>",
        "<Days>1</Days><GlacierJobParameters/>",
    ] {
        assert_eq!(parsed(bad).unwrap_err().code(), ErrorCode::MalformedXML, "{bad}");
    }
    assert_eq!(parsed("<Type>SELECT</Type>").unwrap_err().code(), ErrorCode::NotImplemented);
    assert_eq!(parse_restore(b"").unwrap_err().code(), ErrorCode::MalformedXML);
}
