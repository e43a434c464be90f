//! The log: one line an event on standard error, text or JSON. What one place of the program says too often is left out, and
//! counted.

mod limit;

use std::io::IsTerminal;
use std::time::Duration;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::limit::{Limited, PERIOD};
use crate::config::{Config, LogFormat};

pub(crate) use self::limit::suppressed;

/// Starts logging; a second start in the same process changes nothing.
pub(crate) fn start(config: &Config) {
    let asked: Targets = config.log.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).event_format(Limited(format())).boxed(),
        LogFormat::Json => {
            let json = Limited(format().json().flatten_event(true));
            lines.fmt_fields(JsonFields::new()).event_format(json).boxed()
        }
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(asked)).try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}

/// Says now and then how much was left out, for as long as it runs.
pub(crate) async fn report() {
    loop {
        tokio::time::sleep(PERIOD).await;
        report_once();
    }
}

fn report_once() {
    for left_out in limit::left_out() {
        let (lines, place) = (left_out.lines, left_out.place);
        let within = humantime::format_duration(Duration::from_secs(PERIOD.as_secs()));
        tracing::warn!(lines, %place, %within, "lines like others before them were left out");
    }
}
