use super::*;
use crate::maintain::sample::{Answers, Sample};

async fn length_behind(sample: &Sample, known: u64) -> Result<u64> {
    lengths(&sample.map(), &sample.view, known).await.map(|(longest, _)| longest)
}

/// Where a volume ends whose writer died.
async fn end_behind(sample: &Sample, (from, known): (u64, u64)) -> u64 {
    let view = Arc::clone(&sample.view);
    let tail = look_behind(&sample.map(), view, (from, known), UnixMillis(0)).await;
    tail.unwrap().end
}

/// The end was raised over it, and a heal counted a stripe as lost of which nothing had been acknowledged.
#[tokio::test]
async fn a_stripe_that_was_being_written_when_its_node_died_is_no_part_of_the_volume() {
    let mut sample = Sample::new();
    sample.add(9_000, &[0, 1, 2]);
    let known = sample.end;
    sample.add(9_000, &[0, 1, 2]);
    let acknowledged = sample.end;
    sample.add(9_000, &[0, 1, 2]);
    assert_eq!(
        end_behind(&sample, (known, known)).await,
        sample.end,
        "what landed everywhere may be acknowledged"
    );
    // The last stripe has landed on two columns of five.
    for column in [1, 3, 4] {
        let (bytes, _) = sample.columns[column].as_mut().unwrap();
        bytes.truncate(usize::try_from(acknowledged).unwrap());
    }
    for known in [(known, known), (FileHeader::LENGTH_BYTES, 0)] {
        assert_eq!(end_behind(&sample, known).await, acknowledged);
    }
    // A file that is gone may have had the stripe.
    sample.columns[3] = None;
    assert_eq!(end_behind(&sample, (known, known)).await, sample.end);
    // What is known to be committed is lost, and no less committed.
    assert_eq!(end_behind(&sample, (known, sample.end)).await, sample.end);
}

#[tokio::test]
async fn the_length_of_a_file_is_told_to_the_byte_where_its_end_can_be_read() {
    let mut sample = Sample::new();
    (0..3).for_each(|_| sample.add(9_000, &[0, 1, 2]));
    let end = sample.end;
    let (bytes, _) = sample.columns[1].as_mut().unwrap();
    bytes.truncate(bytes.len() - 1_000);
    let expected = sample.columns.iter().map(|column| column.as_ref().map(|(bytes, _)| bytes.len() as u64));
    let expected: Vec<_> = expected.collect();
    let known = FileHeader::LENGTH_BYTES;
    let (longest, lengths) = lengths(&sample.map(), &sample.view, known).await.unwrap();
    assert_eq!(lengths, expected);
    assert!(longest >= end - known);
    sample.columns[2].as_mut().unwrap().1 = Answers::BadAt(end - 2_000);
    let (_, lengths) = super::lengths(&sample.map(), &sample.view, known).await.unwrap();
    assert_eq!((lengths[1], lengths[2]), (expected[1], None));
}

/// A volume was sealed at the end that the metadata knew, though the drives that were away had more of it.
#[tokio::test]
async fn columns_that_are_lost_count_beside_those_that_do_not_answer() {
    let mut sample = Sample::new();
    sample.add(9_000, &[0, 1, 2]);
    let known = sample.end;
    sample.add(9_000, &[0]);
    assert!(length_behind(&sample, known).await.unwrap() > known);
    for column in [0, 3] {
        sample.columns[column].as_mut().unwrap().1 = Answers::Never;
    }
    assert!(length_behind(&sample, known).await.unwrap() > known, "the third column of the stripe tells");
    sample.columns[4] = None;
    assert!(matches!(length_behind(&sample, known).await, Err(EngineError::Unavailable { .. })));
    // Of a stripe that nobody is left to tell of, nobody waits for anything.
    for column in [0, 3] {
        sample.columns[column] = None;
    }
    assert!(length_behind(&sample, known).await.is_ok());
}

fn drives(numbers: &[u8]) -> Vec<DriveId> {
    numbers.iter().map(|number| DriveId::from_bytes([*number; 16])).collect()
}

/// A drive that was only asked at a bad moment counted as one without the column, and the volume's row named others.
#[test]
fn a_drive_that_does_not_tell_whether_it_has_a_column_is_not_taken_to_have_none() {
    let path = std::path::PathBuf::from("memory");
    assert!(is_there(Ok(Bytes::from_static(b"g"))).unwrap() && !is_there(Ok(Bytes::new())).unwrap());
    let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
    let gone = DriveError::Io { context: "opening", path: path.clone(), source: gone };
    assert!(!is_there(Err(gone)).unwrap());
    assert!(is_there(Err(DriveError::Stalled { path: path.clone() })).is_err());
    assert!(is_there(Err(DriveError::Peer { place: path, reason: "away".to_owned() })).is_err());

    let all = drives(&[1, 2, 3, 4, 5, 6, 7]);
    let found = |numbers: &[u8]| -> Vec<Option<DriveId>> {
        drives(numbers).into_iter().map(|drive| Some(drive).filter(|_| drive != drives(&[0])[0])).collect()
    };
    // Of 4+2: what is missing is said to be where nobody answers, before it is said to be anywhere else.
    let places = guess(&found(&[1, 0, 3, 4, 0, 6]), 2, (&drives(&[7, 3]), &all)).unwrap();
    assert_eq!(places, found(&[1, 7, 3, 4, 2, 6]));
    // More is missing than can be rebuilt, and may be on a drive that does not answer: it is asked again.
    let few = found(&[1, 0, 3, 0, 0, 6]);
    assert!(matches!(guess(&few, 2, (&drives(&[7]), &all)), Err(EngineError::Unavailable { .. })));
    // Those that do not answer have columns of their own: nobody waits for anything.
    assert_eq!(guess(&few, 2, (&drives(&[6]), &all)).unwrap(), found(&[1, 2, 3, 4, 5, 6]));
    assert_eq!(guess(&few, 2, (&[], &all[..4])).unwrap(), found(&[1, 2, 3, 4, 0, 6]));
}
