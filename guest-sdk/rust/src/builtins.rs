//! Python's own exceptions, which every caller gets as themselves.

use crate::Failure;

macro_rules! builtins {
    ($($function:ident $class:literal)+) => {$(
        #[doc = concat!("Python's `", $class, "`.")]
        pub fn $function(message: impl Into<String>) -> Failure {
            Failure::new("builtins", $class, message)
        }
    )+};
}

builtins! {
    assertion_error "AssertionError"
    attribute_error "AttributeError"
    index_error "IndexError"
    lookup_error "LookupError"
    not_implemented_error "NotImplementedError"
    os_error "OSError"
    overflow_error "OverflowError"
    permission_error "PermissionError"
    runtime_error "RuntimeError"
    timeout_error "TimeoutError"
    type_error "TypeError"
    value_error "ValueError"
}

/// Python's `KeyError`, whose text is the missing key in quotes.
pub fn key_error(key: &str) -> Failure {
    Failure::new("builtins", "KeyError", format!("'{key}'"))
}
