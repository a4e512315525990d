//! What an operator grants a plugin, and the check of a component's imports against it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::client_grant::ClientGrant;
use super::http_grant::HttpGrant;
use crate::keyvalue::{BucketName, Buckets, KeyValue};

/// The `[grants]` table of plugin.toml. Nothing is granted that is not named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Buckets the plugin may open.
    pub keyvalue: Vec<BucketName>,
    /// RPC it may send through the host's own exchange: `call:TOPIC` and `cast:TOPIC`, to any or to
    /// one server of it, and `fanout:TOPIC`; `*` is every topic. On the wire one server of `a` is what
    /// any server of a topic named `a.SERVER` is: who may call `a` may call those.
    pub client: Vec<ClientGrant>,
    /// Where it may send HTTP requests: `HOST` or `HOST:PORT` with TLS, `http://HOST:PORT` without;
    /// `*.DOMAIN` is every host below a domain.
    pub http: Vec<HttpGrant>,
    /// Folders of this machine that it may use.
    pub folders: Vec<FolderGrant>,
    /// Variables of the host's environment that it sees, by name.
    pub environment: Vec<String>,
    /// The time, and to sleep.
    pub clocks: bool,
    /// Random numbers.
    pub random: bool,
}

/// One of `folders = [{ path = "/srv/data", at = "/data" }]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FolderGrant {
    /// On this machine; relative to the plugin's folder.
    pub path: PathBuf,
    /// What the plugin knows it as.
    pub at: String,
    /// `read-only` or `read-write`.
    #[serde(default)]
    pub access: FolderAccess,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FolderAccess {
    #[default]
    ReadOnly,
    ReadWrite,
}

impl fmt::Display for FolderAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        })
    }
}

/// Why a component's imports do not fit its grants.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error(
        "it imports `{import}`, which is not granted: add `{line}` under [grants] in plugin.toml"
    )]
    NotGranted { import: String, line: &'static str },
    #[error("it imports `{0}`, which endpointd does not offer")]
    Unknown(String),
    #[error(
        "it is granted the bucket `{0}`, which is not configured: add [keyvalue.{0}] with \
         `backend = \"file\"` to endpointd.toml"
    )]
    NoSuchBucket(String),
    #[error("it is granted the folder {}, which cannot be used: {reason}", path.display())]
    Folder { path: PathBuf, reason: io::Error },
}

/// What is given only where it is granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    KeyValue,
    Client,
    Http,
    Folders,
    Clocks,
    Random,
    /// Nothing grants it: what is sent goes through the host.
    Sockets,
}

impl Capability {
    /// The line of plugin.toml that grants it, if one does.
    pub fn line(self) -> Option<&'static str> {
        Some(match self {
            Self::KeyValue => "keyvalue = [\"BUCKET\"]",
            Self::Client => "client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]",
            Self::Http => "http = [\"HOST\"]",
            Self::Folders => "folders = [{ path = \"PATH\", at = \"/NAME\" }]",
            Self::Clocks => "clocks = true",
            Self::Random => "random = true",
            Self::Sockets => return None,
        })
    }

    fn is_granted(self, grants: &Grants) -> bool {
        match self {
            Self::KeyValue => !grants.keyvalue.is_empty(),
            Self::Client => !grants.client.is_empty(),
            Self::Http => !grants.http.is_empty(),
            Self::Folders => !grants.folders.is_empty(),
            Self::Clocks => grants.clocks,
            Self::Random => grants.random,
            Self::Sockets => false,
        }
    }
}

/// One import of a component.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Import {
    /// Such as `wasi:keyvalue/store@0.2.0-draft2`.
    pub name: String,
    /// Whether anything can be called through it: some are there for their types alone, which give
    /// no power.
    pub is_called: bool,
}

/// What a component imports.
#[derive(Clone, Debug, Default)]
pub struct Imports(Vec<Import>);

