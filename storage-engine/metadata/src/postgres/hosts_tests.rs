use super::*;

fn names(url: &str) -> Vec<String> {
    Hosts::parse(url).map(|hosts| hosts.each.iter().map(name).collect()).unwrap_or_default()
}

#[test]
fn several_hosts_are_tried_in_the_order_of_the_url_from_the_last_good_one() {
    let url =
        "postgres://u:p%40ss@one:5432,two:5433,[::1]:5434/db?target_session_attrs=read-write&sslmode=disable";
    assert_eq!(names(url), ["one:5432", "two:5433", "[::1]:5434"]);
    let hosts = Hosts::parse(url).unwrap_or_else(|error| unreachable!("{error}"));
    let order: Vec<_> = hosts.starting_at(1).map(|(n, host)| format!("{n} {}", name(host))).collect();
    assert_eq!(order, ["1 two:5433", "2 [::1]:5434", "0 one:5432"]);
    assert!(hosts.each.iter().all(|host| host.get_database() == Some("db") && host.get_username() == "u"));
}

#[test]
fn a_socket_directory_is_given_as_a_parameter() {
    assert_eq!(names("postgres://u@/db?host=/run/postgresql&port=5433"), ["/run/postgresql:5433"]);
}

#[test]
fn urls_that_ask_for_a_read_only_session_are_refused() {
    assert_eq!(names("postgres://u@h/db?target_session_attrs=read-only"), [""; 0]);
    assert_eq!(names("mysql://u@h/db"), [""; 0]);
}

#[test]
fn neither_debug_text_nor_errors_show_the_password() {
    let hosts = Hosts::parse("postgres://u:geheim@h:1/db").unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!(format!("{hosts:?}"), r#"["h:1"]"#);
    let error = Hosts::parse("postgres://u:geheim@h:99999/db").err();
    assert!(error.is_some_and(|error| !format!("{error:?} {error}").contains("geheim")));
}
