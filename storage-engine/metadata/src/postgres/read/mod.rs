//! Queries.

mod list;
mod point;
mod side;
mod uploads;
mod versions;
pub(super) mod warm;

use super::connect::Session;
use super::failure::Failure;
use super::reader::{Asked, Read};
use super::{events, identities, usage};

const CONTEXT: &str = "reading";

/// Takes the reads of one kind out of those that wait, and counts them: what a request asks for without need shows nowhere
/// else.
macro_rules! take {
    ($waiting:ident, $kind:ident) => {{
        let mut taken = Vec::new();
        let mut others = Vec::new();
        for read in std::mem::take($waiting) {
            match read {
                Read::$kind(asked) => taken.push(asked),
                other => others.push(other),
            }
        }
        *$waiting = others;
        if !taken.is_empty() {
            let count = u64::try_from(taken.len()).unwrap_or(u64::MAX);
            metrics::counter!("granary_metadata_questions_total", "of" => stringify!($kind)).increment(count);
        }
        taken
    }};
}

/// Answers all reads of one kind with one query.
macro_rules! together {
    ($session:ident, $waiting:ident, $kind:ident, $query:path) => {
        let asked = take!($waiting, $kind);
        if !asked.is_empty() {
            match $query($session, &asked).await {
                Ok(answers) => tell(asked, answers),
                Err(failure) => {
                    $waiting.extend(asked.into_iter().map(Read::$kind));
                    return Err(failure);
                }
            }
        }
    };
}

/// Answers reads of one kind one by one.
macro_rules! apart {
    ($session:ident, $waiting:ident, $kind:ident, $query:path) => {
        let mut asked = take!($waiting, $kind);
        while let Some(next) = asked.pop() {
            match $query($session, &next.question).await {
                Err(failure) if failure.is_passing() => {
                    asked.push(next);
                    $waiting.extend(asked.into_iter().map(Read::$kind));
                    return Err(failure);
                }
                result => tell(vec![next], vec![result]),
            }
        }
    };
}

/// Sends each answer to who asked.
fn tell<Q, A>(asked: Vec<Asked<Q, A>>, answers: Vec<Result<A, Failure>>) {
    for (asked, answer) in asked.into_iter().zip(answers) {
        // A caller that went away does not care.
        let _ = asked.answer.send(answer.map_err(|failure| failure.to_error(CONTEXT)));
    }
}

/// Answers what waits, short questions first. What is not answered when a query fails stays in `waiting`.
pub(super) async fn answer(session: &mut Session, waiting: &mut Vec<Read>) -> Result<(), Failure> {
    together!(session, waiting, Current, point::current);
    together!(session, waiting, Version, point::version);
    together!(session, waiting, Bucket, point::bucket);
    together!(session, waiting, Upload, point::upload);
    together!(session, waiting, Volume, point::volume);
    together!(session, waiting, Blobs, point::blobs);
    apart!(session, waiting, ReferenceCounts, point::count_references);
    apart!(session, waiting, Tags, side::tags);
    apart!(session, waiting, Acl, side::acl);
    apart!(session, waiting, Restore, side::restore);
    together!(session, waiting, Warmth, warm::warmth);
    apart!(session, waiting, Documents, side::documents);
    apart!(session, waiting, Generation, side::generation);
    apart!(session, waiting, Usage, usage::read);
    apart!(session, waiting, Events, events::list);
    apart!(session, waiting, EventCount, events::count);
    apart!(session, waiting, Identities, identities::list);
    apart!(session, waiting, IdentityGeneration, identities::generation);
    apart!(session, waiting, Drives, point::drives);
    apart!(session, waiting, WarmOfKind, warm::of_kind);
    apart!(session, waiting, WarmAfter, warm::after);
    apart!(session, waiting, WarmUsage, warm::usage);
    apart!(session, waiting, Volumes, point::volumes);
    apart!(session, waiting, Buckets, point::buckets);
    apart!(session, waiting, Parts, uploads::parts);
    apart!(session, waiting, Objects, list::objects);
    apart!(session, waiting, Uploads, uploads::uploads);
    apart!(session, waiting, ObjectVersions, versions::versions);
    Ok(())
}
