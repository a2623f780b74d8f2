//! One receiver: a file, standard output, or a syslog server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{MailConfig, Message, OutputConfig, WebhookConfig};
use crate::event::Event;
use crate::evidence::{Outgoing, outgoing};
use crate::follow::Source;
use crate::mail::Mail;
use crate::webhook::Webhook;
use crate::{Clock, WatchError, ocsf, syslog, tls};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A receiver that takes nothing for so long is connected to anew.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Syslog acknowledges nothing: what was written counts as received when the connection still stands after this time.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Longest free part in words, in characters.
const MAX_WORDS: usize = 1_024;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Sink {
    host: String,
    way: Way,
}

enum Way {
    File {
        path: PathBuf,
        begun: bool,
    },
    Stdout,
    Stream {
        address: String,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        message: Message,
        open: Option<Box<dyn Stream>>,
    },
    Udp {
        address: String,
        socket: Option<UdpSocket>,
    },
    Webhook(Box<Webhook>, Alerts),
    Mail(Box<Mail>, Alerts),
}

/// What goes by webhook or mail: alerts, one by one.
struct Alerts {
    /// The journals that alerts rest on.
    sources: Vec<Source>,
    /// Of this batch the receiver has these; should it fail later they are not sent again.
    has: BTreeSet<String>,
}

impl Sink {
    pub(crate) fn new(config: &OutputConfig, host: &str) -> Result<Self, WatchError> {
        let stream =
            |address: &str, tls, message| Way::Stream { address: address.to_owned(), tls, message, open: None };
        let way = match config {
            OutputConfig::File { path, .. } => Way::File { path: path.clone(), begun: false },
            OutputConfig::Stdout { .. } => Way::Stdout,
            OutputConfig::Tcp { address, message, .. } => stream(address, None, *message),
            OutputConfig::Tls { address, root_certificate, message, .. } => {
                let tls = (tls::trusting(root_certificate)?, tls::server_name(address)?);
                stream(address, Some(tls), *message)
            }
            OutputConfig::Udp { address, .. } => Way::Udp { address: address.clone(), socket: None },
        };
        Ok(Self { host: host.to_owned(), way })
    }

    pub(crate) fn webhook(config: &WebhookConfig, sources: Vec<Source>, clock: Clock) -> Result<Self, WatchError> {
        let alerts = Alerts { sources, has: BTreeSet::new() };
        Ok(Self { host: String::new(), way: Way::Webhook(Box::new(Webhook::new(config, clock)?), alerts) })
    }

    pub(crate) fn mail(config: &MailConfig, sources: Vec<Source>) -> Result<Self, WatchError> {
        let alerts = Alerts { sources, has: BTreeSet::new() };
        Ok(Self { host: String::new(), way: Way::Mail(Box::new(Mail::new(config)?), alerts) })
    }

    /// How long after it was written something may still be lost.
    pub(crate) const fn settled_after(&self) -> Duration {
        match self.way {
            Way::Stream { .. } => SETTLED_AFTER,
            Way::File { .. } | Way::Stdout | Way::Udp { .. } | Way::Webhook(..) | Way::Mail(..) => Duration::ZERO,
        }
    }

    /// Gives events to the receiver. After an error it is not known which of them it has.
    pub(crate) async fn send(&mut self, events: &[Event]) -> Result<(), String> {
        let messages = self.messages(events);
        if messages.is_empty() && !matches!(self.way, Way::Webhook(..) | Way::Mail(..)) {
            return Ok(());
        }
        let said = |error: std::io::Error| error.to_string();
        match &mut self.way {
            Way::Webhook(webhook, alerts) => {
                for outgoing in alerts.of(events) {
                    webhook.send(&outgoing).await?;
                    alerts.has.insert(outgoing.alert.id);
                }
                alerts.has.clear();
            }
            Way::Mail(mail, alerts) => {
                for outgoing in alerts.of(events) {
                    mail.send(&outgoing).await?;
                    alerts.has.insert(outgoing.alert.id);
                }
                alerts.has.clear();
            }
            Way::File { path, begun } => {
                append(path, *begun, &messages.concat()).await.map_err(said)?;
                *begun = true;
            }
            Way::Stdout => {
                let mut out = tokio::io::stdout();
                out.write_all(messages.concat().as_bytes()).await.map_err(said)?;
                out.flush().await.map_err(said)?;
            }
            Way::Stream { address, tls, open, .. } => {
                let mut stream = match open.take() {
                    Some(stream) => stream,
                    None => connect(address, tls.as_ref()).await?,
                };
                let frames = messages.concat();
                let write = async {
                    stream.write_all(frames.as_bytes()).await?;
                    stream.flush().await
                };
                let late = |_| format!("{address} took nothing for {} s", WRITE_WITHIN.as_secs());
                timeout(WRITE_WITHIN, write).await.map_err(late)?.map_err(said)?;
                *open = Some(stream);
            }
            Way::Udp { address, socket } => {
                let socket = match socket {
                    Some(socket) => socket,
                    None => socket.insert(datagrams(address).await.map_err(said)?),
                };
                for message in messages {
                    socket.send(message.as_bytes()).await.map_err(said)?;
                }
            }
        }
        Ok(())
    }

