//! An ssh-agent with an authenticator in software: it speaks the agent's protocol over a socket, and signs as
//! [PROTOCOL.u2f](https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.u2f) says, with the flags that the test wants.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The user touched it.
pub(crate) const PRESENT: u8 = 0x01;
/// The user gave a PIN or a finger.
pub(crate) const VERIFIED: u8 = 0x04;

const APPLICATION: &[u8] = b"ssh:";

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

struct Held {
    secret: Secret,
    flags: AtomicU8,
    counter: AtomicU32,
}

/// A running agent; its thread ends with the test.
pub(crate) struct Authenticator {
    pub(crate) socket: PathBuf,
    held: Arc<Vec<Held>>,
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, after) = rest.split_first_chunk::<4>().unwrap();
    let (bytes, after) = after.split_at(u32::from_be_bytes(*length) as usize);
    *rest = after;
    bytes
}

/// A positive number without needless zeros.
fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap();
    let sign: &[u8] = if bytes[start] & 0x80 != 0 { &[0] } else { &[] };
    field(&[sign, &bytes[start..]].concat())
}

impl Held {
    fn kind(&self) -> &'static str {
        match self.secret {
            Secret::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Secret::Ecdsa(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public(&self) -> Vec<u8> {
        let kind = field(self.kind().as_bytes());
        let point = match &self.secret {
            Secret::Ed25519(key) => field(key.public_key().as_ref()),
            Secret::Ecdsa(key) => [field(b"nistp256"), field(key.public_key().as_ref())].concat(),
        };
        [kind, point, field(APPLICATION)].concat()
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let counter = self.counter.fetch_add(1, Ordering::SeqCst);
        let trailer = [&[self.flags.load(Ordering::SeqCst)][..], &counter.to_be_bytes()].concat();
        let message = [digest(&SHA256, APPLICATION).as_ref(), &trailer, digest(&SHA256, data).as_ref()].concat();
        let raw = match &self.secret {
            Secret::Ed25519(key) => key.sign(&message).as_ref().to_vec(),
            Secret::Ecdsa(key) => {
                let both = key.sign(&SystemRandom::new(), &message).unwrap();
                let (r, s) = both.as_ref().split_at(32);
                [number(r), number(s)].concat()
            }
        };
        [field(self.kind().as_bytes()), field(&raw), trailer].concat()
    }
}

impl Authenticator {
    /// With one sk-ed25519 key and one sk-ecdsa key, commented by their kind.
    pub(crate) fn start(folder: &Path) -> Self {
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let secrets = [Secret::Ed25519(Ed25519KeyPair::generate().unwrap()), Secret::Ecdsa(ecdsa)];
        let held = secrets.map(|secret| Held { secret, flags: AtomicU8::new(PRESENT), counter: AtomicU32::new(7) });
        let held = Arc::new(Vec::from(held));
        let socket = folder.join("authenticator.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&serving, stream.unwrap());
            }
        });
        Self { socket, held }
    }

    /// What the next signatures say of the user.
    pub(crate) fn sees(&self, flags: u8) {
        self.held.iter().for_each(|one| one.flags.store(flags, Ordering::SeqCst));
    }

    /// Lines as in a `.pub` file.
    pub(crate) fn public_keys(&self) -> Vec<String> {
        let line = |one: &Held| format!("{} {} {}", one.kind(), STANDARD.encode(one.public()), one.kind());
        self.held.iter().map(line).collect()
    }
}

fn serve(held: &[Held], mut stream: UnixStream) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        let answer = match request[0] {
            11 => {
                let keys = held.iter().flat_map(|one| [field(&one.public()), field(one.kind().as_bytes())].concat());
                [&[12][..], &u32::try_from(held.len()).unwrap().to_be_bytes(), &keys.collect::<Vec<_>>()].concat()
            }
            13 => {
                let mut rest = &request[1..];
                let (key, data) = (take(&mut rest), take(&mut rest));
                let one = held.iter().find(|one| one.public() == key).unwrap();
                [&[14][..], &field(&one.sign(data))].concat()
            }
            _ => vec![5],
        };
        stream.write_all(&field(&answer)).unwrap();
    }
}
