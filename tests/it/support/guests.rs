//! Guests: the ones that `make plugins` built, and small ones written here in WAT, which go to the
//! host as bare core modules.

use std::path::PathBuf;

use super::workspace;

/// The file of a shipped plugin.
pub(crate) fn shipped(name: &str) -> Vec<u8> {
    built(workspace().join(format!("target/plugins/{name}/{name}.wasm")))
}

/// The file of the well-behaved guest.
pub(crate) fn probe() -> Vec<u8> {
    built(workspace().join("target/guests/probe/probe.wasm"))
}

fn built(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: run `make plugins`, or `make test`, which does it",
            path.display()
        )
    })
}

/// A module that serves `run` at 1.0 and whose `dispatch` is `body`, WAT that leaves a pointer to
/// its result.
pub(crate) fn bare_module(body: &str) -> Vec<u8> {
    bare_module_with("", "i32.const 96", body)
}

/// A module whose `targets` is `body`.
pub(crate) fn bare_module_with_targets(body: &str) -> Vec<u8> {
    bare_module_with("", body, "unreachable")
}

/// A module whose `dispatch` returns this text as JSON, whatever it is.
pub(crate) fn bare_module_returning(text: &str) -> Vec<u8> {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    // The result: a zero tag, then pointer and length.
    let data = format!(
        "(data (i32.const 1024) \"{escaped}\")
         (func $result (result i32)
           (i32.store (i32.const 200) (i32.const 0))
           (i32.store (i32.const 204) (i32.const 1024))
           (i32.store (i32.const 208) (i32.const {}))
           (i32.const 200))",
        text.len()
    );
    bare_module_with(&data, "i32.const 96", "call $result")
}

/// A module whose `dispatch` counts in its memory and returns the count.
pub(crate) fn bare_module_counting() -> Vec<u8> {
    let count = "(i32.store8 (i32.const 1024)
          (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))
        (i32.store (i32.const 204) (i32.const 1024))
        (i32.store (i32.const 208) (i32.const 1))
        (i32.const 200)";
    bare_module_with("(data (i32.const 1024) \"0\")", "i32.const 96", count)
}

/// A module whose one method has this name, WAT text of 10 bytes.
pub(crate) fn bare_module_named(name: &str) -> Vec<u8> {
    // Described in place of the method's own name.
    let data = format!(
        "(data (i32.const 300) \"{name}\") (data (i32.const 320) \"\\2c\\01\\00\\00\\0a\\00\\00\\00\")
         (func $rename (i32.store (i32.const 84) (i32.const 320)))"
    );
    bare_module_with(&data, "(call $rename) i32.const 96", "unreachable")
}

