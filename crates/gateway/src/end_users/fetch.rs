//! Where an issuer's keys come from: a file, or an address under HTTPS whose certificate ends in a root that is named.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::JwkSet;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{KeySource, TokenIssuer};
use crate::{GatewayError, tls};

const MAX_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) enum Source {
    File(std::path::PathBuf),
    Url { uri: Uri, host: String, tls: TlsConnector },
}

impl Source {
    pub(super) fn new(config: &TokenIssuer) -> Result<Self, GatewayError> {
        match &config.keys {
            KeySource::File { file } => Ok(Self::File(file.clone())),
            KeySource::Url { url, root_certificate } => {
                let bad = || GatewayError::Config(format!("token_issuers: {url} is not an https:// address"));
                let uri: Uri = url.parse().map_err(|_| bad())?;
                if uri.scheme_str() != Some("https") {
                    return Err(bad());
                }
                let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
                Ok(Self::Url { uri, host, tls: tls::trusting(root_certificate)? })
            }
        }
    }

    pub(super) async fn read(&self) -> Result<JwkSet, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Url { uri, host, tls } => {
                let fetched = tokio::time::timeout(PATIENCE, fetch(uri, host, tls)).await;
                read_keys(&fetched.map_err(|_| "it did not answer in time".to_owned())??)
            }
        }
    }
}

pub(super) fn read_file(path: &Path) -> Result<JwkSet, String> {
    read_keys(&std::fs::read(path).map_err(|error| error.to_string())?)
}

fn read_keys(text: &[u8]) -> Result<JwkSet, String> {
    serde_json::from_slice(text).map_err(|error| format!("it is no JSON Web Key Set: {error}"))
}

async fn fetch(uri: &Uri, host: &str, tls: &TlsConnector) -> Result<Bytes, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await.map_err(|error| said(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| said(&error))?;
    let stream = tls.connect(name, stream).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let authority = uri.authority().map_or(host, hyper::http::uri::Authority::as_str);
    let request = Request::get(path).header("host", authority).header("accept", "application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| said(&error))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| said(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await.map_err(|error| said(&error))?;
        Ok(body.to_bytes())
    };
    tokio::pin!(connection);
    tokio::pin!(asked);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut asked => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}
