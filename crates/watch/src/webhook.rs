//! Alerts by HTTP: a POST of JSON, signed with a key that both sides have.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::config::WebhookConfig;
use crate::evidence::Outgoing;
use crate::sink::Stream;
use crate::state::hex;
use crate::{Clock, WatchError, tls};

const WITHIN: Duration = Duration::from_secs(20);
/// A receiver that says so often that it will never take an alert is believed.
const MAX_REFUSALS: u32 = 5;
const MIN_KEY_BYTES: usize = 32;
const MAX_SECRET_BYTES: u64 = 4_096;

pub(crate) struct Webhook {
    uri: Uri,
    host: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    key: hmac::Key,
    clock: Clock,
    /// The alert that was refused last, and how often.
    refused: (String, u32),
}

/// A secret from a file that only its owner may read, without the white space around it.
pub(crate) fn secret(path: &Path) -> Result<Zeroizing<String>, WatchError> {
    let file = File::open(path).map_err(WatchError::io("open", path))?;
    let mode = file.metadata().map_err(WatchError::io("inspect", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = "others than its owner may read it; chmod 600, and make a new one, as this one is known to them";
        return Err(WatchError::Config(format!("{}: {why}", path.display())));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(WatchError::io("read", path))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

impl Webhook {
    pub(crate) fn new(config: &WebhookConfig, clock: Clock) -> Result<Self, WatchError> {
        let bad = |why: &str| WatchError::Config(format!("webhook {}: {why}", config.name));
        let uri: Uri = config.url.parse().map_err(|_| bad("`url` is no address"))?;
        let host = uri.host().ok_or_else(|| bad("`url` has no host"))?.trim_matches(['[', ']']).to_owned();
        let tls = match (uri.scheme_str(), &config.root_certificate) {
            (Some("https"), Some(root)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| bad("`url` has no host"))?;
                Some((tls::trusting(root)?, name))
            }
            (Some("https"), None) => return Err(bad("https needs `root_certificate`")),
            (Some("http"), None) if host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback()) => None,
            _ => return Err(bad("`url` is https://…, or http:// on a loopback address")),
        };
        let key = secret(&config.key)?;
        if key.len() < MIN_KEY_BYTES {
            return Err(bad("the key has less than 32 bytes; make one with `openssl rand -hex 32`"));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        Ok(Self { uri, host, tls, key, clock, refused: (String::new(), 0) })
    }

    /// Gives one alert. One that the receiver refuses for good is left out, and said.
    pub(crate) async fn send(&mut self, outgoing: &Outgoing) -> Result<(), String> {
        let late = |_| format!("{} did not answer within {} s", self.uri, WITHIN.as_secs());
        let status = tokio::time::timeout(WITHIN, self.post(outgoing)).await.map_err(late)??;
        if (200..300).contains(&status) {
            return Ok(());
        }
        // Too early, too often and a server's own fault pass.
        if !(400..500).contains(&status) || matches!(status, 408 | 425 | 429) {
            return Err(format!("{} answered {status}", self.uri));
        }
        if self.refused.0 != outgoing.alert.id {
            self.refused = (outgoing.alert.id.clone(), 0);
        }
        self.refused.1 = self.refused.1.saturating_add(1);
        if self.refused.1 < MAX_REFUSALS {
            return Err(format!("{} answered {status}", self.uri));
        }
        tracing::error!(alert = outgoing.alert.id, status, "the webhook refuses this alert for good; it is left out");
        Ok(())
    }

    async fn post(&self, outgoing: &Outgoing) -> Result<u16, String> {
        let said = |error: &dyn Display| format!("{}: {error}", self.uri);
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = TcpStream::connect((self.host.as_str(), port)).await.map_err(|error| said(&error))?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some((connector, name)) => {
                Box::new(connector.connect(name.clone(), socket).await.map_err(|error| said(&error))?)
            }
            None => Box::new(socket),
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
        let task = tokio::spawn(connection);
        let time = (self.clock)().as_second();
        let signed = format!("{time}.{}", outgoing.whole);
        let signature = hex(hmac::sign(&self.key, signed.as_bytes()).as_ref());
        let authority = self.uri.authority().map_or(self.host.as_str(), hyper::http::uri::Authority::as_str);
        let request = Request::post(self.uri.path_and_query().map_or("/", |path| path.as_str()))
            .header("host", authority)
            .header("content-type", "application/json")
            .header("drieslot-alert", &outgoing.alert.id)
            .header("drieslot-signature", format!("t={time},v1={signature}"))
            .body(Full::new(Bytes::from(outgoing.whole.clone())))
            .map_err(|error| said(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| said(&error));
        task.abort();
        Ok(answer?.status().as_u16())
    }
}
