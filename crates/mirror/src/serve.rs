//! The server's side: `checkpoint`, `checkpoint.cosigned` and `tile/…` of a journal's folder, read only.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drieslot_journal::{Kind, served};
use drieslot_link::{Fingerprint, LinkError, LoopbackAddress, Method, Request, Response, TlsIdentity};
use serde::Deserialize;
use tokio::net::TcpListener;

/// Who may read a journal over a network. Left out: nobody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Fields")]
pub struct ServeConfig {
    local: Option<LoopbackAddress>,
    listen: Option<SocketAddr>,
    readers: Vec<Fingerprint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// Plain HTTP for all who are on this machine, or for a proxy that guards it; a loopback address.
    local: Option<LoopbackAddress>,
    /// Mutual TLS with the part's own identity, for `readers` alone.
    listen: Option<SocketAddr>,
    /// TLS keys of auditors and mirrors.
    #[serde(default)]
    readers: Vec<Fingerprint>,
}

impl TryFrom<Fields> for ServeConfig {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields { local, listen, readers } = fields;
        match (listen, readers.is_empty()) {
            (Some(_), true) => Err("`listen` needs `readers`: the TLS fingerprints of those who may read the journal"),
            (None, false) => Err("`readers` need `listen`: the address where they are served"),
            (None, true) if local.is_none() => Err("name `local`, or `listen` and `readers`"),
            _ => Ok(Self { local, listen, readers }),
        }
    }
}

impl ServeConfig {
    /// Plain HTTP on this machine alone.
    pub fn local(address: LoopbackAddress) -> Self {
        Self { local: Some(address), ..Self::default() }
    }
}

/// Serves the journal in a folder until the future is dropped; for ever nothing where the configuration says so.
///
/// # Errors
/// `Listen`, `Setup`. It does not return otherwise.
pub async fn serve(
    config: Option<ServeConfig>,
    folder: &Path,
    identity: Option<Arc<TlsIdentity>>,
) -> Result<Infallible, LinkError> {
    let ServeConfig { local, listen, readers } = config.unwrap_or_default();
    let folder: Arc<Path> = Arc::from(folder);
    let near = async {
        let Some(address) = local else { return pending().await };
        let folder = Arc::clone(&folder);
        drieslot_link::serve_local(address, true, move |path| answer(Arc::clone(&folder), path)).await
    };
    let far = async {
        let (Some(address), Some(identity)) = (listen, identity) else { return pending().await };
        let listener = TcpListener::bind(address).await.map_err(|source| LinkError::Listen { address, source })?;
        let folder = Arc::clone(&folder);
        let handler = move |_, request: Request| -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>> {
            match request.method {
                Method::Get => Box::pin(answer(Arc::clone(&folder), request.path)),
                Method::Post => Box::pin(std::future::ready(Response::new(405, "only GET is served\n"))),
            }
        };
        drieslot_link::serve(listener, identity, move |peer| readers.contains(peer), handler).await?;
        pending().await
    };
    tokio::select! {
        failed = near => failed,
        failed = far => failed,
    }
}

async fn answer(folder: Arc<Path>, path: String) -> Response {
    let Some(file) = path.strip_prefix('/').and_then(served) else {
        return Response::new(404, "checkpoint, checkpoint.cosigned and tile/… are served, and nothing else\n");
    };
    let place: PathBuf = folder.join(&file.path);
    match tokio::fs::read(&place).await {
        Ok(content) => found(file.kind, content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Response::new(404, "not there\n"),
        Err(error) => {
            tracing::error!(%error, file = %place.display(), "a file of the journal cannot be served");
            Response::new(500, "this file cannot be read; the log says why\n")
        }
    }
}

/// Entries say who looked at what: no cache that others share may hold them.
fn found(kind: Kind, content: Vec<u8>) -> Response {
    let (content_type, cache_control) = match kind {
        Kind::Checkpoint | Kind::Pruned => ("text/plain; charset=utf-8", "no-store"),
        Kind::Tile | Kind::Bundle => ("application/octet-stream", "private, max-age=31536000, immutable"),
    };
    let mut response = Response::new(200, content);
    response.content_type = Some(content_type);
    response.cache_control = Some(cache_control);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read_is_said_or_nobody_may() {
        let key = format!("readers = [\"sha256:{}\"]", "ab".repeat(32));
        let (local, listen) = ("local = \"127.0.0.1:1\"", "listen = \"0.0.0.0:1\"");
        for (lines, good) in [
            (vec![local], true),
            (vec![listen, &key], true),
            (vec![local, listen, &key], true),
            (vec![listen], false),
            (vec![listen, "readers = []"], false),
            (vec![key.as_str()], false),
            (vec![], false),
            (vec!["local = \"192.0.2.1:1\""], false),
        ] {
            let text = lines.join("\n");
            assert_eq!(toml::from_str::<ServeConfig>(&text).is_ok(), good, "{text}");
        }
    }
}
