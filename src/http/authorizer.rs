//! Who may ask, and of which flows.

use std::{collections::BTreeSet, net::IpAddr};

use axum::http::{header, request::Parts};

use crate::{
    archive::{Archive, Snapshot},
    filter::Filter,
    query::Query,
    wire,
};

/// The permission to read flow logs.
pub const PERMISSION: &str = "audits::read:flows";

/// What a request may do: its permissions, and the flows that exist for it.
///
/// ```
/// use flowseek::{filter, http::{Grant, PERMISSION}};
///
/// let grant = Grant::new([PERMISSION]).only(filter::node_id().eq("node-7")).subject("alice");
/// assert!(grant.permits(PERMISSION));
/// assert!(!Grant::new(["audits::read:events"]).permits(PERMISSION));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Grant {
    permissions: BTreeSet<String>,
    pub(super) filter: Filter,
    /// What cursors are bound to in place of the filter.
    pub(super) scope: Option<String>,
    pub(super) subject: Option<String>,
    /// What it is a grant of, in place of the archive of the endpoint.
    pub(super) archive: Option<Archive>,
    label: String,
    /// Why a permission may be missing that was meant to be there.
    pub(super) hint: Option<String>,
}

impl Grant {
    /// A grant of these permissions, over all flows.
    pub fn new(permissions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let permissions = permissions.into_iter().map(Into::into).collect();
        Self {
            permissions,
            filter: Filter::all(),
            scope: None,
            subject: None,
            archive: None,
            label: String::new(),
            hint: None,
        }
    }

    /// Over no flows but those that match `filter`, too, as if there were no others: every query is narrowed by it, no
    /// parameter widens it, and a cursor of a query under another filter is refused, unless a [`scope`](Self::scope) is given.
    pub fn only(self, filter: Filter) -> Self {
        Self { filter: self.filter.and(filter), ..self }
    }

    /// For a scope, such as a tenant: cursors are bound to its name, in place of the filter of the grant. So they go on though
    /// that filter has changed, as when a node has joined the tenant. A cursor from under another scope is refused.
    ///
    /// ```
    /// use flowseek::{filter, http::{Grant, PERMISSION}};
    ///
    /// let nodes = ["node-1", "node-2"];
    /// let grant = Grant::new([PERMISSION]).only(filter::node_id().any_of(nodes)).scope("tenant-7");
    /// ```
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self { scope: Some(scope.into()), ..self }
    }

    /// The flows that it is over, for routes of your own.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The question of a request under this grant, for routes of your own: over the flows of both, with cursors that are
    /// bound to the scope.
    ///
    /// ```
    /// use flowseek::{Archive, filter, http::{Grant, PERMISSION}, wire::Request};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> flowseek::Result<()> {
    /// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
    /// let grant = Grant::new([PERMISSION]).only(filter::dst_port().eq(443));
    /// let page = grant.query(&Request::parse("protocol=TCP&limit=5")?, &snapshot).page().await?;
    /// assert!(page.flows()?.iter().all(|stored| stored.flow.dst_port == Some(443)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, request: &wire::Request, snapshot: &Snapshot) -> Query {
        match &self.scope {
            Some(scope) => request.query(snapshot).within(scope, &self.filter),
            None => request.query(snapshot).only(&self.filter),
        }
    }

    /// Of this archive, in place of that of the endpoint: where each tenant has one,
    /// [`FlowLogs::by_grant`](super::FlowLogs::by_grant) answers all of them. A cursor of another archive is refused.
    pub fn archive(self, archive: Archive) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// Counted under a label: the metrics of requests and of what they have cost have it as `grant`. It is for few values, such as
    /// tenants or regions: each has counters of its own, for as long as the process lives. An empty one is none.
    pub fn counted_as(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// What it is counted as; empty where it is counted with all others.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// To this user or service, for the log.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// With what to tell a client that lacks the permission.
    pub(super) fn hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Whether a permission is among those granted.
    pub fn permits(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}

/// Why a request may not.
///
/// ```
/// use flowseek::http::Refusal;
///
/// let refusal = Refusal::unauthorized("the session has ended").challenge("Session realm=\"flows\"");
/// assert!(matches!(refusal, Refusal::Unauthorized { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Refusal {
    /// It has no credential, or a bad one: 401.
    Unauthorized {
        /// The value of `WWW-Authenticate`: which credential is wanted.
        challenge: String,
        /// What is wrong, for the client to read.
        reason: String,
    },
    /// Its credential is good, but not for this: 403, with what is wrong.
    Forbidden(String),
    /// Nobody can tell at the moment: 503, with what is wrong.
    Unavailable(String),
}

