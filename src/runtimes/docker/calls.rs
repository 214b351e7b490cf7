//! The requests to an engine, each of which a proxy before it may refuse: a refusal costs only what the call
//! would have reported.

use super::answers::{self, Damage, EntryList, Object};
use super::transport::Transport;
use crate::model::lack::{Lack, LackReason};
use crate::model::text::one_line;
use crate::model::workload::Runtime;
use crate::runtimes::calls::{Call, Calls};
use bollard::ClientVersion;
use bollard::errors::Error;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

pub(super) const VERSION: Call = "version";
pub(super) const CONTAINERS: Call = "containers";
pub(super) const INSPECT: Call = "inspect";
pub(super) const NETWORKS: Call = "networks";
pub(super) const NETWORK: Call = "network";
pub(super) const EVENTS: Call = "events";

/// Returns the path of a call in messages.
pub(super) fn path(call: Call) -> &'static str {
    match call {
        VERSION => "/version",
        CONTAINERS => "/containers/json",
        INSPECT => "/containers/ID/json",
        NETWORKS => "/networks",
        NETWORK => "/networks/ID",
        _ => "/events",
    }
}

/// Returns the setting that allows a call in the usual socket proxies.
pub(super) fn setting(call: Call) -> &'static str {
    match call {
        VERSION => "VERSION=1",
        CONTAINERS | INSPECT => "CONTAINERS=1",
        NETWORKS | NETWORK => "NETWORKS=1",
        _ => "EVENTS=1",
    }
}

/// Returns what is not known without a call.
fn loss(call: Call) -> &'static str {
    match call {
        VERSION => "the version of the engine's API is guessed",
        CONTAINERS => "no container has a name",
        INSPECT => {
            "containers are found by the ids in their cgroups alone, and one whose cgroup cannot be read has no name"
        }
        NETWORKS => {
            "the bridges and subnets of networks are not known, so networks have no totals while no container is on them, no veth_network_info and no addresses"
        }
        NETWORK => "a container has its name only once it has started",
        _ => "containers are listed again and again, and short ones may have no name",
    }
}

/// The reason why a call has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The engine is of the other kind.
    OtherKind,
    /// The engine, or a proxy before it, does not allow the call.
    Refused {
        call: Call,
        status: u16,
        message: String,
    },
    /// The answer is not what the call is answered with.
    Garbage(String),
    TooSlow,
    Of(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Of(error)
    }
}

/// The beginnings of the paths of requests: the versions of the API that the engine takes.
#[derive(Clone, Debug)]
pub(super) struct ApiPrefixes {
    /// The prefix of Docker's API: `/v1.41`.
    pub(super) docker: String,
    /// The prefix of Podman's own API: `/v4.0.0`.
    pub(super) libpod: String,
}

/// A caller of one engine, which counts its calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) transport: Transport,
    pub(super) calls: Calls,
    pub(super) runtime: Runtime,
}

impl Caller {
    /// Makes a call, and returns the head of its answer if that is a success.
    pub(super) async fn open(&self, call: Call, path: &str) -> Result<Response<Incoming>, Trouble> {
        self.calls.count(call);
        let answer = self.transport.clone().get(path).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await.map_err(Error::from)?.to_bytes();
        let message = message(&body);
        // Of one container or network, it means that there is none.
        let is_of_one = matches!(call, INSPECT | NETWORK);
        match status.as_u16() {
            status @ (401 | 403 | 405 | 501) => Err(Trouble::Refused { call, status, message }),
            404 if !is_of_one => Err(Trouble::Refused { call, status: 404, message }),
            status_code => Err(Error::DockerResponseServerError { status_code, message }.into()),
        }
    }

    /// Makes a call. Returns the body of its answer.
    pub(super) async fn get(&self, call: Call, path: &str) -> Result<Bytes, Trouble> {
        let answer = self.open(call, path).await?;
        Ok(answer.into_body().collect().await.map_err(Error::from)?.to_bytes())
    }

