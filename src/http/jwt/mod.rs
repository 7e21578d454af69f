//! Authorization by JSON Web Tokens (RFC 7519), handed in as bearer tokens (RFC 6750).

mod claims;
mod keys;
mod strength;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, header, request::Parts};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::Value;

use self::claims::{dotted, texts};
pub use self::keys::KeySource;
use super::authorizer::{Authorizer, Grant, Refusal};
use crate::filter;

/// More than this is no difference between clocks.
const GREATEST_LEEWAY: Duration = Duration::from_secs(24 * 3600);

/// Lets in whoever has a token that one of the keys has signed.
///
/// A token must have `exp`, which must lie ahead, and must not have an `nbf` that does. Its `iss`, where it has one, is a
/// text. Which issuer and audience it is from and for is looked at where they are set, and must be there then. A token without a signature is refused, as is one whose algorithm is
/// not that of the key, and one with critical extensions.
///
/// ```
/// use std::time::Duration;
/// use flowseek::http::{Jwt, KeySource};
///
/// let keys = KeySource::secret(b"a secret of at least 32 bytes...")?;
/// let jwt = Jwt::new(keys).issuer("https://login.example").audience("flow-logs").leeway(Duration::from_secs(30));
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Jwt {
    keys: KeySource,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
    permissions_claim: String,
    nodes_claim: Option<String>,
    /// Whether the log says already why a claim is never found.
    explained: AtomicBool,
}

impl Jwt {
    /// With these keys; the permissions are in the claim `permissions`, and clocks are right.
    pub fn new(keys: KeySource) -> Self {
        Self {
            keys,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::ZERO,
            permissions_claim: "permissions".to_owned(),
            nodes_claim: None,
            explained: AtomicBool::new(false),
        }
    }

    /// The token's `iss` must be this, or another that was set so.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// The token's `aud` must have this, or another that was set so.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How far the clock of the issuer may be from the one here, in whole seconds and at most a day.
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway: leeway.min(GREATEST_LEEWAY), ..self }
    }

    /// The permissions are in this claim: a list, or text with spaces between. A name that begins with a slash points
    /// into the claims (RFC 6901), as `/realm_access/roles` does.
    pub fn permissions_claim(self, name: impl Into<String>) -> Self {
        Self { permissions_claim: name.into(), ..self }
    }

    /// The IDs of the nodes whose logs the bearer sees are in this claim, which is written like the permissions. A token
    /// that names none is refused.
    pub fn nodes_claim(self, name: impl Into<String>) -> Self {
        Self { nodes_claim: Some(name.into()), ..self }
    }

    fn grant(&self, headers: &HeaderMap) -> Result<Grant, Refusal> {
        let claims = self.claims(bearer(headers)?)?;
        let grant = Grant::new(texts(&claims, &self.permissions_claim));
        let grant = match self.explain(&claims, &self.permissions_claim) {
            Some(hint) => grant.hint(hint),
            None => grant,
        };
        let grant = match claims.get("sub").and_then(Value::as_str) {
            Some(subject) => grant.subject(subject),
            None => grant,
        };
        let Some(name) = &self.nodes_claim else { return Ok(grant) };
        let nodes = texts(&claims, name);
        if nodes.is_empty() {
            let hint = self.explain(&claims, name).map(|hint| format!("; {hint}")).unwrap_or_default();
            return Err(Refusal::Forbidden(format!("the token names no nodes whose logs may be read{hint}")));
        }
        Ok(grant.only(filter::node_id().any_of(nodes)))
    }

    /// Why a claim is not found that is named like a path: for the client, and once for the log.
    fn explain(&self, claims: &Value, name: &str) -> Option<String> {
        let hint = dotted(claims, name)?;
        if !self.explained.swap(true, Ordering::Relaxed) {
            tracing::warn!("{hint}");
        }
        Some(hint)
    }

    /// The claims of a token that is what it should be.
    fn claims(&self, token: &str) -> Result<Value, Refusal> {
        let header = decode_header(token).map_err(|_| invalid("the token is not a JWT that is signed"))?;
        if header.crit.is_some() {
            return Err(invalid("the token has critical extensions, of which none is known here"));
        }
        let keys = self.keys.current();
        for key in keys.candidates(header.alg, header.kid.as_deref()) {
            match decode::<Value>(token, &key.key, &self.validation(key.algorithm)) {
                Ok(token) => return self.in_force(token.claims),
                Err(error) if is_of_key(error.kind()) => {}
                Err(error) => return Err(invalid(reason(error.kind()))),
            }
        }
        Err(invalid("the token is not signed with a key and algorithm that are accepted here"))
    }

    /// The claims, where they are what RFC 7519 has (sections 4.1.1 and 4.1.4). The library takes a list for an issuer, and
    /// a token at the very time of its end.
    fn in_force(&self, claims: Value) -> Result<Value, Refusal> {
        if claims.get("iss").is_some_and(|issuer| !issuer.is_string() && !issuer.is_null()) {
            return Err(invalid("the token has no valid iss"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        match claims.get("exp").and_then(Value::as_f64) {
            Some(end) if end + self.leeway.as_secs() as f64 > now => Ok(claims),
            _ => Err(invalid("the token has expired")),
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        let mut required = vec!["exp"];
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = !self.audiences.is_empty();
        if !self.audiences.is_empty() {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        if !self.issuers.is_empty() {
            validation.set_issuer(&self.issuers);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

impl Authorizer for Jwt {
    async fn authorize(&self, request: &Parts) -> Result<Grant, Refusal> {
        self.grant(&request.headers)
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let Some(credential) = credentials.next() else {
        return Err(Refusal::unauthorized("a bearer token is needed: Authorization: Bearer TOKEN"));
    };
    let parts = credential.to_str().ok().and_then(|text| text.trim().split_once(' '));
    let token = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    match (token.filter(|token| !token.is_empty()), credentials.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(invalid("the credential is not one bearer token: Authorization: Bearer TOKEN")),
    }
}

/// Whether another key may still fit.
fn is_of_key(error: &ErrorKind) -> bool {
    use ErrorKind::{
        InvalidAlgorithm, InvalidEcdsaKey, InvalidEddsaKey, InvalidKeyFormat, InvalidRsaKey, InvalidSignature, Provider,
    };
    matches!(
        error,
        InvalidSignature
            | InvalidAlgorithm
            | InvalidEcdsaKey
            | InvalidEddsaKey
            | InvalidKeyFormat
            | InvalidRsaKey(_)
            | Provider(_)
    )
}

fn reason(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => match claim.as_str() {
            "exp" => "the token has no valid exp",
            "aud" => "the token has no valid aud",
            "iss" => "the token has no valid iss",
            "nbf" => "the token has no valid nbf",
            _ => "the token lacks a claim",
        },
        _ => "the token is not a JWT",
    }
}

/// 401 as RFC 6750, section 3, has it.
fn invalid(reason: &str) -> Refusal {
    let challenge = format!("Bearer realm=\"flow-logs\", error=\"invalid_token\", error_description=\"{reason}\"");
    Refusal::unauthorized(reason).challenge(challenge)
}