/// A module with one method of one target, which returns `result`, a text, as JSON text.
pub(crate) fn bare_module_serving(
    namespace: Option<&str>,
    version: &str,
    method: &str,
    result: &str,
) -> Vec<u8> {
    let number = |value: usize| {
        let bytes = u32::try_from(value).expect("small").to_le_bytes();
        bytes.map(|byte| format!("\\{byte:02x}")).concat()
    };
    let result = format!("\\22{result}\\22");
    let length = result.len() - 4;
    let (some, namespace) = match namespace {
        Some(namespace) => (1, namespace),
        None => (0, ""),
    };
    // A target of its own at 2600, whose method is described at 2500, in a list at 2700.
    let target = [some, 2200, namespace.len(), 2300, version.len(), 2500, 1].map(number);
    let data = format!(
        "(data (i32.const 2100) \"{result}\") (data (i32.const 2200) \"{namespace}\")
         (data (i32.const 2300) \"{version}\") (data (i32.const 2400) \"{method}\")
         (data (i32.const 2500) \"{}{}\") (data (i32.const 2600) \"{}\")
         (data (i32.const 2700) \"{}{}\")",
        number(2400),
        number(method.len()),
        target.concat(),
        number(2600),
        number(1),
    );
    let answer = format!(
        "(i32.store (i32.const 200) (i32.const 0)) (i32.store (i32.const 204) (i32.const 2100))
         (i32.store (i32.const 208) (i32.const {length})) (i32.const 200)"
    );
    bare_module_with(&data, "i32.const 2700", &answer)
}

/// A module with an import that nobody offers.
pub(crate) fn bare_module_importing(module: &str, name: &str) -> Vec<u8> {
    let import = format!("(import \"{module}\" \"{name}\" (func))");
    bare_module_with(&import, "i32.const 96", "unreachable")
}

/// A call of an import of the contract, in WAT: what stands at the beginning of the module, and the
/// instruction. Its arguments are from 3000 on.
pub(crate) struct ImportedCall {
    pub(crate) import: String,
    pub(crate) call: String,
}

impl ImportedCall {
    /// Logs the text at `start`.
    pub(crate) fn log(start: usize, length: usize) -> Self {
        Self {
            import: "(import \"wasi:logging/logging@0.1.0-draft\" \"log\"
                (func $log (param i32 i32 i32 i32 i32)))"
                .to_owned(),
            call: format!(
                "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {start})
                   (i32.const {length}))"
            ),
        }
    }

    /// Sends a message without arguments.
    pub(crate) fn client(kind: &str, topic: &str, method: &str) -> Self {
        let at = |address: usize, value: usize| {
            let bytes = u32::try_from(value).expect("small").to_le_bytes();
            let bytes = bytes.map(|byte| format!("\\{byte:02x}")).concat();
            format!("(data (i32.const {address}) \"{bytes}\")")
        };
        Self {
            import: [
                format!(
                    "(import \"endpointd:rpc/client@0.1.0\" \"{kind}\"
                       (func $send (param i32 i32)))
                     (data (i32.const 3200) \"{topic}\") (data (i32.const 3300) \"{method}\")
                     (data (i32.const 3400) \"{{}}\")"
                ),
                // The topic, after the exchange; the method, after the whole destination; arguments.
                at(3012, 3200) + &at(3016, topic.len()),
                at(3056, 3300) + &at(3060, method.len()),
                at(3064, 3400) + &at(3068, 2),
            ]
            .concat(),
            call: "(call $send (i32.const 3000) (i32.const 3500))".to_owned(),
        }
    }

    /// Opens a bucket and keeps it open.
    pub(crate) fn open_bucket(name: &str) -> Self {
        Self {
            import: format!(
                "(import \"wasi:keyvalue/store@0.2.0-draft2\" \"open\"
                   (func $open (param i32 i32 i32)))
                 (data (i32.const 3200) \"{name}\")"
            ),
            call: format!(
                "(call $open (i32.const 3200) (i32.const {}) (i32.const 3500))",
                name.len()
            ),
        }
    }
}

/// A module with `extra` at its beginning, which may import.
pub(crate) fn bare_module_with(extra: &str, targets: &str, dispatch: &str) -> Vec<u8> {
    let parameters = "i32 ".repeat(11);
    // At 96 the list: one target at 64, without namespace, of version 1.0, whose one method's
    // name is described at 48.
    let text = format!(
        r#"(module
          {extra}
          (memory (export "memory") 64)
          (global $top (mut i32) (i32.const 65536))
          (data (i32.const 16) "1.0")
          (data (i32.const 32) "run")
          (data (i32.const 48) "\20\00\00\00\03\00\00\00")
          (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\10\00\00\00\03\00\00\00\30\00\00\00\01\00\00\00")
          (data (i32.const 96) "\40\00\00\00\01\00\00\00")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
            (global.get $top)
            (global.set $top (i32.add (global.get $top) (local.get 3))))
          (func (export "targets") (result i32) {targets})
          (func $dispatch (export "dispatch") (param {parameters}) (result i32) {dispatch}))"#
    );
    wat::parse_str(text).expect("the text is a module")
}
