use std::os::unix::fs::PermissionsExt;

use super::*;

fn parse(text: &str) -> Result<TargetSetting, String> {
    text.parse()
}

fn resolved(url: &str, plain: Plain) -> Option<(bool, String, u16, String)> {
    let setting = TargetSetting { name: "t".to_owned(), url: url.to_owned() };
    let target = resolve(&setting, Zeroizing::new(Vec::new()), plain).ok()?;
    Some((target.is_tls, target.host, target.port, target.path))
}

#[test]
fn targets_have_names_and_urls() {
    let target = parse("jobs=https://a.example/x?y=z").unwrap();
    assert_eq!((target.name.as_str(), target.url.as_str()), ("jobs", "https://a.example/x?y=z"));
    assert_eq!(target.to_string(), "jobs=https://a.example/x?y=z");
    for wrong in ["jobs", "=https://a", "a b=https://a", "a:b=https://a", "a/b=https://a"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn urls_are_https_unless_private_networks_are_allowed() {
    let owned = |tls, host: &str, port, path: &str| Some((tls, host.to_owned(), port, path.to_owned()));
    assert_eq!(resolved("https://a.example", Plain::Refused), owned(true, "a.example", 443, "/"));
    assert_eq!(resolved("https://[2600::1]:8443/p?q", Plain::Refused), owned(true, "2600::1", 8443, "/p?q"));
    assert_eq!(resolved("http://a:8080/p", Plain::Allowed), owned(false, "a", 8080, "/p"));
    for wrong in
        ["http://a/", "ftp://a/", "a/b", "/b", "https://user:word@a/", "https:///x", "gopher://127.0.0.1/"]
    {
        assert_eq!(resolved(wrong, Plain::Refused), None, "{wrong}");
    }
}

#[test]
fn secrets_are_read_from_a_file_of_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read_secrets(&path).map(|secrets| secrets.len()).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(write("# mine\n\na=0123456789abcdef\nb=with=equals=0123456\n", 0o600), Ok(2));
    assert!(write("a=0123456789abcdef\n", 0o644).is_err());
    let short = write("a=hushhush\n", 0o600).unwrap_err();
    assert!(!short.contains("hushhush"), "{short}");
    let wrong = write("hushhush\n", 0o600).unwrap_err();
    assert!(!wrong.contains("hushhush"), "{wrong}");
}