impl Imports {
    pub fn of(component: &Component, engine: &Engine) -> Self {
        let is_function = |item: ComponentItem| matches!(item, ComponentItem::ComponentFunc(_));
        let component_type = component.component_type();
        let imports = component_type.imports(engine).map(|(name, item)| Import {
            name: name.escape_debug().to_string(),
            is_called: match item.ty {
                ComponentItem::ComponentInstance(instance) => {
                    let mut exports = instance.exports(engine);
                    exports.any(|(_, export)| is_function(export.ty))
                }
                item => is_function(item),
            },
        });
        Self(imports.collect())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|import| import.name.as_str())
    }

    /// Whether a language's runtime is inside, which imports more than the plugin uses: all of WASI,
    /// and some the whole contract.
    pub fn has_runtime(&self) -> bool {
        self.names().any(|name| name.starts_with("wasi:cli/"))
    }

    /// Each import that needs a grant, with what that is; an error for one that there is nothing to
    /// link to.
    pub fn needs(&self) -> Result<Vec<(&str, Capability)>, GrantError> {
        let mut needs = Vec::new();
        for import in &self.0 {
            match offer(&import.name) {
                None => return Err(GrantError::Unknown(import.name.clone())),
                Some(Offer::ByGrant(capability)) if import.is_called => {
                    needs.push((import.name.as_str(), capability));
                }
                Some(_) => {}
            }
        }
        Ok(needs)
    }
}

/// How an import is given.
enum Offer {
    Always,
    ByGrant(Capability),
}

fn offer(import: &str) -> Option<Offer> {
    let interface = import.split('@').next().unwrap_or_default();
    let package = interface.split('/').next().unwrap_or_default();
    Some(match (package, interface) {
        (_, "endpointd:rpc/client") => Offer::ByGrant(Capability::Client),
        (_, "wasi:keyvalue/store" | "wasi:keyvalue/atomics") => {
            Offer::ByGrant(Capability::KeyValue)
        }
        (_, "wasi:http/types" | "wasi:http/outgoing-handler") => Offer::ByGrant(Capability::Http),
        ("wasi:filesystem", _) => Offer::ByGrant(Capability::Folders),
        ("wasi:clocks", _) => Offer::ByGrant(Capability::Clocks),
        ("wasi:random", _) => Offer::ByGrant(Capability::Random),
        ("wasi:sockets", _) => Offer::ByGrant(Capability::Sockets),
        // Without arguments and input; of the environment what is granted by name.
        ("endpointd:rpc" | "wasi:logging" | "wasi:config" | "wasi:cli" | "wasi:io", _) => {
            Offer::Always
        }
        _ => return None,
    })
}

/// An import that is there, and denied whenever it is called.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeniedImport {
    pub import: String,
    /// What would grant it, under `[grants]`.
    pub line: Option<&'static str>,
}

impl Grants {
    /// Each as it would stand alone in plugin.toml.
    pub fn lines(&self) -> Vec<String> {
        let quoted = |key: &str, values: Vec<String>| -> Vec<String> {
            let line = |value| format!("{key} = [\"{value}\"]");
            values.into_iter().map(line).collect()
        };
        let buckets = self.keyvalue.iter().map(|name| name.as_str().to_owned());
        let folder = |folder: &FolderGrant| {
            let FolderGrant { path, at, access } = folder;
            let path = path.display();
            format!("folders = [{{ path = \"{path}\", at = \"{at}\", access = \"{access}\" }}]")
        };
        let flags = [("clocks", self.clocks), ("random", self.random)];
        let flags = flags.into_iter().filter(|(_, granted)| *granted);
        [
            quoted("keyvalue", buckets.collect()),
            quoted(
                "client",
                self.client.iter().map(ToString::to_string).collect(),
            ),
            quoted("http", self.http.iter().map(ToString::to_string).collect()),
            self.folders.iter().map(folder).collect(),
            quoted("environment", self.environment.clone()),
            flags.map(|(key, _)| format!("{key} = true")).collect(),
        ]
        .concat()
    }

