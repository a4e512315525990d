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

/// Whether arrays and objects of JSON text stand in one another more than `depth` deep. Of text that is
/// no JSON it is true rather than not.
pub fn nests_deeper(text: &str, depth: usize) -> bool {
    // Few texts have that many at all, and to count them is quick.
    if count_of_openings(text) <= depth {
        return false;
    }
    let mut rest = text;
    let mut open = 0_usize;
    while let Some(at) = rest.find(['"', '[', '{', ']', '}']) {
        let found = &rest[at..];
        let length = match found.as_bytes()[0] {
            b'"' => string_length(found),
            b'[' | b'{' => {
                open += 1;
                if open > depth {
                    return true;
                }
                1
            }
            _ => {
                open = open.saturating_sub(1);
                1
            }
        };
        rest = &found[length..];
    }
    false
}

/// How many brackets and braces open, those in strings too.
fn count_of_openings(text: &str) -> usize {
    // One comparison finds both, and short counts are what a processor adds up many at a time.
    let opens = |byte: &u8| u8::from(byte | 0x20 == b'{');
    let parts = text.as_bytes().chunks(u8::MAX.into());
    parts
        .map(|part| usize::from(part.iter().map(opens).sum::<u8>()))
        .sum()
}

/// `text` as a JSON string.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("text always serializes")
}

/// `text` with `null` for each `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does
/// not have; `None` where there is none.
pub fn without_non_finite(text: &str) -> Option<String> {
    const NON_FINITE: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let mut replaced = String::new();
    let mut rest = text;
    // Outside of strings these letters stand for nothing else.
    while let Some(at) = rest.find(['"', 'N', '-', 'I']) {
        let (before, found) = rest.split_at(at);
        replaced.push_str(before);
        let token = NON_FINITE.iter().find(|token| found.starts_with(**token));
        let (kept, length) = match token {
            Some(token) => ("null", token.len()),
            None if found.starts_with('"') => {
                let length = string_length(found);
                (&found[..length], length)
            }
            None => (&found[..1], 1),
        };
        replaced.push_str(kept);
        rest = &found[length..];
    }
    replaced.push_str(rest);
    (replaced != text).then_some(replaced)
}

/// Up to and with the closing quote of the string that `text` begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
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

    #[test]
    fn depth_is_that_of_arrays_and_objects_and_not_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a": [1, {"b": 2}], "c": [[], [[]]]}"#, 4),
            (r#"["[[[[", "\"[[", {"{{": 1}]"#, 2),
            ("[[],[],[],[]]", 2),
        ] {
            assert!(!nests_deeper(text, depth), "{text}");
            assert!(depth == 0 || nests_deeper(text, depth - 1), "{text}");
        }
        assert!(nests_deeper(&"[".repeat(1_000_000), 128));
        let flat = r#"[{"a": ["x}"]}], "#.repeat(1000);
        assert!(!nests_deeper(&flat, 3) && nests_deeper(&flat, 2));
        assert_eq!(count_of_openings(&flat), 3000);
    }

    #[test]
    fn numbers_that_json_has_not_are_found_outside_of_strings_only() {
        let text = r#"{"NaN \" NaN": [NaN, -Infinity, -1, Infinity], "é\\": "Infinity"}"#;
        assert_eq!(
            without_non_finite(text).as_deref(),
            Some(r#"{"NaN \" NaN": [null, null, -1, null], "é\\": "Infinity"}"#)
        );
        assert_eq!(without_non_finite(r#"{"a": "NaN"}"#), None);
        assert_eq!(without_non_finite("\"NaN"), None);
    }
}
