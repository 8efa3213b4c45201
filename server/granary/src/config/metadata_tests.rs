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

#[test]
fn a_wrong_url_is_refused_without_showing_its_password() {
    #[derive(serde::Serialize)]
    struct Given {
        data: [&'static str; 1],
        metadata: &'static str,
    }
    let given = |metadata| Given { data: ["/a"], metadata };
    let error = crate::config::Config::load(None, &given("mysql://u:s3cret@h/d")).unwrap_err();
    assert!(!format!("{error:#} {error:?}").contains("s3cret"), "{error:?}");
    let config = crate::config::Config::load(None, &given("postgres://u:s3cret@h/d")).unwrap();
    assert!(!serde_json::to_string(&config.settings).unwrap().contains("s3cret"));
    assert!(matches!(config.settings.metadata.choice(), Ok(MetadataChoice::Postgres(_))));
}
