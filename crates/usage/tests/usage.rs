//! A usage server with a real register, real custodians, and journals of two gateways: what it tells, and when it tells nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

#[path = "../../audit/tests/common/mod.rs"]
mod gateways;
#[path = "../../custodian/tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use drieslot_custodian::client::KeyringConfig;
use drieslot_journal::{IdentityKey, Reader, entry};
use drieslot_link::{Client, Response, TlsIdentity};
use drieslot_register::Function;
use drieslot_usage::{PortalConfig, SourceConfig, Usage, UsageConfig, UsageServer, Usages};
use gateways::Gateway;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use world::people::{mandate, now};
use world::{World, listener, person};

const ANNA: &str = "85073003328";
const BERT: &str = "90010112345";

struct Scene {
    world: World,
    gateways: [Gateway; 2],
    portal: Arc<TlsIdentity>,
    /// Seconds after the world's now.
    clock: Arc<AtomicI64>,
    anna: String,
    bert: String,
}

struct Running {
    server: Arc<UsageServer>,
    task: JoinHandle<()>,
    client: Client,
    address: String,
}

impl Running {
    async fn ask(&self, question: serde_json::Value) -> Response {
        self.client.post_for_answer("/findUsage", serde_json::to_vec(&question).unwrap()).await.unwrap()
    }

