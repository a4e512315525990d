//! JSON as text: checked, sliced and joined, never turned into a tree.

use serde_json::value::RawValue;

/// JSON text, known to be well formed.
pub type Json = Box<RawValue>;

/// Takes `text` for JSON if it is exactly one well-formed value, so that it can stand inside
/// another document and cannot break out of it.
pub fn checked(text: String) -> Result<Json, serde_json::Error> {
    RawValue::from_string(text)
}

/// `{}`.
pub fn empty_object() -> Json {
    RawValue::from_string("{}".to_owned()).expect("valid JSON")
}

/// Whether the value is an object: valid JSON tells by its first character.
pub fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// `text` as a JSON string.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("text always serializes")
}

/// Writes an object with `", "` and `": "` between its parts, as Python does.
#[derive(Default)]
pub struct ObjectWriter(String);

impl ObjectWriter {
    pub fn raw(&mut self, key: &str, value: &str) {
        self.0.push_str(if self.0.is_empty() { "{" } else { ", " });
        self.0.push_str(&quote(key));
        self.0.push_str(": ");
        self.0.push_str(value);
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quote(value));
    }

    pub fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_value_is_taken_for_json() {
        for bad in [
            "",
            "{} {}",
            "1, \"x\": 2",
            "{\"a\": 1}}",
            "nul",
            "\"\u{1}\"",
        ] {
            assert!(checked(bad.to_owned()).is_err(), "accepted: {bad:?}");
        }
        assert_eq!(checked(" [1] ".to_owned()).expect("JSON").get(), "[1]");
    }
}
