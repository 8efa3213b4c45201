use super::*;
use crate::maintain::sample::{Answers, Sample};

async fn length_behind(sample: &Sample, known: u64) -> Result<u64> {
    length(&sample.map(), &sample.view, known).await
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
