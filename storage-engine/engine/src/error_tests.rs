use super::*;

#[test]
fn a_database_that_is_away_is_not_an_internal_error() {
    let away = MetadataError::Unavailable { context: "reading", source: "connection refused".into() };
    assert!(EngineError::from(away).may_pass());
    assert!(EngineError::from(MetadataError::OutcomeUnknown { context: "committing" }).may_pass());
    assert!(!EngineError::from(MetadataError::Corrupt { context: "a row".to_owned() }).may_pass());
    assert!(!EngineError::Internal("x").may_pass());
}
