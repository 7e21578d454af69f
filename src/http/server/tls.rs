//! A server's certificate.

use std::{io, path::PathBuf, sync::Arc};

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

use crate::{
    error::{Error, ErrorKind, Result},
    http::watched::Watched,
};

/// A certificate and its key, read again when their files change: TLS 1.2 and 1.3.
///
/// ```
/// use flowseek::http::Tls;
///
/// assert!(Tls::files("no-such-certificate.pem", "no-such-key.pem").is_err());
/// ```
#[derive(Debug)]
pub struct Tls(Watched<Arc<ServerConfig>>);

impl Tls {
    /// The files with the chain of certificates, the server's first, and its private key, both in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where they do not go together or are none; [`ErrorKind::NotFound`] or
    /// [`ErrorKind::Io`] where they cannot be read.
    pub fn files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self> {
        Watched::open(vec![certificate.into(), key.into()], |files| match files {
            [certificate, key] => config(certificate, key),
            _ => Err(Error::internal("TLS needs two files")),
        })
        .map(Self)
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&*self.0.current())).accept(stream).await
    }
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>> {
    fn invalid<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl FnOnce(E) -> Error {
        Error::with(ErrorKind::InvalidInput, what)
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(invalid("the certificate is not PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(invalid("the private key is not PEM"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(invalid("TLS cannot be set up"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(invalid("the certificate and the private key do not go together"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