    async fn usages(&self, question: serde_json::Value) -> Usages {
        let answer = self.ask(question).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn looks(&self, who: &str) -> Vec<(String, u64)> {
        let found = self.usages(json!({"subject": who, "limit": 1_000})).await.find_usage_responses;
        found.into_iter().map(|usage: Usage| (usage.journal, usage.entry)).collect()
    }

    async fn refused(&self, question: serde_json::Value) -> (u16, String) {
        let answer = self.ask(question).await;
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn well(&self) -> (u16, String) {
        let (status, body) = self.client.get("/health").await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Until it says this of itself.
    async fn until(&self, wanted: &str) {
        let begun = Instant::now();
        loop {
            let (_, said) = self.well().await;
            if said.contains(wanted) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "not {wanted}: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn stop(self) {
        self.task.abort();
        self.server.close().unwrap();
    }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new(900).await;
        let gateways = ["gateway-1", "gateway-2"].map(|name| {
            let key = IdentityKey::load(&world.folder.join(format!("{name}.key"))).unwrap();
            Gateway::with_key(&format!("agency.example/{name}"), &key)
        });
        let portal = Arc::new(TlsIdentity::create(&world.folder.join("portal"), "portal").unwrap());
        let (keyring, _) = world.keyring().await;
        let key = keyring.subject_key().await.unwrap();
        let [anna, bert] = [ANNA, BERT].map(|who| key.pseudonym(&person(), who.as_bytes()).unwrap());
        Self { world, gateways, portal, clock: Arc::default(), anna, bert }
    }

    fn config(&self) -> UsageConfig {
        let folder = &self.world.folder;
        let source = |gateway: &Gateway| SourceConfig { folder: gateway.journal(), key: gateway.verifier().vkey() };
        UsageConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            identity: folder.join("usage-1"),
            journal: folder.join("usage-journal"),
            origin: "agency.example/usage-1".into(),
            key: folder.join("usage-1.key"),
            index: folder.join("index"),
            show_end_users: false,
            requests_per_minute: 1_000_000,
            max_age_s: 60,
            source: self.gateways.iter().map(source).collect(),
            portal: vec![PortalConfig { name: "citizens".into(), tls: self.portal.fingerprint() }],
            register: self.world.follow.clone(),
            keys: KeyringConfig { custodians: self.world.addresses() },
            metrics: None,
            serve_journal: None,
            witness: Vec::new(),
        }
    }

    async fn run(&self, config: UsageConfig) -> Running {
        let seconds = Arc::clone(&self.clock);
        let clock = move || now() + SignedDuration::from_secs(seconds.load(Ordering::SeqCst));
        let server = UsageServer::open(config, Arc::new(clock)).unwrap();
        let (listener, address) = listener().await;
        let serving = Arc::clone(&server);
        let task = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        let client = Client::new(&self.portal, self.world.usage.fingerprint(), &address).unwrap();
        Running { server, task, client, address }
    }

    /// A look at these by the first or second gateway.
    fn look(&mut self, gateway: usize, seconds: i64, mandate: &str, who: &[&str]) -> (String, u64) {
        let gateway = &mut self.gateways[gateway];
        let intent = gateway.intent(seconds, "app_intake", mandate, &["public.newcomers.name"]);
        gateway.outcome(seconds, intent, 1, "done", who);
        (gateway.origin.clone(), intent)
    }

    fn checkpoints(&mut self) {
        for gateway in &mut self.gateways {
            gateway.close();
            gateway.open();
        }
    }
}

/// Entries of the server's own journal.
fn told(scene: &Scene) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let reader = Reader::open(&scene.world.folder.join("usage-journal")).unwrap();
    let entries = reader.entries(0, reader.size()).unwrap().map(|found| entry::decode(&found.unwrap().1).unwrap());
    entries.filter(|entry| entry.kind == "usage").map(|entry| entry.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn citizens_find_all_looks_at_them_and_nobody_else_s() {
    let mut scene = Scene::new().await;
    let (anna, bert) = (scene.anna.clone(), scene.bert.clone());
    let mut of_anna = Vec::new();
    let mut of_bert = Vec::new();
    for turn in 0..120 {
        let gateway = usize::try_from(turn % 2).unwrap();
        match turn % 3 {
            0 => of_anna.insert(0, scene.look(gateway, turn, "m1", &[&anna])),
            1 => of_bert.insert(0, scene.look(gateway, turn, "m1", &[&bert])),
            _ => {
                let look = scene.look(gateway, turn, "m1", &[&anna, &bert]);
                of_anna.insert(0, look.clone());
                of_bert.insert(0, look);
            }
        }
    }
    scene.checkpoints();
    let running = scene.run(scene.config()).await;
    running.until("well").await;
    assert_eq!((running.looks(ANNA).await, running.looks(BERT).await), (of_anna.clone(), of_bert));
    assert!(running.looks("00000000000").await.is_empty());
    let usages = running.usages(json!({"subject": ANNA, "realm": "person", "offset": 3, "limit": 2})).await;
    let [first, _] = usages.find_usage_responses.as_slice() else { panic!("{usages:?}") };
    assert_eq!((first.journal.clone(), first.entry), of_anna[3]);
    assert_eq!((first.action.as_str(), first.receiver.as_str(), &first.end_user), ("SELECT", "app_intake", &None));
    assert_eq!((first.mandates[0].as_str(), first.columns[0].column.as_str()), ("m1", "public.newcomers.name"));
    assert_eq!(first.legal_basis, ["Decree of 7 June 2013, art. 26"]);
    assert!(usages.more && usages.as_of.len() == 2);
    // A cursor stays where it is when something new comes.
    let newest = scene.look(0, 500, "m1", &[&anna]);
    scene.checkpoints();
    let begun = Instant::now();
    while running.looks(ANNA).await.first() != Some(&newest) {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let next = running.usages(json!({"subject": ANNA, "limit": 1, "cursor": usages.cursor})).await;
    assert_eq!((next.find_usage_responses[0].journal.clone(), next.find_usage_responses[0].entry), of_anna[5]);
    // Who asked is in the journal before the answer leaves, by pseudonym.
    let last = told(&scene).pop().unwrap();
    assert_eq!(serde_json::Value::from(last), json!({"caller": "citizens", "subjects": [anna], "looks": 1}));
    running.stop();
    let showing = scene.run(UsageConfig { show_end_users: true, ..scene.config() }).await;
    showing.until("well").await;
    let usages = showing.usages(json!({"subject": ANNA})).await;
    assert_eq!(usages.find_usage_responses[0].end_user.as_deref(), Some("app_intake-user"));
    showing.stop();
}

fn order(id: &str, secret_until: &str) -> String {
    format!(
        "kind = \"order\"\ntenant = \"agency.example\"\nid = \"{id}\"\nissued = \"2026-05-01T00:00:00Z\"\n\
         authority = \"Investigating judge\"\ncountry = \"BE\"\nreference = \"26-1\"\ndemands = \"one file\"\n\
         received = \"2026-04-30T00:00:00Z\"\nstage = \"received\"\nsecret_until = \"{secret_until}\"\n[[document]]\n\
         name = \"order\"\nsha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_court_keeps_secret_is_told_after_its_day_and_nothing_shows_before() {
    let mut scene = Scene::new().await;
    let day: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    let text = order("o1", "2026-07-01T00:00:00Z");
    scene.world.admin.submit(&text, &scene.world.people.sign_all(&["ann"], &text)).await.unwrap();
    let demand = "order = \"o1\"\ndisclose_after = \"2026-07-01T00:00:00Z\"\n";
    scene.world.enact(&mandate("m-court", demand).replace("onboarding", "court_order")).await;
    let anna = scene.anna.clone();
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for turn in 0..60 {
        let secret = turn % 4 == 1;
        let look = scene.look(0, turn, if secret { "m-court" } else { "m1" }, &[&anna]);
        all.insert(0, look.clone());
        if !secret {
            open.insert(0, look);
        }
    }
    scene.checkpoints();
    let running = scene.run(scene.config()).await;
    running.until("well").await;
    let pages = async || {
        let mut found = Vec::new();
        loop {
            let page = running.usages(json!({"subject": ANNA, "offset": found.len(), "limit": 7})).await;
            assert!(page.find_usage_responses.len() == 7 || !page.more);
            assert_eq!(page.cursor.is_some(), page.more);
            found.extend(page.find_usage_responses.into_iter().map(|usage| (usage.journal, usage.entry)));
            if !page.more {
                return found;
            }
        }
    };
    let until = day.as_second() - now().as_second();
    scene.clock.store(until - 1, Ordering::SeqCst);
    assert_eq!(pages().await, open);
    assert_eq!(told(&scene).last().unwrap()["looks"], 3);
    scene.clock.store(until, Ordering::SeqCst);
    assert_eq!(pages().await, all);
    // A revoked mandate keeps its day.
    scene.clock.store(until - 1, Ordering::SeqCst);
    let text = world::people::revocation("r1", "m-court");
    scene.world.admin.submit(&text, &scene.world.people.sign_all(&["ann"], &text)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pages().await, open);
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused_and_no_answer_repeats_them() {
    let mut scene = Scene::new().await;
    let anna = scene.anna.clone();
    scene.look(0, 1, "m1", &[&anna]);
    scene.checkpoints();
    let running = scene.run(scene.config()).await;
    running.until("well").await;
    for (body, status) in [
        (format!("{{\"subject\": {ANNA}}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"offset\": \"{ANNA}\"}}"), 400),
        (format!("{{\"{ANNA}\": 1}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"limit\": 0}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"limit\": 1001}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"offset\": -1}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"realm\": \"other\"}}"), 400),
        (format!("{{\"subject\": \"{ANNA}\", \"cursor\": \"{ANNA}\"}}"), 400),
        (format!("{{\"subject\": \"{ANNA}-and-too-long\"}}"), 400),
        ("{}".into(), 400),
        (String::new(), 400),
        ("[".repeat(7_000), 400),
        ("x".repeat(9 << 10), 413),
        ("x".repeat(2 << 20), 413),
    ] {
        // A body beyond the link's limit may cost the connection before all of it was sent.
        let Ok(answer) = running.client.post_for_answer("/findUsage", body.clone()).await else {
            assert!(body.len() > 1 << 20);
            continue;
        };
        let said = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, status, "{said}");
        assert!(!said.contains(ANNA), "{said}");
    }
    for target in [format!("/findUsage?subject={ANNA}"), "/".to_owned(), "/findusage".into()] {
        let (status, body) = running.client.get(&target).await.unwrap();
        assert!(status == 404 && !String::from_utf8_lossy(&body).contains(ANNA));
    }
    assert!(told(&scene).is_empty(), "what is refused tells nobody anything");
    // Whom it does not know gets no connection, also where the charter knows them.
    for stranger in [&scene.world.gateway, &scene.world.admin_identity()] {
        let client = Client::new(stranger, scene.world.usage.fingerprint(), &running.address).unwrap();
        assert!(client.post("/findUsage", "{}").await.is_err());
    }
    slow_caller(&running).await;
    let begun = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(running.usages(json!({"subject": ANNA})).await.find_usage_responses.len(), 1);
    }
    eprintln!("10,000 questions one after the other: {:?}", begun.elapsed());
    running.stop();
    let limited = scene.run(UsageConfig { requests_per_minute: 5, ..scene.config() }).await;
    limited.until("well").await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(limited.ask(json!({"subject": ANNA})).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    assert!(answers[7].retry_after_s.is_some_and(|wait| (1..=13).contains(&wait)));
    limited.stop();
}

/// One that never ends its question takes nobody's place.
async fn slow_caller(running: &Running) {
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = tokio::net::TcpStream::connect(&running.address).await.unwrap();
        socket.write_all(&[22, 3, 1]).await.unwrap();
        sockets.push(socket);
    }
    assert_eq!(running.usages(json!({"subject": BERT})).await.find_usage_responses, []);
    let mut socket = sockets.pop().unwrap();
    let cut = tokio::time::timeout(Duration::from_secs(15), socket.read(&mut [0; 16])).await;
    assert!(cut.is_ok(), "a handshake that does not go on is ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_answer_would_not_be_whole_there_is_none() {
    let mut scene = Scene::new().await;
    let anna = scene.anna.clone();
    let expected = vec![scene.look(0, 1, "m1", &[&anna])];
    scene.checkpoints();
    let question = json!({"subject": ANNA});
    // A gateway of the charter whose journal is not followed.
    let half = UsageConfig { source: scene.config().source[..1].to_vec(), ..scene.config() };
    let running = scene.run(half).await;
    running.until("no journal of gateway-2 is followed").await;
    let (status, said) = running.refused(question.clone()).await;
    assert!(status == 503 && said.contains("gateway-2"), "{said}");
    running.stop();

    let running = scene.run(scene.config()).await;
    running.until("well").await;
    // One journal is away, and comes back.
    scene.gateways[1].close();
    let (journal, away) = (scene.gateways[1].journal(), scene.gateways[1].folder.path().join("away"));
    std::fs::rename(&journal, &away).unwrap();
    running.until("missing").await;
    let (status, said) = running.refused(question.clone()).await;
    assert!(status == 503 && said.contains("journal `agency.example/gateway-2`"), "{said}");
    std::fs::rename(&away, &journal).unwrap();
    scene.gateways[1].open();
    running.until("well").await;
    assert_eq!(running.looks(ANNA).await, expected);
    // One is changed: what was put into it is not told, and the rest is not said to be all.
    scene.gateways[0].close();
    let checkpoint = scene.gateways[0].journal().join("checkpoint");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    std::fs::write(&checkpoint, text.replacen("\n2\n", "\n1\n", 1)).unwrap();
    running.until("gateway-1").await;
    let (status, said) = running.refused(question.clone()).await;
    assert!(status == 503 && said.contains("the signature of agency.example/gateway-1 is wrong"), "{said}");
    std::fs::write(&checkpoint, text).unwrap();
    running.until("well").await;
    // A look by a mandate that the register does not have.
    scene.gateways[0].open();
    scene.look(0, 5, "m-unheard-of", &[&anna]);
    scene.checkpoints();
    let begun = Instant::now();
    let said = loop {
        let (status, said) = running.refused(question.clone()).await;
        if status == 503 {
            break said;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(said.contains("register is not known as far as the journals are"), "{said}");
    assert!(running.looks(BERT).await.is_empty());
    running.stop();
    // Without its key it says nothing, not even that there is nothing.
    for function in Function::ALL {
        scene.world.stop(function).await;
    }
    let keys = KeyringConfig { custodians: Vec::new() };
    assert!(UsageServer::open(UsageConfig { keys, ..scene.config() }, Arc::new(now)).is_err());
    let addresses = [Function::Structure, Function::Access, Function::Keys].map(|function| {
        let tls = scene.world.gateway.fingerprint();
        drieslot_custodian::client::CustodianAddress { function, address: "127.0.0.1:9".into(), tls }
    });
    let keys = KeyringConfig { custodians: addresses.to_vec() };
    let running = scene.run(UsageConfig { keys, ..scene.config() }).await;
    running.until("well").await;
    let (status, said) = running.refused(json!({"subject": BERT})).await;
    assert!(status == 503 && said.contains("the key of subjects cannot be had"), "{said}");
    // A journal that goes on from one that nobody named.
    let body = json!({"origin": "agency.example/gateway-0", "key": scene.gateways[1].verifier().vkey(), "why": "lost"});
    scene.gateways[1].write(9, "link", &body);
    scene.checkpoints();
    running.until("goes on from `agency.example/gateway-0`, which is not followed").await;
    running.stop();
}
