use super::*;

#[test]
fn the_password_of_the_database_is_not_shown() {
    let setting: MetadataSetting =
        "postgres://granary:s3cr%40t@h1:5432,h2:5433/granary?sslmode=require&password=s3cret"
            .parse()
            .unwrap();
    assert_eq!(setting.to_string(), "postgres://h1:5432,h2:5433/granary");
    assert!(!format!("{setting:?}").contains("s3cr"));
    assert!(matches!(setting.choice(), Ok(MetadataChoice::Postgres(_))));
}

#[test]
fn what_is_neither_embedded_nor_a_database_is_refused_without_quoting_it() {
    assert_eq!("embedded".parse::<MetadataSetting>().unwrap().to_string(), "embedded");
    let error = "mysql://u:s3cret@h/d".parse::<MetadataSetting>().unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}
