//! One request to one witness at a time, over a connection that is kept.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::policy::WitnessUrl;

/// For connecting and for the answer together: a witness that hangs is one that is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Signature lines, of post-quantum keys too.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

pub(crate) struct Client {
    url: WitnessUrl,
    kept: Option<SendRequest<Full<Bytes>>>,
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Client {
    pub(crate) fn new(url: WitnessUrl) -> Self {
        Self { url, kept: None }
    }

    /// Status and body of the answer to `add-checkpoint`, or why there is none.
    pub(crate) async fn add_checkpoint(&mut self, body: String) -> Result<(u16, String), String> {
        let asked = timeout(PATIENCE, self.ask(body)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        if answer.is_err() {
            self.kept = None;
        }
        answer
    }

    async fn ask(&mut self, body: String) -> Result<(u16, String), String> {
        let authority = format!("{}:{}", self.url.host, self.url.port);
        let request = Request::post(&self.url.target).header(HOST, authority);
        let mut request = request.body(Full::new(Bytes::from(body))).map_err(said)?;
        if let Some(mut sender) = self.kept.take().filter(|sender| !sender.is_closed()) {
            // It may have been closed meanwhile; only a request that never left is sent again.
            match sender.try_send_request(request).await {
                Ok(response) => return self.read(sender, response).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(said(error.into_error())),
                },
            }
        }
        let socket = TcpStream::connect((self.url.host.as_str(), self.url.port)).await.map_err(said)?;
        socket.set_nodelay(true).map_err(said)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(said)?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(said)?;
        self.read(sender, response).await
    }

    async fn read(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<(u16, String), String> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(said)?.to_bytes();
        self.kept = Some(sender);
        Ok((status, String::from_utf8(body.to_vec()).map_err(said)?))
    }
}
