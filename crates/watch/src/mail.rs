//! Alerts by mail: submission over TLS that is demanded and verified, signed in with a password from a file.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::WatchError;
use crate::config::{MailConfig, MailTls};
use crate::evidence::Outgoing;
use crate::webhook::secret;

const WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    server: String,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    pub(crate) fn new(config: &MailConfig) -> Result<Self, WatchError> {
        let bad = |why: String| WatchError::Config(format!("mail {}: {why}", config.name));
        let (host, port) = config.server.rsplit_once(':').ok_or_else(|| bad("`server` is host:port".into()))?;
        let port: u16 = port.parse().map_err(|_| bad("`server` is host:port".into()))?;
        let pem = std::fs::read(&config.root_certificate).map_err(WatchError::io("read", &config.root_certificate))?;
        let root = Certificate::from_pem(&pem)
            .map_err(|error| bad(format!("{}: {error}", config.root_certificate.display())))?;
        // No other roots than the one that is named.
        let parameters = TlsParameters::builder(host.to_owned())
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root)
            .build_rustls()
            .map_err(|error| bad(error.to_string()))?;
        let tls = match config.tls {
            MailTls::Starttls => Tls::Required(parameters),
            MailTls::Implicit => Tls::Wrapper(parameters),
        };
        let password = secret(&config.password)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .credentials(Credentials::new(config.user.clone(), password.as_str().to_owned()))
            .timeout(Some(WITHIN))
            .build();
        let mailbox = |text: &String| text.parse::<Mailbox>().map_err(|error| bad(format!("{text}: {error}")));
        let to = config.to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(bad("`to` names nobody".into()));
        }
        Ok(Self { transport, server: config.server.clone(), from: mailbox(&config.from)?, to })
    }

    /// Gives one alert.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<(), String> {
        let message = self.message(outgoing).map_err(|error| error.to_string())?;
        self.transport.send(message).await.map(|_| ()).map_err(|error| format!("{}: {error}", self.server))
    }

    fn message(&self, outgoing: &Outgoing) -> Result<Message, lettre::error::Error> {
        let alert = &outgoing.alert;
        let domain = self.from.email.domain();
        let whom = alert.principal.as_deref().unwrap_or(&alert.journal);
        // Names come from clients: none of them may begin a line of the head.
        let subject: String = format!("[{}] {}: {whom}", alert.severity, alert.rule.as_str())
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            // The same each time it is sent, so that a mailbox can drop doubles.
            .message_id(Some(format!("<{}@{domain}>", alert.id)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let text = format!(
            "{}\n\nusual: {}\nseen:  {}\n\njournal: {}\nhour:    {}\nraised:  {}\nalert:   {}\n\n\
             alert.json names the entries that show it, with proofs: tools/verify_alert.py verifies them.\n",
            alert.what, alert.usual, alert.seen, alert.journal, alert.hour, outgoing.time, alert.id
        );
        let attachment = Attachment::new("alert.json".into());
        let json = ContentType::parse("application/json").unwrap_or(ContentType::TEXT_PLAIN);
        builder.multipart(
            MultiPart::mixed()
                .singlepart(SinglePart::plain(text))
                .singlepart(attachment.body(outgoing.whole.clone(), json)),
        )
    }
}
