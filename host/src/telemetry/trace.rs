//! Distributed tracing as oslo.messaging does it (oslo_messaging/_tracing/client.py): the W3C trace
//! context travels in the request context, and spans go to an OpenTelemetry collector.

use std::collections::HashMap;
use std::sync::OnceLock;

use opentelemetry::context::FutureExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The `[tracing]` table of endpointd.toml: oslo's options of `[oslo_messaging_tracing]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TracingConfig")]
pub struct Config {
    /// Send a span for each request to an OpenTelemetry collector, as a part of the caller's trace.
    pub tracing_enabled: bool,
    /// What this service is called there.
    pub tracing_service_name: String,
    /// The collector, which speaks OTLP over HTTP (protobuf): spans go to `/v1/traces` below it.
    pub otel_exporter_otlp_endpoint: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tracing_enabled: false,
            tracing_service_name: "endpointd".to_owned(),
            otel_exporter_otlp_endpoint: "http://localhost:4318".to_owned(),
        }
    }
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("`otel_exporter_otlp_endpoint` cannot be used: {0}")]
pub struct TraceError(String);

struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Starts to send spans, if that is asked for. A second call changes nothing.
pub fn init(config: &Config) -> Result<(), TraceError> {
    if !config.tracing_enabled || TRACING.get().is_some() {
        return Ok(());
    }
    let endpoint = config.otel_exporter_otlp_endpoint.trim_end_matches('/');
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .build()
        .map_err(|error| TraceError(error.to_string()))?;
    let name = config.tracing_service_name.clone();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(name).build())
        .build();
    let tracer = provider.tracer("endpointd");
    // Somebody else's was first: it does the same.
    let _ = TRACING.set(Tracing { provider, tracer });
    Ok(())
}

/// Sends what was not sent yet; the last thing a process does.
pub fn finish() {
    if let Some(tracing) = TRACING.get() {
        // The collector may be gone, and there is nobody left to care.
        let _ = tracing.provider.shutdown();
    }
}

/// The span of a request that was received, as a child of the span it was sent in. It ends when the
/// last copy is dropped. `None` where nothing is traced.
pub fn received(method: Option<&str>, message_id: Option<&str>, context: &str) -> Option<Context> {
    let tracing = TRACING.get()?;
    let caller = Caller::read(context);
    let carrier = [
        ("traceparent", caller.traceparent),
        ("tracestate", caller.tracestate),
    ];
    let carrier = carrier.into_iter().filter_map(|(name, value)| {
        let text = value.as_str()?.to_owned();
        Some((name.to_owned(), text))
    });
    let carrier: HashMap<String, String> = carrier.collect();
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let method = method.unwrap_or("None");
    let message_id = match message_id {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    };
    let mut attributes = vec![
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.operation", "receive"),
        KeyValue::new("messaging.message.id", message_id),
        KeyValue::new("rpc.method", method.to_owned()),
    ];
    if let Some(id) = caller.request_id.as_str() {
        attributes.push(KeyValue::new("openstack.request_id", id.to_owned()));
    }
    let span = SpanBuilder::from_name(format!("{method} receive"))
        .with_kind(SpanKind::Consumer)
        .with_attributes(attributes);
    let span = tracing.tracer.build_with_context(span, &parent);
    Some(parent.with_span(span))
}

/// A message on its way out, and what of its trace goes with it.
pub struct Sending {
    context: Context,
    /// Entries for the request context, instead of any of these names.
    pub entries: Vec<(String, String)>,
}

impl Sending {
    /// The call has no result.
    pub fn failed(&self, why: String) {
        self.context.span().set_status(Status::error(why));
    }
}

/// The span of a message being sent, inside of the request being answered if there is one. It lasts
/// until it is dropped. `None` where nothing is traced.
pub fn sending(
    operation: &'static str,
    topic: &str,
    namespace: Option<&str>,
    method: &str,
    context: &str,
) -> Option<Sending> {
    let tracing = TRACING.get()?;
    let mut attributes = vec![
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.operation", operation),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
        KeyValue::new("rpc.method", method.to_owned()),
    ];
    if let Some(namespace) = namespace {
        attributes.push(KeyValue::new("rpc.service", namespace.to_owned()));
    }
    if let Some(id) = Caller::read(context).request_id.as_str() {
        attributes.push(KeyValue::new("openstack.request_id", id.to_owned()));
    }
    let span = SpanBuilder::from_name(format!("{topic}.{method}"))
        .with_kind(SpanKind::Producer)
        .with_attributes(attributes);
    let around = Context::current();
    let span = tracing.tracer.build_with_context(span, &around);
    let context = around.with_span(span);
    let mut carrier = HashMap::<String, String>::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    let mut entries: Vec<_> = carrier
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    entries.sort();
    Some(Sending { context, entries })
}

/// What of a request context is about its trace. Whatever else is in there is no error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Caller {
    traceparent: Value,
    tracestate: Value,
    request_id: Value,
}

impl Caller {
    fn read(context: &str) -> Self {
        serde_json::from_str(context).unwrap_or_default()
    }
}

/// Has `future`, wherever it runs, belong to what this is called in.
pub fn continued<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_current_context()
}

/// Runs `future` inside of a span, so that what it sends belongs to it.
pub async fn within<F: Future>(span: Option<Context>, future: F) -> F::Output {
    match span {
        Some(span) => future.with_context(span).await,
        None => future.await,
    }
}
