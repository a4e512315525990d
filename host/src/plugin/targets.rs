//! What a plugin says that it serves, and what of it is taken.

use super::manifest::Access;
use crate::bindings::endpointd::rpc::types;
use crate::protocol::target::{EndpointTarget, InvalidVersion};

/// What a plugin's answer about itself may be at most.
const MAX_TARGETS: usize = 100;
const MAX_METHODS: usize = 1000;
const MAX_NAME_BYTES: usize = 255;

/// A plugin's targets cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("its targets are wrong: {0}")]
pub struct InvalidTargets(String);

/// Takes what can be routed by and shown.
pub fn checked(targets: Vec<types::Target>) -> Result<Vec<EndpointTarget>, InvalidTargets> {
    let invalid = InvalidTargets;
    let methods: usize = targets.iter().map(|target| target.methods.len()).sum();
    if targets.is_empty() || methods == 0 {
        return Err(invalid("it serves no method".to_owned()));
    }
    if targets.len() > MAX_TARGETS || methods > MAX_METHODS {
        return Err(invalid(format!(
            "{} targets with {methods} methods are more than {MAX_TARGETS} and {MAX_METHODS}",
            targets.len()
        )));
    }
    let namespaces = targets
        .iter()
        .filter_map(|target| target.namespace.as_ref());
    let names = namespaces.chain(targets.iter().flat_map(|target| &target.methods));
    if let Some(bad) = names.into_iter().find(|name| !is_printable(name)) {
        let start = &bad[..bad.floor_char_boundary(MAX_NAME_BYTES)];
        return Err(invalid(format!("{start:?} is no name that can be shown")));
    }
    let checked = |target: types::Target| -> Result<_, InvalidVersion> {
        Ok(EndpointTarget {
            version: target.version.parse()?,
            namespace: target.namespace,
            methods: target.methods,
        })
    };
    let targets = targets.into_iter().map(checked).collect::<Result<_, _>>();
    targets.map_err(|error: InvalidVersion| {
        let problem = error.to_string();
        invalid(problem[..problem.floor_char_boundary(MAX_NAME_BYTES)].to_owned())
    })
}

/// Leaves those methods that `access` lets callers use. Gives how many it hid.
pub fn hide_private(targets: &mut [EndpointTarget], access: Access) -> usize {
    let before = count_methods(targets);
    if access == Access::Public {
        for target in targets.iter_mut() {
            target.methods.retain(|method| !method.starts_with('_'));
        }
    }
    before - count_methods(targets)
}

fn count_methods(targets: &[EndpointTarget]) -> usize {
    targets.iter().map(|target| target.methods.len()).sum()
}

/// Names of plugins are shown to operators, in ready lines and by `check`: they must not be able to
/// look like something else there.
fn is_printable(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}