    /// Each event as the receiver gets it.
    fn messages(&self, events: &[Event]) -> Vec<String> {
        let written = |event: &Event| {
            let value = ocsf::event(event)?;
            let words = value.get("message").and_then(serde_json::Value::as_str).unwrap_or_default();
            let words: String = words.chars().take(MAX_WORDS).collect();
            Some(match &self.way {
                Way::File { .. } | Way::Stdout => format!("{value}\n"),
                Way::Stream { message: Message::Ocsf, .. } => {
                    syslog::framed(&syslog::message(event, &self.host, &value.to_string()))
                }
                Way::Stream { message: Message::Words, .. } => {
                    syslog::framed(&syslog::message(event, &self.host, &words))
                }
                Way::Udp { .. } => syslog::message(event, &self.host, &words),
                Way::Webhook(..) | Way::Mail(..) => return None,
            })
        };
        events.iter().filter_map(written).collect()
    }

    /// Whether a connection that stood was ended by the receiver; it is forgotten then.
    pub(crate) async fn was_closed(&mut self) -> bool {
        let Way::Stream { open, .. } = &mut self.way else { return false };
        let Some(stream) = open else { return false };
        let mut ignored = [0; 1024];
        let closed = match timeout(Duration::from_millis(1), stream.read(&mut ignored)).await {
            Ok(Ok(0) | Err(_)) => true,
            Ok(Ok(_)) | Err(_) => false,
        };
        if closed {
            *open = None;
        }
        closed
    }
}

impl Alerts {
    fn of(&self, events: &[Event]) -> Vec<Outgoing> {
        let all = events.iter().filter_map(|event| outgoing(event, &self.sources));
        all.filter(|one| !self.has.contains(&one.alert.id)).collect()
    }
}

/// Order: the lines are on the disk before the place behind them is. What a crash left of a last line is cut off at the
/// begin; a file that was moved away is begun anew.
async fn append(path: &Path, begun: bool, lines: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(false).read(true).write(true).mode(0o640).open(path).await?;
    let length = file.seek(std::io::SeekFrom::End(0)).await?;
    if !begun {
        let whole = whole_lines(&mut file, length).await?;
        file.set_len(whole).await?;
        file.seek(std::io::SeekFrom::Start(whole)).await?;
    }
    file.write_all(lines.as_bytes()).await?;
    file.flush().await?;
    file.sync_data().await
}

/// The length without a last line that has no end; such a line is shorter than an entry.
async fn whole_lines(file: &mut tokio::fs::File, length: u64) -> std::io::Result<u64> {
    const MOST: u64 = 1 << 20;
    let from = length.saturating_sub(MOST);
    file.seek(std::io::SeekFrom::Start(from)).await?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).await?;
    let torn = end.iter().rev().take_while(|byte| **byte != b'\n').count();
    Ok(length.saturating_sub(torn.try_into().unwrap_or(u64::MAX)))
}

async fn connect(address: &str, tls: Option<&(TlsConnector, ServerName<'static>)>) -> Result<Box<dyn Stream>, String> {
    let connecting = async {
        let socket = TcpStream::connect(address).await?;
        Ok::<Box<dyn Stream>, std::io::Error>(match tls {
            Some((connector, name)) => Box::new(connector.connect(name.clone(), socket).await?),
            None => Box::new(socket),
        })
    };
    let late = |_| format!("no connection to {address} within {} s", CONNECT_WITHIN.as_secs());
    timeout(CONNECT_WITHIN, connecting).await.map_err(late)?.map_err(|error| format!("{address}: {error}"))
}

async fn datagrams(address: &str) -> std::io::Result<UdpSocket> {
    let found = tokio::net::lookup_host(address).await?.next();
    let target = found.ok_or_else(|| std::io::Error::other(format!("{address} has no address")))?;
    let own: std::net::IpAddr =
        if target.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(target).await?;
    Ok(socket)
}
