use std::sync::mpsc::channel;

use super::*;

const DEADLINE: Duration = Duration::from_millis(1500);

#[test]
fn work_that_gets_on_may_take_longer_than_the_deadline() {
    let in_use = InUse::default();
    let work = |pulse: &Pulse| {
        for _ in 0..16 {
            std::thread::sleep(DEADLINE / 8);
            pulse.beat().unwrap();
        }
        7
    };
    let watched = Watched::begin("test", DEADLINE, Arc::clone(&in_use), work).unwrap();
    assert_eq!(watched.wait().unwrap(), 7);
    assert_eq!(Arc::strong_count(&in_use), 1);
}

#[test]
fn work_that_hangs_is_given_up_and_ends_at_its_next_step() {
    let in_use = InUse::default();
    let (wake, sleep) = channel::<()>();
    let work = move |pulse: &Pulse| {
        pulse.beat().unwrap();
        sleep.recv().unwrap();
        pulse.beat().unwrap_err();
    };
    let watched = Watched::begin("test", DEADLINE, Arc::clone(&in_use), work).unwrap();
    let begun = Instant::now();
    assert_eq!(watched.wait().unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(begun.elapsed() >= DEADLINE && begun.elapsed() < DEADLINE * 20);
    assert_eq!(Arc::strong_count(&in_use), 2, "its home is in use");
    wake.send(()).unwrap();
    while Arc::strong_count(&in_use) > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn looking_tells_where_it_is() {
    let (wake, sleep) = channel::<()>();
    let work = move |_: &Pulse| sleep.recv().is_ok();
    let mut watched = Watched::begin("test", DEADLINE, InUse::default(), work).unwrap();
    assert!(matches!(watched.look(), Ended::NotYet));
    std::thread::sleep(DEADLINE * 2);
    assert!(matches!(watched.look(), Ended::Never(_)));
    wake.send(()).unwrap();
    let begun = Instant::now();
    while !matches!(watched.look(), Ended::So(true)) {
        assert!(begun.elapsed() < DEADLINE * 20, "what it came to is not told");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut panicking = Watched::begin("test", DEADLINE, InUse::default(), |_| panic!("as told")).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE && matches!(panicking.look(), Ended::<()>::NotYet) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(panicking.look(), Ended::<()>::Never(_)));
}