    /// Makes a call that is answered with one object.
    pub(super) async fn get_json(&self, call: Call, path: &str) -> Result<Value, Trouble> {
        let body = self.get(call, path).await?;
        serde_json::from_slice(&body).map_err(|error| Trouble::Garbage(error.to_string()))
    }

    /// Makes a call that a proxy may refuse, which is reported once. Returns `None` if it does.
    pub(super) async fn get_unless_refused(
        &self,
        call: Call,
        path: String,
    ) -> Result<Option<Bytes>, Trouble> {
        match self.get(call, &path).await {
            Err(Trouble::Refused { status, .. }) => {
                self.note_refused(call, Some(status));
                Ok(None)
            }
            answer => {
                let body = answer?;
                self.note_refused(call, None);
                Ok(Some(body))
            }
        }
    }

    /// Makes a call in the newest version of the API that is known here, else in the newest that an older
    /// engine knows or in the oldest that a newer one takes. Returns the version.
    pub(super) async fn get_in_newest_version(
        &self,
        call: Call,
        path: &str,
    ) -> Result<(ClientVersion, Bytes), Trouble> {
        let newest = *bollard::API_DEFAULT_VERSION;
        let own = match self.get(call, &format!("/v{newest}{path}")).await {
            Ok(body) => return Ok((newest, body)),
            Err(Trouble::Of(Error::DockerResponseServerError { status_code: 400, message })) => {
                bound(&message).ok_or(Trouble::Garbage(message))?
            }
            Err(trouble) => return Err(trouble),
        };
        Ok((own, self.get(call, &format!("/v{own}{path}")).await?))
    }

    /// Reads a list, and reports once what of it cannot be read.
    pub(super) fn list<T>(
        &self,
        call: Call,
        body: &[u8],
        read: impl FnMut(Object<'_>) -> Option<T>,
    ) -> Result<EntryList<T>, Trouble> {
        let damage = Damage::default();
        let mut read = read;
        let listed = answers::list(body, &damage, |entry| {
            let entry = read(entry);
            if entry.is_none() {
                damage.add(|| "an entry has no id".to_owned());
            }
            entry
        });
        let listed = listed.map_err(Trouble::Garbage)?;
        self.note_damage(call, &damage);
        Ok(listed)
    }

    /// Notes that a call is refused with this status, or is answered.
    pub(super) fn note_refused(&self, call: Call, status: Option<u16>) {
        self.calls.note_refused(call, status);
    }

    /// Returns what is not known because of refused calls.
    pub(super) fn limits(&self) -> Vec<Lack> {
        let refused = self.calls.refused().into_iter();
        let lacks = refused.map(|(call, status)| {
            let (path, setting, loss) = (path(call), setting(call), loss(call));
            let host = &self.transport.host;
            let what = format!("{host} refused GET {path} ({setting}) with status {status}: {loss}");
            Lack::new(LackReason::CallRefused, what)
        });
        lacks.collect()
    }

    /// Reports that an answer is damaged, if the last one was not.
    pub(super) fn note_damage(&self, call: Call, damage: &Damage) {
        let found = damage.found();
        if self.calls.note_damaged(call, found.is_some())
            && let Some((faults, first)) = found
        {
            tracing::warn!(
                collector = self.runtime.as_str(),
                faults,
                "a part of the answer to GET {} cannot be read, and is left out: {}",
                path(call),
                one_line(&first)
            );
        }
    }
}

/// Parses a version of the API, `1.41`.
pub(super) fn version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

/// Returns the version that an engine names when it refuses another one, as too new or as too old.
fn bound(message: &str) -> Option<ClientVersion> {
    let (_, bound) = message.split_once("imum supported API version is ")?;
    // Behind the older bound comes an advice.
    version(bound.split([',', ' ', '\n']).next()?)
}

/// Returns the message of an answer that is no success: that of its JSON, else its text.
fn message(body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body).ok();
    let message = json.as_ref().and_then(|json| json["message"].as_str()).map(str::to_owned);
    message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