    /// Checks every import. Gives those that are denied when they are called, which only a component
    /// with a language's runtime may have: any other imports what it uses.
    pub fn check(&self, imports: &Imports) -> Result<Vec<DeniedImport>, GrantError> {
        let has_runtime = imports.has_runtime();
        let mut denied = Vec::new();
        for (import, capability) in imports.needs()? {
            let import = import.to_owned();
            match (capability.is_granted(self), capability.line()) {
                (true, _) => {}
                (false, line) if has_runtime => denied.push(DeniedImport { import, line }),
                (false, Some(line)) => return Err(GrantError::NotGranted { import, line }),
                (false, None) => return Err(GrantError::Unknown(import)),
            }
        }
        Ok(denied)
    }

    /// What the plugin in `folder` gets, if all of it is there. Nothing that steers the host may be
    /// written: the plugin folder, and `kept`, where compiled code is.
    pub fn resolve(
        &self,
        folder: &Path,
        kept: Option<&Path>,
        buckets: &Buckets,
    ) -> Result<Granted, GrantError> {
        let mut open = BTreeMap::new();
        for name in &self.keyvalue {
            let bucket = buckets.get(name);
            let bucket =
                bucket.ok_or_else(|| GrantError::NoSuchBucket(name.as_str().to_owned()))?;
            open.insert(name.as_str().to_owned(), Arc::clone(bucket));
        }
        let mut folders = self.folders.clone();
        for granted in &mut folders {
            let path = folder.join(&granted.path);
            let checked = usable(&path, granted.access, folder, kept);
            granted.path = checked.map_err(|reason| GrantError::Folder { path, reason })?;
        }
        let variable = |name: &String| Some((name.clone(), std::env::var(name).ok()?));
        Ok(Granted {
            buckets: open,
            client: self.client.clone(),
            http: self.http.clone(),
            folders,
            environment: self.environment.iter().filter_map(variable).collect(),
            clocks: self.clocks,
            random: self.random,
        })
    }
}

/// The folder by its one true name, if it may be granted to the plugin in `own`.
fn usable(
    path: &Path,
    access: FolderAccess,
    own: &Path,
    kept: Option<&Path>,
) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    std::fs::read_dir(&path)?;
    if access == FolderAccess::ReadOnly {
        return Ok(path);
    }
    let own = own.canonicalize()?;
    let is_of_another =
        own.parent().is_some_and(|all| path.starts_with(all)) && !path.starts_with(&own);
    if own.starts_with(&path) || is_of_another {
        return Err(io::Error::other(
            "who may write there may write a plugin.toml, and with it grants",
        ));
    }
    if let Some(kept) = kept.and_then(|kept| kept.canonicalize().ok())
        && (kept.starts_with(&path) || path.starts_with(&kept))
    {
        return Err(io::Error::other(
            "compiled code is kept there, which the host trusts",
        ));
    }
    Ok(path)
}

/// What one plugin was granted, ready for use.
#[derive(Clone, Default)]
pub struct Granted {
    pub buckets: BTreeMap<String, Arc<dyn KeyValue>>,
    pub client: Vec<ClientGrant>,
    pub http: Vec<HttpGrant>,
    /// With whole paths.
    pub folders: Vec<FolderGrant>,
    /// Names and values, of those variables that are set.
    pub environment: Vec<(String, String)>,
    pub clocks: bool,
    pub random: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyvalue::memory::MemoryBucket;

    fn grants(text: &str) -> Grants {
        toml::from_str(text).expect("grants")
    }

    fn imports(names: &[&str]) -> Imports {
        let import = |name: &&str| Import {
            name: (*name).to_owned(),
            is_called: true,
        };
        Imports(names.iter().map(import).collect())
    }