impl Refusal {
    /// Credentials are wanted by RFC 6750: a bearer token.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::Unauthorized { challenge: "Bearer realm=\"flow-logs\"".to_owned(), reason: reason.into() }
    }

    /// With another challenge, where it is one for credentials.
    pub fn challenge(self, challenge: impl Into<String>) -> Self {
        match self {
            Self::Unauthorized { reason, .. } => Self::Unauthorized { challenge: challenge.into(), reason },
            other => other,
        }
    }
}

/// Tells what a request may do, before anything of it is read but its head.
///
/// A closure from the head to a grant or a refusal is one; so is [`Jwt`](super::Jwt). One that has to ask others
/// implements the method as an `async fn`.
///
/// ```
/// use axum::http::request::Parts;
/// use flowseek::http::{Authorizer, Grant, PERMISSION, Refusal};
///
/// struct ApiKeys;
///
/// impl Authorizer for ApiKeys {
///     async fn authorize(&self, request: &Parts) -> Result<Grant, Refusal> {
///         match request.headers.get("x-api-key") {
///             Some(key) if key == "example" => Ok(Grant::new([PERMISSION])),
///             _ => Err(Refusal::unauthorized("an API key is wanted").challenge("ApiKey")),
///         }
///     }
/// }
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// The grant for a request.
    ///
    /// # Errors
    /// Why there is none.
    fn authorize(&self, request: &Parts) -> impl Future<Output = Result<Grant, Refusal>> + Send;
}

impl<F> Authorizer for F
where
    F: Fn(&Parts) -> Result<Grant, Refusal> + Send + Sync + 'static,
{
    fn authorize(&self, request: &Parts) -> impl Future<Output = Result<Grant, Refusal>> + Send {
        std::future::ready(self(request))
    }
}

/// Lets everybody in who asks for this machine by a name of its loopback interface.
///
/// The name is looked at because a page in a browser can have a name of its own lead to the loopback interface, and
/// would read the answers. A request without a name, which HTTP/1.0 allows and no browser sends, is let in.
///
/// ```
/// use flowseek::{Archive, http::{FlowLogs, Loopback}};
///
/// let logs = FlowLogs::new(Archive::open("testdata/archive")?, Loopback);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Loopback;

impl Authorizer for Loopback {
    async fn authorize(&self, request: &Parts) -> Result<Grant, Refusal> {
        let named = request.headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
        if named.chain(request.uri.host()).all(is_loopback) {
            return Ok(Grant::new([PERMISSION]));
        }
        let reason = "without authorization this server answers to localhost and loopback addresses only";
        Err(Refusal::Forbidden(reason.to_owned()))
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_many_names() {
        for host in ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8080", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "?", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "[::]"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[tokio::test]
    async fn every_name_that_a_request_gives_is_looked_at() {
        for (uri, hosts, is_let_in) in [
            ("/", &[][..], true),
            ("/", &["localhost"], true),
            ("/", &["evil.example", "localhost"], false),
            ("/", &["localhost", "evil.example"], false),
            ("http://localhost:80/", &["localhost"], true),
            ("http://evil.example/", &["localhost"], false),
            ("http://[::1]/", &[], true),
        ] {
            let request =
                hosts.iter().fold(axum::http::Request::get(uri), |request, host| request.header("host", *host));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(Loopback.authorize(&parts).await.is_ok(), is_let_in, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn filters_of_a_grant_add_up() {
        let node = |id: &str| crate::filter::node_id().eq(id);
        let grant = Grant::new([PERMISSION]).only(node("a")).only(node("b"));
        assert_eq!(grant.filter.normal(), node("a").and(node("b")).normal());
    }
}
