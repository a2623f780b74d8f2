//! Two real peers on loopback: who gets in, who does not, and what a slow or plain one gets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drieslot_link::{Client, Fingerprint, Limits, LinkError, Method, Response, TlsIdentity, serve_with_limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static COUNT: AtomicU32 = AtomicU32::new(0);

fn folder() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    std::env::temp_dir().join(format!("drieslot-link-{}-{number}", std::process::id()))
}

fn identity() -> Arc<TlsIdentity> {
    let folder = folder();
    let made = TlsIdentity::create(&folder, "part").unwrap();
    let read = TlsIdentity::load(&folder).unwrap();
    assert_eq!(made.fingerprint(), read.fingerprint());
    std::fs::remove_dir_all(folder).unwrap();
    Arc::new(read)
}

struct Server {
    address: String,
    tls: Fingerprint,
    task: tokio::task::JoinHandle<()>,
    open: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers `METHOD path?query bytes`; lets in `allowed` while `open` is set.
async fn server(allowed: Fingerprint, limits: Limits) -> Server {
    let identity = identity();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tls = identity.fingerprint();
    let open = Arc::new(AtomicBool::new(true));
    let door = Arc::clone(&open);
    let task = tokio::spawn(async move {
        let authorise = move |peer: &Fingerprint| *peer == allowed && door.load(Ordering::SeqCst);
        let handler = |_, request: drieslot_link::Request| async move {
            let method = if request.method == Method::Get { "GET" } else { "POST" };
            Response::new(200, format!("{method} {}?{} {}", request.path, request.query, request.body.len()))
        };
        serve_with_limits(listener, identity, authorise, handler, limits).await.unwrap();
    });
    Server { address, tls, task, open }
}

#[tokio::test]
async fn requests_go_over_one_connection_and_the_door_is_asked_each_time() {
    let me = identity();
    let server = server(me.fingerprint(), Limits::default()).await;
    let client = Client::new(&me, server.tls, &server.address).unwrap();
    assert_eq!(client.get("/a?b=c").await.unwrap(), (200, "GET /a?b=c 0".into()));
    assert_eq!(client.post("/p", vec![7; 1 << 20]).await.unwrap(), (200, "POST /p? 1048576".into()));
    let (status, _) = client.post("/p", vec![7; (1 << 20) + 1]).await.unwrap();
    assert_eq!(status, 413);
    server.open.store(false, Ordering::SeqCst);
    let shut = client.get("/a").await;
    assert!(matches!(shut, Ok((403, _)) | Err(_)), "{shut:?}");
    assert!(client.get("/a").await.map_or(true, |(status, _)| status == 403));
}

#[tokio::test]
async fn a_wrong_key_is_refused_on_either_side() {
    let (me, other) = (identity(), identity());
    let server = server(me.fingerprint(), Limits::default()).await;
    let stranger = Client::new(&other, server.tls, &server.address).unwrap();
    assert!(stranger.get("/").await.is_err());
    let deceived = Client::new(&me, other.fingerprint(), &server.address).unwrap();
    match deceived.get("/").await {
        Err(LinkError::Unreachable { why, .. }) => assert!(why.contains("another TLS key"), "{why}"),
        answer => panic!("{answer:?}"),
    }
    let friend = Client::new(&me, server.tls, &server.address).unwrap();
    assert!(friend.get("/").await.is_ok());
}

#[tokio::test]
async fn plaintext_and_slow_peers_are_cut_off() {
    let me = identity();
    let limits = Limits {
        handshake_timeout: Duration::from_millis(300),
        head_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = server(me.fingerprint(), limits).await;
    let mut plain = TcpStream::connect(&server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let begun = Instant::now();
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    slow.write_all(&[0x16]).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut answer)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    // Inside TLS: a head that never ends. The handshake itself is the client's.
    let client = Client::new(&me, server.tls, &server.address).unwrap();
    assert!(client.get("/").await.is_ok());
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(client.get("/").await.is_ok(), "a connection closed for idleness is made anew");
}

#[test]
fn an_identity_is_never_overwritten_nor_read_when_others_may() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let made = TlsIdentity::create(&folder, "part").unwrap();
    assert!(matches!(TlsIdentity::create(&folder, "part"), Err(LinkError::Exists(_))));
    assert!(!format!("{made:?}").contains("PRIVATE"));
    let key = folder.join("key.pem");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(TlsIdentity::load(&folder), Err(LinkError::Identity { .. })));
    std::fs::remove_dir_all(folder).unwrap();
}
