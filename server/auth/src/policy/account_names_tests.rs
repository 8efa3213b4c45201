use super::*;

fn number(name: &str) -> Option<String> {
    match name {
        "lab" => Some("111122223333".to_owned()),
        "aws" | "444455556666" => Some("777788889999".to_owned()),
        _ => None,
    }
}

#[test]
fn names_of_accounts_become_numbers() {
    for (named, numbered) in [
        (r#"{"AWS":"arn:aws:iam::lab:root"}"#, r#"{"AWS":"arn:aws:iam::111122223333:root"}"#),
        (r#"["arn:aws:iam::lab:user/a/b", "x"]"#, r#"["arn:aws:iam::111122223333:user/a/b", "x"]"#),
        (
            r#"["arn:aws:iam::none:root","arn:aws:iam::lab:role/r","arn:aws:iam::lab:root"]"#,
            r#"["arn:aws:iam::none:root","arn:aws:iam::111122223333:role/r","arn:aws:iam::111122223333:root"]"#,
        ),
    ] {
        assert_eq!(with_account_numbers(named, number), numbered);
    }
}

#[test]
fn what_is_no_name_of_an_account_stays() {
    for text in [
        "",
        r#"{"AWS":"arn:aws:iam::444455556666:root"}"#,
        r#"{"AWS":"arn:aws:iam::none:root"}"#,
        r#"{"AWS":"arn:aws:iam::Lab:root"}"#,
        r#"{"AWS":"arn:aws:iam:::root"}"#,
        r#"{"AWS":"arn:aws:iam::lab:rooted"}"#,
        r#"{"AWS":"arn:aws:iam::lab"}"#,
        r#"{"AWS":"lab"}"#,
        r#"{"Resource":"arn:aws:s3:::lab:root"}"#,
        r#"{"Sid":"see arn:aws:iam::lab:root"}"#,
        r#"{"iam:PolicyARN":"arn:aws:iam::aws:policy/AmazonS3FullAccess"}"#,
        r#""arn:aws:iam::"#,
    ] {
        assert!(matches!(with_account_numbers(text, number), Cow::Borrowed(kept) if kept == text), "{text}");
    }
}
