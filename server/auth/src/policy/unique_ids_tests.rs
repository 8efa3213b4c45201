use super::*;
use crate::policy::{Policy, PolicyKind};

const ANN: &str = "arn:aws:iam::111122223333:user/ann";
const ANN_ID: &str = "AIDAAAAAAAAAAAAAAAANN";
const ROLE: &str = "arn:aws:iam::111122223333:role/jobs/r";
const ROLE_ID: &str = "AROAAAAAAAAAAAAAAAAAR";

fn named(arn: &str) -> Named {
    match arn {
        ANN => Named::Id(ANN_ID.to_owned()),
        ROLE => Named::Id(ROLE_ID.to_owned()),
        arn if arn.contains(":111122223333:") => Named::Nobody,
        _ => Named::Unknown,
    }
}

fn current(id: &str) -> Option<String> {
    match id {
        ANN_ID => Some(ANN.to_owned()),
        ROLE_ID => Some(ROLE.to_owned()),
        _ => None,
    }
}

fn statement(principal: &str) -> String {
    format!(r#"{{"Effect":"Allow",{principal},"Action":"sts:AssumeRole"}}"#)
}

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#)
}

#[test]
fn principals_are_kept_as_ids_and_shown_as_arns() {
    for (written, kept) in [
        (format!(r#""Principal":{{"AWS":"{ANN}"}}"#), format!(r#""Principal":{{"AWS":"{ANN_ID}"}}"#)),
        (
            format!("\"Principal\" : {{ \"AWS\" :\n [ \"{ANN}\" , \"*\", \"{ROLE}\"] }}"),
            format!("\"Principal\" : {{ \"AWS\" :\n [ \"{ANN_ID}\" , \"*\", \"{ROLE_ID}\"] }}"),
        ),
        (
            format!(r#""Principal":{{"Service":["a.b"],"AWS":["{ROLE}","{ROLE}"]}}"#),
            format!(r#""Principal":{{"Service":["a.b"],"AWS":["{ROLE_ID}","{ROLE_ID}"]}}"#),
        ),
    ] {
        for around in
            [policy(&statement("@")), policy(&format!("[ {}, {}\t]\n", statement("@"), statement("@")))]
        {
            let (written, kept) = (around.replace('@', &written), around.replace('@', &kept));
            assert!(Policy::parse(written.as_bytes(), PolicyKind::Trust).is_ok(), "{written}");
            assert!(Policy::parse(kept.as_bytes(), PolicyKind::Trust).is_ok(), "{kept}");
            assert_eq!(with_unique_ids(&written, named).as_deref(), Ok(&*kept));
            assert_eq!(with_current_arns(&kept, current), written);
        }
    }
    let denial = policy(&format!(r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":"{ANN}"}},"Action":"sts:*"}}"#));
    assert_eq!(with_unique_ids(&denial, named).unwrap(), denial.replace(ANN, ANN_ID));
}

#[test]
fn names_and_arns_may_be_written_with_escapes() {
    let written = r#"{"Stat\u0065ment":[{"Principal":{"\u0041WS":"arn:aws:iam::111122223333:user\/ann"}}]}"#;
    let kept = with_unique_ids(written, named).unwrap();
    assert_eq!(kept, written.replace(r"arn:aws:iam::111122223333:user\/ann", ANN_ID));
    let quoted = |_: &str| Some(r#"arn:aws:iam::111122223333:user/"\/ann"#.to_owned());
    let shown = with_current_arns(&kept, quoted).into_owned();
    assert!(shown.contains(r#""arn:aws:iam::111122223333:user/\"\\/ann""#), "{shown}");
}

#[test]
fn what_names_no_principal_stays() {
    let condition = format!(r#""Condition":{{"ArnEquals":{{"aws:PrincipalArn":["{ANN}"],"AWS":"{ANN}"}}}}"#);
    for text in [
        String::new(),
        "{".to_owned(),
        "}}}".to_owned(),
        format!("\"{ANN}"),
        r#"{"Statement":{"Principal":{"AWS":"\"#.to_owned(),
        policy(&statement(r#""Principal":"*""#)),
        policy(&statement(r#""Principal":{"AWS":["*","111122223333","arn:aws:iam::111122223333:root"]}"#)),
        policy(&statement(r#""Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}"#)),
        policy(&statement(r#""Principal":{"AWS":"arn:aws:iam::444455556666:user/ann"}"#)),
        policy(&statement(&format!(r#""Principal":{{"Federated":"{ANN}"}}"#))),
        policy(&statement(&format!(r#""Principal":{{"AWS":"*"}},{condition}"#))),
        policy(&format!(r#"{{"Sid":"{ANN}","Principal":"{ANN}","Resource":["{ANN}"]}}"#)),
        format!(r#"{{"Id":"{ANN}","Principal":{{"AWS":"{ANN}"}}}}"#),
        policy(&format!(r#"{{"Sid":"\"Principal\":{{\"AWS\":\"{ANN}\"","Principal":"*"}}"#)),
    ] {
        assert!(matches!(with_unique_ids(&text, named), Ok(Cow::Borrowed(kept)) if kept == text), "{text}");
        let with_ids = text.replace(ANN, ANN_ID);
        assert_eq!(with_current_arns(&with_ids, current), with_ids);
    }
}

#[test]
fn who_is_not_there_is_refused_and_who_is_gone_is_shown_by_id() {
    let nobody = "arn:aws:iam::111122223333:user/bob";
    let text = policy(&statement(&format!(r#""Principal":{{"AWS":["{ANN}","{nobody}"]}}"#)));
    let refused = with_unique_ids(&text, named).unwrap_err();
    assert_eq!(refused.to_string(), format!(r#"Invalid principal in policy: "AWS":"{nobody}""#));
    let gone = policy(&statement(&format!(r#""Principal":{{"AWS":["AIDAGGGGGGGGGGGGGGONE","{ANN_ID}"]}}"#)));
    assert_eq!(with_current_arns(&gone, current), gone.replace(ANN_ID, ANN));
    // What was shown can be put again.
    assert_eq!(with_unique_ids(&gone.replace(ANN_ID, ANN), named).unwrap(), gone);
}
