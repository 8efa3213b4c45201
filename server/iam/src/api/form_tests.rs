use super::Form;

#[test]
fn parameters_are_decoded_once() {
    let form = Form::read(b"Action=GetUser&UserName=a%2Bb+c&Empty=&Tags.member.1.Key=k&Tags.member.1.Value=")
        .unwrap();
    assert_eq!(form.get("UserName"), Some("a+b c"));
    assert_eq!((form.get("Empty"), form.get_any("Empty")), (None, Some("")));
    assert_eq!(form.tags().unwrap(), [("k".to_owned(), String::new())]);
    assert!(form.required("RoleName").is_err());
}

#[test]
fn ambiguous_and_endless_forms_are_refused() {
    assert!(Form::read(b"UserName=a&UserName=b").is_err());
    let many: String = (0..1001).map(|n| format!("p{n}=1&")).collect();
    assert!(Form::read(many.as_bytes()).is_err());
    let twice =
        Form::read(b"Tags.member.1.Key=k&Tags.member.1.Value=&Tags.member.2.Key=K&Tags.member.2.Value=")
            .unwrap();
    assert!(twice.tags().is_err());
    let number = Form::read(b"MaxItems=1001").unwrap();
    assert!(number.number("MaxItems", 1, 1000).is_err());
}
