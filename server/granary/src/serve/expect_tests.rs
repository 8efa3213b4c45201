use axum::response::Response;
use http::{Request, StatusCode};

use super::Expectation;

fn closes(expectation: Expectation, status: StatusCode) -> bool {
    let mut response = Response::default();
    *response.status_mut() = status;
    expectation.settle(&mut response);
    response.headers().get("connection").is_some_and(|value| value == "close")
}

fn of(headers: &[(&str, &str)]) -> Expectation {
    let builder =
        headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    Expectation::of(&builder.body(()).unwrap())
}

#[test]
fn aws_cli_hung_after_an_empty_object_answered_without_100_continue() {
    let empty = of(&[("expect", "100-continue"), ("content-length", "0")]);
    assert!(closes(empty, StatusCode::OK));
}

#[test]
fn a_refusal_in_place_of_100_continue_closes() {
    let body = of(&[("expect", "100-Continue"), ("content-length", "5")]);
    assert!(closes(body, StatusCode::PRECONDITION_FAILED));
    assert!(!closes(body, StatusCode::OK));
}

#[test]
fn ordinary_requests_keep_their_connection() {
    let plain = of(&[("content-length", "0")]);
    assert!(!closes(plain, StatusCode::OK));
    assert!(!closes(plain, StatusCode::NOT_FOUND));
}
