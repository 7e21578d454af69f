//! A server's certificate.

use std::{error::Error, io, path::PathBuf, sync::Arc};

use flowseek::http::Watched;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

/// A certificate and its key, read again when their files change: TLS 1.2 and 1.3.
#[derive(Debug)]
pub struct Tls(Watched<Arc<ServerConfig>>);

impl Tls {
    /// The files with the chain of certificates, the server's first, and its private key, both in PEM.
    ///
    /// # Errors
    /// Where they cannot be read, are none, or do not go together.
    pub fn files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> flowseek::Result<Self> {
        Watched::open(vec![certificate.into(), key.into()], |files| match files {
            [certificate, key] => config(certificate, key),
            _ => Err("TLS needs two files".into()),
        })
        .map(Self)
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&*self.0.current())).accept(stream).await
    }
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, Box<dyn Error + Send + Sync>> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate is not PEM: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the private key is not PEM: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("the certificate and the private key do not go together: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
