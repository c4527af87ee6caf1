//! Sizes can be read, and parts of a table are not smaller than a page.

use pgkedge_model::{ByteSize, Finding};
use serde_json::Value;

use super::Text;
use crate::codes;

/// The smallest part that there can be: one page.
const PAGE: ByteSize = ByteSize(8 << 10);

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    ["load/part_size", "load/bundle_below", "limits/retained_wal/budget"]
        .into_iter()
        .filter_map(|path| finding(path, text.json.pointer(&format!("/{path}"))?))
        .collect()
}

fn finding(path: &str, value: &Value) -> Option<Finding> {
    let at = format!("/{path}");
    let (name, field) = (path.replace('/', "."), path.rsplit('/').next().unwrap_or(path));
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let help = "write a number of bytes, or one with KiB, MiB, GiB or TiB";
    let finding = |message: String, label: &str, help: String| {
        Some(Finding::error(codes::BAD_VALUE, message).at_value(at.clone(), label).help(help))
    };
    match serde_json::from_value::<ByteSize>(value.clone()) {
        Err(_) => {
            let message = format!("`{name}` cannot be `{written}`");
            finding(message, "not a size", format!("{help}: `{field}: {}`", example(&written)))
        }
        Ok(size) if field == "part_size" && size < PAGE => {
            let message = format!("`{name}` must be at least {PAGE}, the size of a page");
            finding(message, "too small", format!("{help}: `{field}: 1GiB`"))
        }
        Ok(_) => None,
    }
}

/// The size that was meant, as far as it can be guessed.
fn example(written: &str) -> String {
    let digits: String = written.chars().take_while(char::is_ascii_digit).collect();
    let unit = written[digits.len()..].trim().to_uppercase();
    let unit = match unit.chars().next() {
        Some(prefix @ ('K' | 'M' | 'G' | 'T')) => format!("{prefix}iB"),
        _ => return "512MiB".to_owned(),
    };
    let meant = format!("{digits}{unit}");
    if meant.parse::<ByteSize>().is_ok() { meant } else { "512MiB".to_owned() }
}
