//! Who may use the server.

use std::{path::PathBuf, time::Duration};

use axum::http::request::Parts;
use clap::Args;
use flowseek::{
    Result,
    http::{Authorizer, Grant, Jwt, KeySource, Loopback, Refusal},
};

use super::spending::seconds;

/// How clients show who they are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Credential {
    /// Let everybody in; on loopback addresses only.
    #[arg(long)]
    no_auth: bool,
    /// Tokens are signed by HS256 with this file, less one newline at its end.
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,
    /// Tokens are signed with the key to this public one in PEM: RS256, ES256 or EdDSA, by the kind of the key.
    #[arg(long, value_name = "FILE")]
    jwt_public_key: Option<PathBuf>,
    /// Tokens are signed with the key to one of this JSON Web Key Set.
    #[arg(long, value_name = "FILE")]
    jwt_jwks: Option<PathBuf>,
}

/// Who may use the server.
#[derive(Debug, Args)]
pub struct Authorization {
    #[command(flatten)]
    credential: Credential,
    /// The `iss` that a token must have; several may be allowed.
    #[arg(long, value_name = "ISSUER", conflicts_with = "no_auth")]
    jwt_issuer: Vec<String>,
    /// What a token must have in `aud`; several may be allowed.
    #[arg(long, value_name = "AUDIENCE", conflicts_with = "no_auth")]
    jwt_audience: Vec<String>,
    /// The claim that lists the permissions, of which audits::read:flows is needed; or a path to it, as in
    /// /realm_access/roles.
    #[arg(long, value_name = "CLAIM", default_value = "permissions", conflicts_with = "no_auth")]
    jwt_permissions_claim: String,
    /// The claim that lists the IDs of the nodes whose logs the bearer may read [default: all nodes].
    #[arg(long, value_name = "CLAIM", conflicts_with = "no_auth")]
    jwt_nodes_claim: Option<String>,
    /// How many seconds the issuer's clock may differ from this one's.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds, conflicts_with = "no_auth")]
    jwt_leeway: Duration,
}

impl Authorization {
    /// Whether everybody is let in.
    pub fn is_open(&self) -> bool {
        self.credential.no_auth
    }

    /// What looks at the credentials.
    pub fn authorizer(&self) -> Result<Chosen> {
        let keys = match &self.credential {
            Credential { jwt_secret_file: Some(secret), .. } => KeySource::secret_file(secret)?,
            Credential { jwt_public_key: Some(key), .. } => KeySource::public_key_file(key)?,
            Credential { jwt_jwks: Some(set), .. } => KeySource::jwks_file(set)?,
            _ => return Ok(Chosen::Open(Loopback)),
        };
        let jwt = Jwt::new(keys).permissions_claim(&self.jwt_permissions_claim).leeway(self.jwt_leeway);
        let jwt = self.jwt_issuer.iter().fold(jwt, Jwt::issuer);
        let jwt = self.jwt_audience.iter().fold(jwt, Jwt::audience);
        let jwt = match &self.jwt_nodes_claim {
            Some(claim) => jwt.nodes_claim(claim),
            None => jwt,
        };
        Ok(Chosen::Jwt(Box::new(jwt)))
    }
}

/// The way that was chosen.
#[derive(Debug)]
pub enum Chosen {
    /// Everybody on this machine is let in.
    Open(Loopback),
    /// A token is asked for.
    Jwt(Box<Jwt>),
}

impl Authorizer for Chosen {
    async fn authorize(&self, request: &Parts) -> Result<Grant, Refusal> {
        match self {
            Self::Open(open) => open.authorize(request).await,
            Self::Jwt(jwt) => jwt.authorize(request).await,
        }
    }
}
