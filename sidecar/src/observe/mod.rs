//! What an operator sees of the daemon: metrics and traces.
//!
//! ```text
//!   table ──► meters ──► one provider ──► otlp (pushed)          spans ──► otlp
//!    (declared once)         ▲       └──► page (Prometheus, pulled)
//!                            └── Engine::figures, when somebody asks
//! ```
//!
//! `table` declares every metric, `meters` are the instruments, `spans` what is traced and by whose request, `otlp` sends both
//! to a collector, `page` serves the metrics as text. Nothing here is on the way of a lease that a client takes by itself.

mod few;
mod meters;
mod otlp;
mod page;
pub mod spans;
pub mod table;

use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;

pub use meters::Meters;
pub(crate) use meters::Request;
pub(crate) use otlp::Traces;
pub use page::PageError;
pub(crate) use page::SOCKET;

use crate::config::{Config, MetricsPage};
use crate::engine::Engine;

/// The name of the scope that instruments and spans are in.
const SCOPE: &str = "payload_manager";

/// What a stop gives a collector to take the last of it.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The metrics of one daemon: its instruments, and who reads them.
pub(crate) struct Observatory {
    /// None where nobody reads.
    provider: Option<SdkMeterProvider>,
    page: Option<page::Page>,
}

impl Observatory {
    /// Binds the page, and makes the instruments.
    ///
    /// # Errors
    /// [`PageError`]: the page can't be served there.
    pub(crate) async fn open(config: &Config) -> Result<Self, PageError> {
        let mut builder = SdkMeterProvider::builder().with_resource(otlp::resource());
        let sent = otlp::metrics(&config.otlp);
        let is_read = sent.is_some() || config.metrics_page != MetricsPage::Off;
        if let Some(reader) = sent {
            builder = builder.with_reader(reader);
        }
        let page = match config.metrics_page {
            MetricsPage::Off => None,
            at => {
                let (page, reader) = page::Page::bind(&config.runtime_dir.path, at).await?;
                builder = builder.with_reader(reader);
                Some(page)
            }
        };
        Ok(Self { provider: is_read.then(|| builder.build()), page })
    }

    /// What is told as it happens.
    pub(crate) fn meters(&self) -> Meters {
        self.provider.as_ref().map(Meters::of).unwrap_or_default()
    }

    /// Where the page is served over TCP.
    pub(crate) fn tcp(&self) -> Option<std::net::SocketAddr> {
        self.page.as_ref().and_then(page::Page::tcp)
    }

    /// Reads the engine from here on, and serves the page until the engine's tasks are asked to stop.
    pub(crate) fn watch(&mut self, engine: &Engine) {
        if let Some(provider) = &self.provider {
            meters::ask(provider, engine.downgrade());
        }
        if let Some(page) = self.page.take() {
            let stopping = engine.tasks().token();
            engine.tasks().spawn("metrics", async move { page.serve(stopping).await });
        }
    }

    /// Sends what has not been sent. A collector that does not answer keeps the daemon for some seconds at most.
    pub(crate) async fn close(self) {
        let Some(provider) = self.provider else { return };
        let closing = tokio::task::spawn_blocking(move || provider.shutdown());
        match tokio::time::timeout(LAST_WORDS, closing).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "the last metrics were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last metrics were not sent: the collector does not answer"),
        }
    }
}
