use super::*;
use crate::error::ErrorCode;
use crate::xml::read::{Limits, parse};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn read(inside: &str, destination: &str) -> S3Result<Inventory> {
    let document = format!(
        "<I><Id>i</Id><IsEnabled>true</IsEnabled><IncludedObjectVersions>All</IncludedObjectVersions>{inside}\
         <Schedule><Frequency>Weekly</Frequency></Schedule><Destination><S3BucketDestination>{destination}\
         </S3BucketDestination></Destination></I>"
    );
    Inventory::of_element(&parse(document.as_bytes(), &Limits::SMALL)?)
}

#[test]
fn weeks_begin_on_sundays_and_days_at_midnight() {
    // Sunday, 4 January 1970.
    let sunday = UnixMillis(3 * 24 * 60 * 60 * 1000);
    let week = |at_ms: i64| number_of(UnixMillis(at_ms), DAY, Frequency::Weekly);
    assert_eq!(week(sunday.0), week(sunday.0 - 1) + 1);
    assert_eq!(week(sunday.0), week(sunday.0 + 7 * 24 * 60 * 60 * 1000 - 1));
    let day = |at_ms: i64| number_of(UnixMillis(at_ms), DAY, Frequency::Daily);
    assert_eq!((day(sunday.0 - 1), day(sunday.0)), (2, 3));
}

#[test]
fn configurations_tell_columns_and_places() {
    let fields = "<OptionalFields><Field>ETag</Field><Field>Size</Field></OptionalFields>";
    let to = "<Bucket>arn:aws:s3:::lists</Bucket><Format>CSV</Format><Prefix>p/</Prefix>";
    let inventory = read(fields, to).unwrap();
    assert_eq!(
        inventory.columns(),
        ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "ETag"]
    );
    assert_eq!(folder(&inventory, &BucketName::new("corpora").unwrap()), "p/corpora/i/");
    let Stamps { folder, partition } = stamps(UnixMillis(1_478_467_920_000)).unwrap();
    assert_eq!((folder.as_str(), partition.as_str()), ("2016-11-06T21-32Z", "2016-11-06-21-32"));
}

#[test]
fn what_is_not_made_is_refused() {
    let csv = "<Bucket>arn:aws:s3:::lists</Bucket><Format>CSV</Format>";
    let code =
        |inside: &str, destination: &str| read(inside, destination).map(drop).map_err(|error| error.code());
    assert_eq!(code("", csv), Ok(()));
    assert_eq!(code("", &csv.replace("CSV", "ORC")), Err(ErrorCode::NotImplemented));
    assert_eq!(code("", &csv.replace("arn:aws:s3:::", "")), Err(ErrorCode::InvalidArgument));
    let field = "<OptionalFields><Field>EncryptionStatus</Field></OptionalFields>";
    assert_eq!(code(field, csv), Err(ErrorCode::NotImplemented));
}