    #[track_caller]
    fn check(text: &str, names: &[&str], expected: &str) {
        let outcome = match grants(text).check(&imports(names)) {
            Ok(denied) => {
                let denied = denied.into_iter().map(|denied| denied.import);
                denied.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn an_import_that_needs_a_grant_names_the_line_that_gives_it() {
        for (import, given, line) in [
            (
                "wasi:keyvalue/store@0.2.0-draft2",
                "keyvalue = [\"agents\"]",
                "keyvalue = [\"BUCKET\"]",
            ),
            (
                "endpointd:rpc/client@0.1.0",
                "client = [\"cast:*\"]",
                "client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]",
            ),
            (
                "wasi:http/outgoing-handler@0.2.3",
                "http = [\"example.org\"]",
                "http = [\"HOST\"]",
            ),
            (
                "wasi:filesystem/preopens@0.2.0",
                "folders = [{ path = \"/x\", at = \"/x\" }]",
                "folders = [{ path = \"PATH\", at = \"/NAME\" }]",
            ),
            (
                "wasi:clocks/wall-clock@0.2.0",
                "clocks = true",
                "clocks = true",
            ),
            ("wasi:random/random@0.2.0", "random = true", "random = true"),
        ] {
            check(given, &[import], "");
            let refused = format!(
                "it imports `{import}`, which is not granted: add `{line}` under [grants] in \
                 plugin.toml"
            );
            check("", &[import], &refused);
            // With a runtime inside, it may be imported and never used.
            check("", &["wasi:cli/environment@0.2.0", import], import);
        }
    }

    #[test]
    fn what_is_there_for_its_types_alone_needs_no_grant() {
        let imports = Imports(vec![Import {
            name: "wasi:clocks/monotonic-clock@0.2.0".to_owned(),
            is_called: false,
        }]);
        assert_eq!(Grants::default().check(&imports).expect("fine"), []);
    }

    #[test]
    fn a_grant_that_cannot_be_read_is_no_grant() {
        for wrong in [
            "client = [\"fanout\"]",
            "client = [\"publish:a\"]",
            "http = [\"a/b\"]",
        ] {
            toml::from_str::<Grants>(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn what_is_always_there_needs_no_grant() {
        for import in [
            "endpointd:rpc/types@0.1.0",
            "endpointd:rpc/call-info@0.1.0",
            "wasi:logging/logging@0.1.0-draft",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:cli/environment@0.2.6",
            "wasi:io/streams@0.2.6",
        ] {
            check("", &[import], "");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for import in ["wasi:nn/inference@0.2.0", "wasi:sockets/tcp@0.2.0"] {
            let refused = format!("it imports `{import}`, which endpointd does not offer");
            check("", &[import], &refused);
        }
        let runtime = ["wasi:cli/stdout@0.2.0", "wasi:sockets/tcp@0.2.0"];
        check("", &runtime, "wasi:sockets/tcp@0.2.0");
    }

    #[test]
    fn what_is_granted_must_be_there() {
        let agents = BucketName::try_from("agents".to_owned()).expect("a name");
        let bucket: Arc<dyn KeyValue> = Arc::new(MemoryBucket::default());
        let buckets = Buckets::new([(agents, bucket)]);
        let top = tempfile::tempdir().expect("a folder");
        let at = |path: &str| top.path().join(path);
        for path in ["plugins/one/data", "plugins/two", "compiled"] {
            std::fs::create_dir_all(at(path)).expect("a folder");
        }
        let resolve = |text: &str| {
            let kept = at("compiled");
            let resolved = grants(text).resolve(&at("plugins/one"), Some(&kept), &buckets);
            resolved.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(resolve("keyvalue = [\"agents\"]"), Ok(()));
        assert_eq!(
            resolve("keyvalue = [\"leases\"]").expect_err("refused"),
            "it is granted the bucket `leases`, which is not configured: add [keyvalue.leases] \
             with `backend = \"file\"` to endpointd.toml"
        );
        assert_eq!(resolve("folders = [{ path = \".\", at = \"/\" }]"), Ok(()));
        let missing = resolve("folders = [{ path = \"missing\", at = \"/\" }]");
        assert!(missing.expect_err("refused").contains("cannot be used"));
        // What steers the host may be read, and not written.
        for path in [".", "..", "../..", "../two", "../../compiled"] {
            let folder = |access: &str| {
                let folder = format!("path = \"{path}\", at = \"/\", access = \"{access}\"");
                resolve(&format!("folders = [{{ {folder} }}]"))
            };
            assert_eq!(folder("read-only"), Ok(()), "{path}");
            folder("read-write").expect_err(path);
        }
        let data = "folders = [{ path = \"data\", at = \"/\", access = \"read-write\" }]";
        assert_eq!(resolve(data), Ok(()));
    }
}
