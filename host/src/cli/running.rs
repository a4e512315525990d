//! A host that runs in this process until it is told to stop.

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::app::{App, Asked};
use crate::config::Config;
use crate::scheduling::{PATIENT, lower_priority, preempt_nobody};
use crate::telemetry::trace;

/// Serves until a signal or `orders` stop it. `announce` gets a line for each topic that is served.
pub fn serve(
    config: Config,
    orders: &mut mpsc::Receiver<Asked>,
    announce: impl Fn(&[String]),
) -> anyhow::Result<()> {
    // Guests may keep every worker busy; what talks to the broker has a thread of its own.
    let io = runtime("io", 1, preempt_nobody)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = runtime("worker", cores, || {})?;
    // Guests that compute for long must not keep those of others waiting.
    let patient = runtime("patient", cores.div_ceil(2), || lower_priority(PATIENT))?;
    let outcome = io.block_on(run(config, &workers, &patient, orders, announce));
    // What is still running was waited for as long as was allowed.
    workers.shutdown_background();
    patient.shutdown_background();
    io.shutdown_background();
    trace::finish();
    outcome
}

fn runtime(
    name: &str,
    threads: usize,
    on_start: impl Fn() + Send + Sync + 'static,
) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .on_thread_start(on_start)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the {name} threads"))
}

async fn run(
    config: Config,
    workers: &Runtime,
    patient: &Runtime,
    orders: &mut mpsc::Receiver<Asked>,
    announce: impl Fn(&[String]),
) -> anyhow::Result<()> {
    let mut asking = Asking::listen(orders)?;
    let building = App::build(config, workers.handle().clone(), patient.handle().clone());
    let app = tokio::select! {
        built = building => built?,
        // Nothing was accepted yet, so there is nothing to finish.
        () = async { while asking.next().await != Asked::Stop {} } => return Ok(()),
    };
    app.run(async || asking.next().await, announce).await
}

/// SIGTERM and Ctrl-C to stop, SIGHUP to load plugins anew; and what this process orders itself.
struct Asking<'a> {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    orders: &'a mut mpsc::Receiver<Asked>,
}

impl<'a> Asking<'a> {
    fn listen(orders: &'a mut mpsc::Receiver<Asked>) -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen to Ctrl-C")?,
            hangup: signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?,
            orders,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
            Some(order) = self.orders.recv() => order,
        }
    }
}
