//! What Prometheus is told of the plugins, in its text format (version 0.0.4).

use std::fmt::Write;

use crate::catalog::status::PluginStatus;

/// How the format is called in an answer.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// One family of metrics: its samples are written by plugin.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

/// All metrics.
pub(super) fn text(plugins: &[PluginStatus]) -> String {
    let mut text = String::new();
    let count = |name, help| Family {
        name,
        kind: "counter",
        help,
    };
    let gauge = |name, help| Family {
        name,
        kind: "gauge",
        help,
    };
    let own = |plugin: &PluginStatus| label("plugin", &plugin.name);
    gauge(
        "endpointd_plugin_serving",
        "1 while a generation of the plugin serves.",
    )
    .write(&mut text, plugins, |plugin| {
        let generation = plugin.generation.as_deref().unwrap_or_default();
        let labels = format!("{},{}", own(plugin), label("generation", generation));
        vec![(labels, plugin.generation.is_some().into())]
    });
    gauge(
        "endpointd_plugin_load_problem",
        "1 while what is in the plugin's folder does not load.",
    )
    .write(&mut text, plugins, |plugin| {
        let problem = plugin.problem.iter();
        let labels = problem.map(|reason| format!("{},{}", own(plugin), label("reason", reason)));
        labels.map(|labels| (labels, 1)).collect()
    });
    gauge(
        "endpointd_plugin_live_instances",
        "Instances of the plugin that there are now.",
    )
    .write(&mut text, plugins, |plugin| {
        vec![(own(plugin), plugin.live_instances as u64)]
    });
    count(
        "endpointd_plugin_calls_total",
        "Calls and casts that the plugin was given.",
    )
    .write(&mut text, plugins, |plugin| {
        vec![(own(plugin), plugin.calls)]
    });
    count(
        "endpointd_plugin_failures_total",
        "Calls that the plugin answered with a failure of its own.",
    )
    .write(&mut text, plugins, |plugin| {
        vec![(own(plugin), plugin.failures)]
    });
    count(
        "endpointd_plugin_errors_total",
        "Calls that the plugin did not answer as it must, by kind.",
    )
    .write(&mut text, plugins, |plugin| {
        let kinds = [
            ("timeout", plugin.timeouts),
            ("trap", plugin.traps),
            ("out_of_memory", plugin.out_of_memory),
            ("limit_exceeded", plugin.limit_exceeded),
            ("denied", plugin.denied),
            ("invalid_reply", plugin.invalid_replies),
            ("invalid_request", plugin.invalid_requests),
            ("unavailable", plugin.unavailable),
            ("busy", plugin.busy),
            ("refused", plugin.refused),
        ];
        let with_kind = |(kind, count)| (format!("{},{}", own(plugin), label("kind", kind)), count);
        kinds.into_iter().map(with_kind).collect()
    });
    count(
        "endpointd_plugin_limit_reached_total",
        "How often the plugin reached a limit, by the limit.",
    )
    .write(&mut text, plugins, |plugin| {
        let counts = plugin.limits_reached.iter();
        let labels = |limit| format!("{},{}", own(plugin), label("limit", limit));
        counts
            .map(|(limit, count)| (labels(limit), *count))
            .collect()
    });
    count(
        "endpointd_plugin_denied_total",
        "How often the plugin asked for what it is not granted.",
    )
    .write(&mut text, plugins, |plugin| {
        vec![(own(plugin), plugin.times_denied)]
    });
    count(
        "endpointd_plugin_instances_made_total",
        "Instances of the plugin that were made.",
    )
    .write(&mut text, plugins, |plugin| {
        vec![(own(plugin), plugin.instances_made)]
    });
    text
}

impl Family {
    /// `samples` gives labels and values of one plugin.
    fn write(
        self,
        text: &mut String,
        plugins: &[PluginStatus],
        samples: impl Fn(&PluginStatus) -> Vec<(String, u64)>,
    ) {
        let Self { name, kind, help } = self;
        // Writing to a text cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in plugins.iter().flat_map(samples) {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }
}

fn label(name: &str, value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{name}=\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_label_cannot_end_it() {
        assert_eq!(label("reason", "a \"b\"\nc\\"), r#"reason="a \"b\"\nc\\""#);
    }
}
