//! Callers put changes in, the writer's thread takes them, and the store is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;

use crate::queue::{Lane, Queue};

const SCHEDULES: usize = 2_000;
const CALLERS: u32 = 3;
const EACH: u32 = 3;
/// Less than what the callers have, so that they wait for room.
const CAPACITY: usize = 2;

/// Callers put entries in until they are refused; the thread takes until the queue says that it ends.
fn serve(is_closed_early: bool) {
    let queue = Arc::new(Queue::new(CAPACITY));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let lane = if caller == 0 { Lane::Long } else { Lane::Short };
                let put = (0..EACH).take_while(|entry| block_on(queue.push(lane, (caller, *entry))).is_ok());
                put.count()
            })
        })
        .collect();
    let serving = Arc::clone(&queue);
    let server = thread::spawn(move || {
        let mut taken = Vec::new();
        while let Some(batch) = serving.take(2, Duration::MAX, |_| 1) {
            taken.extend(batch);
        }
        taken
    });
    let accepted: Vec<usize> = if is_closed_early {
        queue.close();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    } else {
        let accepted = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        queue.close();
        accepted
    };
    let taken = server.join().unwrap();
    if !is_closed_early {
        assert!(accepted.iter().all(|count| *count == EACH as usize), "an open queue refused: {accepted:?}");
    }
    let mut by_caller: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    taken.into_iter().for_each(|(caller, entry)| by_caller.entry(caller).or_default().push(entry));
    for (caller, count) in (0..CALLERS).zip(accepted) {
        let entries = by_caller.remove(&caller).unwrap_or_default();
        // Exactly what was accepted, once, in the order of its caller.
        assert_eq!(entries, (0..u32::try_from(count).unwrap()).collect::<Vec<_>>(), "caller {caller}");
    }
}

#[test]
fn whatever_the_order_every_accepted_change_is_taken_once_and_in_its_callers_order() {
    shuttle::check_random(|| serve(false), SCHEDULES);
}

#[test]
fn a_queue_that_is_closed_takes_what_it_accepted_and_wakes_whoever_waits() {
    shuttle::check_random(|| serve(true), SCHEDULES);
}
