use super::*;

#[test]
fn a_database_that_a_lagging_standby_does_not_know_yet_was_refused_for_good() {
    let failure = |code| by_code(code, format!("said by the server (SQLSTATE {code})"));
    assert!(failure("3D000").is_passing());
    // A wrong password, a role that is not let in, a table that is not there.
    for code in ["28P01", "28000", "42P01"] {
        assert!(!failure(code).is_passing(), "{code}");
    }
}
