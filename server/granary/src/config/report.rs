//! What `granary config check` prints.

use anyhow::Result;

use super::Config;
use crate::output::{OutputFormat, print_json, print_line, table};

/// Prints the validated settings.
///
/// # Errors
/// Failure to write.
pub fn report(config: &Config, format: OutputFormat) -> Result<()> {
    let value = serde_json::to_value(&config.settings)?;
    if format == OutputFormat::Json {
        return print_json(&serde_json::json!({ "drives": config.drives, "settings": value }));
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for drive in &config.drives {
        rows.push(vec!["drive".to_owned(), drive.display().to_string()]);
    }
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "data") {
        let text = match value {
            serde_json::Value::Null => "(not set)".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.push(vec![name.clone(), text]);
    }
    print_line(&table(&["SETTING", "VALUE"], &rows))
}
