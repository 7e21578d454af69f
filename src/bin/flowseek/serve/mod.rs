//! The endpoint over HTTP.

mod authorization;
mod layers;
mod log;
mod requests;
mod server;
mod spending;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use axum::{Router, http::HeaderValue};
use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{
    Archive,
    http::{Authorizer, FlowLogs, not_found},
};
use tokio::sync::watch;

use self::{
    authorization::Authorization,
    log::Level,
    server::{Server, Tls},
    spending::Spending,
};
use super::{
    archive_path,
    failure::{Failure, say},
    signals::Signals,
    threads::runtime,
};

/// Serves the endpoint over an archive by HTTP: GET /v2/audit/flow-logs.
///
/// Beside it there are /openapi.json, /healthz, /readyz and /metrics, for which no credential is needed. SIGTERM and
/// ctrl-c stop the server once begun requests have ended; a second one stops it at once. Key files and certificates are
/// read again when they change.
#[derive(Debug, Args)]
pub struct Serve {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Where to listen; port 0 picks one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where to listen for /healthz, /readyz and /metrics, which are then not at the other address.
    #[arg(long, value_name = "ADDRESS")]
    operations_listen: Option<String>,
    #[command(flatten)]
    authorization: Authorization,
    /// Serve TLS with this chain of certificates in PEM, the server's first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the first certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let pages of this origin read the answers in a browser, such as https://flows.example; several may be allowed.
    #[arg(long, value_name = "ORIGIN", value_parser = layers::origin)]
    cors_origin: Vec<HeaderValue>,
    #[command(flatten)]
    spending: Spending,
    /// What to log on standard error; info has a line for each request.
    #[arg(long, value_enum, default_value_t = Level::Warn)]
    log: Level,
}

impl Serve {
    /// Serves until the process is told to stop.
    pub fn run(&self) -> Result<(), Failure> {
        log::start(self.log)?;
        let address = self.address()?;
        let operations = self.operations_listen.as_deref().map(resolve).transpose()?;
        let operations = operations.and_then(|addresses| addresses.first().copied());
        let authorizer = self.authorization.authorizer()?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::files(certificate, key)?),
            _ => None,
        };
        let logs = FlowLogs::with_settings(Archive::open(&self.archive)?, authorizer, self.spending.settings());
        runtime()?.block_on(self.serve(logs, address, operations, tls))
    }

    /// The address to listen on, on loopback where nobody is asked for a credential.
    fn address(&self) -> Result<SocketAddr, Failure> {
        let mut addresses = resolve(&self.listen)?;
        if self.authorization.is_open() {
            addresses.retain(|address| address.ip().to_canonical().is_loopback());
        }
        addresses.first().copied().ok_or_else(|| {
            let listen = &self.listen;
            Failure::Usage(format!(
                "--no-auth listens on loopback addresses only, such as 127.0.0.1:8080, not {listen}"
            ))
        })
    }

    async fn serve(
        &self,
        logs: FlowLogs<impl Authorizer>,
        address: SocketAddr,
        operations: Option<SocketAddr>,
        tls: Option<Tls>,
    ) -> Result<(), Failure> {
        let connections = self.spending.connections();
        let mut signals = Signals::new()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Server::bind(address, connections).await?;
        let server = match tls {
            Some(tls) => server.tls(tls),
            None => server,
        };
        let layered = |app: Router| layers::around(app.fallback(not_found), &self.cors_origin, connections.stall_time);
        let mut app: Router = logs.router().merge(logs.document());
        let beside = match operations {
            Some(address) => Some(Server::bind(address, connections).await?),
            None => {
                app = app.merge(logs.operations());
                None
            }
        };
        if let Some(beside) = &beside {
            say(format_args!("operations on http://{}", beside.address()));
        }
        say(format_args!("listening on {scheme}://{}", server.address()));

        let (stop, stopped) = watch::channel(());
        let (end, ended) = watch::channel(());
        let told = |mut stopped: watch::Receiver<()>| async move {
            // The other end is dropped to say it.
            let _ = stopped.changed().await;
        };
        let served = async {
            let main = async {
                server.run(layered(app), told(stopped)).await;
                drop(end);
            };
            let aside = async {
                // Until the end it can be asked whether the server is ready: it is not, while it stops.
                if let Some(beside) = beside {
                    beside.run(layered(logs.operations()), told(ended)).await;
                }
            };
            tokio::join!(main, aside);
        };
        tokio::pin!(served);
        tokio::select! {
            () = &mut served => {}
            () = signals.next() => {
                logs.stopping();
                drop(stop);
                tokio::select! {
                    () = served => {}
                    () = signals.next() => return Err(Failure::Failed("stopped before all requests had ended".to_owned())),
                }
            }
        }
        Ok(())
    }
}

/// The addresses of a host and port.
fn resolve(listen: &str) -> Result<Vec<SocketAddr>, Failure> {
    listen.to_socket_addrs().map(Vec::from_iter).map_err(|error| {
        let allowed = "allowed: HOST:PORT, such as 127.0.0.1:8080";
        Failure::Usage(format!("{listen:?} is no address to listen on: {error}; {allowed}"))
    })
}
