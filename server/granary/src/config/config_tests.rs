use std::io::Write as _;

use super::*;

#[derive(Serialize)]
struct None_ {}

fn with_data(data: &[&str]) -> Settings {
    Settings { data: data.iter().map(|&d| d.to_owned()).collect(), ..Settings::default() }
}

fn message(settings: Settings) -> String {
    format!("{:#}", Config::validate(settings).unwrap_err())
}

#[test]
fn drives_are_expanded_and_must_differ() {
    let config = Config::validate(with_data(&["/mnt/d{1...3}", "/other"])).unwrap();
    assert_eq!(config.drives, ["/mnt/d1", "/mnt/d2", "/mnt/d3", "/other"].map(PathBuf::from));
    assert!(message(with_data(&["/mnt/d{1...3}", "/mnt/d2"])).contains("twice"));
    assert!(message(with_data(&[])).contains("no drive"));
    assert!(message(with_data(&[""])).contains("empty path"));
}

#[test]
fn drives_may_be_given_a_class() {
    let config = Config::validate(with_data(&["ssd:/mnt/s", "hdd:/mnt/h{1...2}", "/mnt/x:y"])).unwrap();
    assert_eq!(config.drives, ["/mnt/s", "/mnt/h1", "/mnt/h2", "/mnt/x:y"].map(PathBuf::from));
    let classes = config.drives.iter().map(|drive| config.drive_classes.get(drive).copied());
    let (ssd, hdd) = (Some(DriveClass::Ssd), Some(DriveClass::Hdd));
    assert_eq!(classes.collect::<Vec<_>>(), [ssd, hdd, hdd, None]);
    assert!(message(with_data(&["hdd:/mnt/h", "/mnt/h"])).contains("twice"));
    assert!(message(with_data(&["sdd:/mnt/h"])).contains("no class of drives"));
    assert!(Config::validate(with_data(&["./sdd:/mnt/h", "a:b"])).is_ok());
}

#[test]
fn storage_classes_may_be_given_drives_and_a_code() {
    let tier = |text: &str| Settings { tier: vec![text.to_owned()], ..with_data(&["/d"]) };
    let config = Config::validate(tier("GLACIER=hdd:8+3")).unwrap();
    let [setting] = config.tiers[..] else { panic!("{:?}", config.tiers) };
    assert_eq!((setting.class.as_str(), setting.drives), ("GLACIER", DriveClass::Hdd));
    assert_eq!(setting.erasure.unwrap().to_string(), "8+3");
    assert_eq!(Config::validate(tier("STANDARD_IA=ssd")).unwrap().tiers[0].erasure, None);
    for bad in ["GLACIER", "COLD=hdd", "GLACIER=tape", "GLACIER=hdd:8", "GLACIER=hdd:"] {
        assert!(message(tier(bad)).contains("tiers"), "{bad}");
    }
}

#[test]
fn an_erasure_code_must_fit_the_drives() {
    let mut settings = with_data(&["/mnt/d{1...4}"]);
    settings.erasure = Some("4+2".parse().unwrap());
    assert!(message(settings.clone()).contains("needs 6 drives"));
    settings.erasure = Some("2+2".parse().unwrap());
    assert!(Config::validate(settings).is_ok());
    for bad in ["4", "0+2", "17+2", "4+9", "4+2+1", "+4+2", "-1+2", " 4+2"] {
        assert!(bad.parse::<ErasureSetting>().is_err(), "{bad}");
    }
}

#[test]
fn half_a_tls_identity_is_refused() {
    let settings = Settings { tls_cert: Some("c.pem".into()), ..with_data(&["/d"]) };
    assert!(message(settings).contains("together"));
}

#[test]
fn bounds_are_enforced() {
    assert!(message(Settings { max_connections: 0, ..with_data(&["/d"]) }).contains("max_connections"));
    assert!(message(Settings { header_timeout_ms: 0, ..with_data(&["/d"]) }).contains("header_timeout_ms"));
    assert!(message(Settings { region: "Bad Region".into(), ..with_data(&["/d"]) }).contains("region"));
    assert!(message(Settings { domain: vec!["*.x".into()], ..with_data(&["/d"]) }).contains("domain"));
}

#[test]
fn a_file_is_read_and_unknown_keys_in_it_are_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "data = [\"/a\", \"/b\"]\nerasure = \"1+1\"\nlisten = \"127.0.0.1:1\"\ndomain = \"s3.example\"\n\
         dialect = \"ceph\"\n"
    )
    .unwrap();
    let config = Config::load(Some(file.path()), &None_ {}).unwrap();
    assert_eq!(config.drives.len(), 2);
    assert_eq!(config.settings.domain, ["s3.example"]);
    assert_eq!(config.settings.listen.port(), 1);
    assert_eq!(config.settings.dialect, Dialect::Ceph);
    writeln!(file, "relaxed = true").unwrap();
    assert!(format!("{:#}", Config::load(Some(file.path()), &None_ {}).unwrap_err()).contains("relaxed"));
    assert!(Config::load(Some(Path::new("/no/such/file")), &None_ {}).is_err());
}

#[test]
fn the_command_line_is_stronger_than_the_file() {
    #[derive(Serialize)]
    struct Overrides {
        region: &'static str,
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "data = \"/a\"\nregion = \"eu-north-1\"\n").unwrap();
    let config = Config::load(Some(file.path()), &Overrides { region: "us-west-2" }).unwrap();
    assert_eq!(config.settings.region, "us-west-2");
}
