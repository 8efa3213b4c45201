use super::*;

#[test]
fn aws_s_rules_are_the_default_and_names_are_read_as_written() {
    assert_eq!(Dialect::default(), Dialect::Aws);
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
    }
    assert_eq!("rgw".parse::<Dialect>().unwrap_err(), "\"rgw\" is none of aws and ceph");
}

#[test]
fn nothing_is_done_otherwise_unless_it_is_asked_for() {
    let otherwise = |dialect: Dialect| {
        [
            dialect.takes_bare_conditions(),
            dialect.deletes_see_markers(),
            dialect.lists_unordered(),
            dialect.tells_usage(),
            dialect.lists_buckets_of_nobody(),
            !dialect.takes_bucket_name("a.-b"),
            !dialect.takes_bucket_name("a-.b"),
            dialect.leaves_controls_out(),
            dialect.sids() == Sids::Any,
            dialect.asks_policy_of_log_prefix(),
            dialect.completes_logging(),
            dialect.logs_each_key(),
        ]
    };
    assert_eq!(otherwise(Dialect::Aws), [false; 12]);
    assert_eq!(otherwise(Dialect::Ceph), [true; 12]);
    assert!(Dialect::Ceph.takes_bucket_name("a-b.c-d"));
}
