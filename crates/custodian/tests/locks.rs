//! Three custodians and a gateway: keys, refusals, leases, and what each of them must not do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drieslot_custodian::client::{CustodianAddress, KeyError, Keyring, KeyringConfig};
use drieslot_custodian::server::CustodianConfig;
use drieslot_custodian::{CustodianError, NewSecret, SECRET_FILE, TLS_FOLDER, init};
use drieslot_link::{Client, Fingerprint, Response, TlsIdentity};
use drieslot_register::follow::Follower;
use drieslot_register::{Function, Hex32};
use drieslot_schema::Domain;
use world::people::{TENANT, mandate, now, revocation};

use world::*;

#[tokio::test]
async fn three_custodians_make_a_key_and_each_journals_it_first() {
    let mut world = World::new(900).await;
    let (keyring, follower) = world.keyring().await;
    assert!(keyring.cached(&person(), 1).is_none());
    let key = keyring.cell_key(&person(), 1).await.unwrap();
    assert_eq!((key.context().tenant.as_str(), key.context().epoch), (TENANT, 1));
    assert!(Arc::ptr_eq(&key, &keyring.cached(&person(), 1).unwrap()));
    assert!(follower.state().key_check(&person(), 1).is_some(), "the first use leaves a key-check");

    // Another gateway process compares with what the register has.
    let (second, _) = world.keyring().await;
    let domain = person();
    let (one, two) = tokio::join!(second.cell_key(&domain, 1), second.cell_key(&domain, 1));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert!(matches!(keyring.cell_key(&Domain("nobody".into()), 1).await, Err(KeyError::Denied(_))));
    assert!(matches!(keyring.cell_key(&person(), 2).await, Err(KeyError::Denied(_))));

    for function in Function::ALL {
        world.stop(function).await;
        let shares = world.journal(function, "share");
        assert_eq!(shares.len(), 2, "{function}: one for each process");
        assert_eq!((&shares[0]["outcome"], &shares[0]["mandate"]), (&"granted".into(), &"m1".into()));
        assert_eq!((&shares[0]["gateway"], &shares[0]["domain"]), (&"gateway-1".into(), &"person".into()));
        assert_eq!(world.journal(function, "key-check").len(), 1);
    }
}

#[tokio::test]
async fn a_usage_server_and_gateways_share_the_key_of_subjects_and_it_has_no_other() {
    let mut world = World::new(900).await;
    let usage = Arc::clone(&world.usage);
    let (told, follower) = world.keyring_of(&usage, world.addresses()).await;
    let (gateway, _) = world.keyring().await;
    assert!(gateway.cached_subject_key().is_none());
    let (a, b) = tokio::join!(told.subject_key(), gateway.subject_key());
    let who = |key: &drieslot_seal::SubjectKey| key.pseudonym(&person(), b"85073003328").unwrap();
    assert_eq!(who(&a.unwrap()), who(&b.unwrap()));
    assert!(gateway.cached_subject_key().is_some());
    let check = follower.state().key_check(&Domain::subjects(), 1).unwrap();
    gateway.cell_key(&person(), 1).await.unwrap();

    // Neither by its own view of the register, nor by that of the custodians.
    assert!(matches!(told.cell_key(&person(), 1).await, Err(KeyError::Denied(_))));
    for running in world.custodians.values() {
        let client = Client::new(&usage, running.tls, &running.address).unwrap();
        let ask = |domain: &str| {
            let revision = follower.state().revision();
            let body = format!("{{\"domain\":\"{domain}\",\"epoch\":1,\"revision\":{revision}}}");
            client.post_for_answer("/share", body.into_bytes())
        };
        assert_eq!(ask("drieslot/subjects").await.unwrap().status, 200);
        for domain in ["person", "civic.public.newcomers.name", "nobody"] {
            let Response { status, body, .. } = ask(domain).await.unwrap();
            assert_eq!(status, 403);
            assert!(String::from_utf8(body.to_vec()).unwrap().contains("gets the key of subjects and no column's"));
        }
    }
    for function in Function::ALL {
        world.stop(function).await;
        let shares = world.journal(function, "share");
        let of = |part: &str, domain: &str, outcome: &str| {
            let entry = |one: &&serde_json::Map<String, serde_json::Value>| {
                (&one["gateway"], &one["domain"], &one["outcome"]) == (&part.into(), &domain.into(), &outcome.into())
            };
            shares.iter().filter(entry).count()
        };
        assert_eq!(of("usage-1", "drieslot/subjects", "granted"), 2);
        assert_eq!(of("gateway-1", "drieslot/subjects", "granted"), 1);
        assert_eq!((of("usage-1", "person", "refused"), of("usage-1", "person", "granted")), (1, 0));
    }
    assert_eq!(check.domain, "drieslot/subjects");
}

#[tokio::test]
async fn two_of_three_custodians_make_no_key() {
    let world = World::new(900).await;
    let all = world.addresses();
    for function in Function::ALL {
        let mut addresses = all.clone();
        let gone = addresses.iter_mut().find(|one| one.function == function).unwrap();
        gone.address = closed_port().await;
        let (keyring, follower) = world.keyring_with(addresses).await;
        match keyring.cell_key(&person(), 1).await {
            Err(KeyError::Unreachable { function: named, .. }) => assert_eq!(named, function),
            other => panic!("{other:?}"),
        }
        assert!(keyring.cached(&person(), 1).is_none());
        assert!(follower.state().key_check(&person(), 1).is_none(), "two cannot confirm a key either");
    }
    // A replica that cannot be reached does no harm where another answers.
    let mut addresses = all.clone();
    let spare = CustodianAddress { address: closed_port().await, ..all[0].clone() };
    addresses.insert(0, spare);
    let (keyring, _) = world.keyring_with(addresses).await;
    keyring.cell_key(&person(), 1).await.unwrap();

    let missing = all.iter().filter(|one| one.function != Function::Keys).cloned().collect();
    let follower = Follower::start(world.follow.clone(), Arc::clone(&world.gateway)).unwrap();
    let made = Keyring::new(KeyringConfig { custodians: missing }, Arc::clone(&world.gateway), follower, Arc::new(now));
    assert!(matches!(made, Err(KeyError::Config(_))));
}

#[tokio::test]
async fn revocation_drops_a_key_within_two_seconds() {
    let mut world = World::new(900).await;
    let (keyring, _) = world.keyring().await;
    keyring.cell_key(&person(), 1).await.unwrap();
    let text = revocation("r1", "m1");
    world.admin.submit(&text, &[world.people.sign("kim", &text)]).await.unwrap();
    let took = within(Duration::from_secs(2), "revocation", || keyring.cached(&person(), 1).is_none()).await;
    assert!(took < Duration::from_secs(2));
    assert!(matches!(keyring.cell_key(&person(), 1).await, Err(KeyError::Denied(_))));

    // A gateway that does not look at the register is refused by the custodians themselves.
    let running = &world.custodians[&Function::Access];
    let client = Client::new(&world.gateway, running.tls, &running.address).unwrap();
    let body = r#"{"domain":"person","epoch":1,"revision":0}"#;
    within(Duration::from_secs(2), "the custodian's view", || {
        running.custodian.follower().state().mandates_of("app_intake").count() == 0
    })
    .await;
    let (status, why) = client.post("/share", body).await.unwrap();
    assert_eq!(status, 403, "{why:?}");
    world.stop(Function::Access).await;
    let last = world.journal(Function::Access, "share").pop().unwrap();
    assert_eq!(last["outcome"], "refused", "a refusal is journalled too");
}

#[tokio::test]
async fn both_epochs_have_keys_while_a_rotation_is_open_and_the_old_one_none_afterwards() {
    let mut world = World::new(900).await;
    let name = Domain("civic.public.newcomers.name".into());
    let (keyring, _) = world.keyring().await;
    keyring.cell_key(&name, 1).await.unwrap();
    let statement = |kind: &str, fields: &str, epoch: u16, end: &str| {
        format!(
            "kind = \"{kind}\"\ntenant = \"{TENANT}\"\nid = \"x\"\nissued = \"2026-02-01T00:00:00Z\"\n{fields}\n\
             [[domain]]\nname = \"{name}\"\nepoch = {epoch}\n{end}"
        )
    };
    let text = statement("rotation", "worker = \"gateway-1\"\nwhy = \"a year is over\"", 2, "");
    world.admin.submit(&text, &world.people.sign_all(&["sam", "sofie", "kim"], &text)).await.unwrap();
    // Others may seal in it at once, so a gateway that uses the domain fetches it without being asked.
    within(Duration::from_secs(5), "the new key", || keyring.cached(&name, 2).is_some()).await;
    assert!(keyring.cached(&name, 1).is_some());

    let text = statement("retirement", "", 1, "cells = 0\n");
    world.admin.submit(&text, &[world.people.sign("kim", &text)]).await.unwrap();
    within(Duration::from_secs(2), "the old key's end", || keyring.cached(&name, 1).is_none()).await;
    let refused = keyring.cell_key(&name, 1).await.unwrap_err().to_string();
    assert!(refused.contains("epoch 1 is retired"), "{refused}");
    assert!(keyring.cached(&name, 2).is_some());
    for function in Function::ALL {
        // A gateway that does not look at the register gets no share of it either.
        let running = &world.custodians[&function];
        let client = Client::new(&world.gateway, running.tls, &running.address).unwrap();
        let view = || running.custodian.follower().state().epoch_changes() == 2;
        within(Duration::from_secs(2), "the custodian's view", view).await;
        let body = format!(r#"{{"domain":"{name}","epoch":1,"revision":0}}"#);
        let (status, why) = client.post("/share", body).await.unwrap();
        assert_eq!(status, 403, "{function}");
        assert!(String::from_utf8_lossy(&why).contains("epoch 1 is retired"), "{function}");
    }
    world.stop(Function::Keys).await;
    let last = world.journal(Function::Keys, "share").pop().unwrap();
    assert_eq!((&last["outcome"], &last["epoch"]), (&"refused".into(), &1.into()));
}

#[tokio::test]
async fn a_lying_custodian_is_named() {
    let mut world = World::new(900).await;
    let (keyring, _) = world.keyring().await;
    keyring.cell_key(&person(), 1).await.unwrap();
    world.stop(Function::Access).await;
    let identity = Arc::new(TlsIdentity::load(&world.folder.join("access").join(TLS_FOLDER)).unwrap());
    let (listener, address) = listener().await;
    let tls = identity.fingerprint();
    // A share of its own invention, with the check value that fits it.
    let share = drieslot_seal::Share::from_bytes(&[7; 32]).unwrap();
    let body = format!(
        r#"{{"share":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","lease_s":900,"share_check":"{}"}}"#,
        Hex32(share.check_value())
    );
    let liar = tokio::spawn(async move {
        let handler = move |_, _| std::future::ready(Response::new(200, body.clone()));
        drieslot_link::serve(listener, identity, |_: &Fingerprint| true, handler).await.unwrap();
    });
    let mut custodians = world.addresses();
    custodians.push(CustodianAddress { function: Function::Access, address, tls });
    let (second, _) = world.keyring_with(custodians).await;
    match second.cell_key(&person(), 1).await {
        Err(KeyError::WrongShare { function: Function::Access, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(second.cached(&person(), 1).is_none());
    liar.abort();
}

#[tokio::test]
async fn a_custodian_with_another_secret_refuses_and_says_so() {
    let mut world = World::new(900).await;
    let (keyring, _) = world.keyring().await;
    keyring.cell_key(&person(), 1).await.unwrap();
    world.stop(Function::Keys).await;
    let (folder, spare) = (world.folder.join("keys"), world.folder.join("spare"));
    init(&spare, "spare", Function::Keys, &NewSecret::File(&credential(&folder))).unwrap();
    std::fs::copy(spare.join(SECRET_FILE), folder.join(SECRET_FILE)).unwrap();
    world.start(Function::Keys, 30).await;
    let (second, _) = world.keyring().await;
    match second.cell_key(&person(), 1).await {
        Err(KeyError::Refused { function: Function::Keys, why }) => assert!(why.contains("secret"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_replica_takes_over_before_the_lease_ends() {
    let mut world = World::new(2).await;
    let replica = world.run(Function::Keys, 30, "-2").await;
    let (address, tls) = (replica.address.clone(), replica.tls);
    let mut addresses = world.addresses();
    addresses.push(CustodianAddress { function: Function::Keys, address, tls });
    let (keyring, _) = world.keyring_with(addresses).await;
    keyring.cell_key(&person(), 1).await.unwrap();
    world.stop(Function::Keys).await;
    let stopped = std::time::Instant::now();
    while stopped.elapsed() < Duration::from_secs(5) {
        assert!(keyring.cached(&person(), 1).is_some(), "no key {:?} after one replica stopped", stopped.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    replica.task.abort();
    let _ = replica.task.await;
    replica.custodian.close().unwrap();
    let gone = || keyring.cached(&person(), 1).is_none();
    let took = within(Duration::from_secs(4), "the key is gone with both", gone).await;
    assert!(took < Duration::from_secs(3), "kept for {took:?}");
}

#[tokio::test]
async fn leases_are_renewed_and_run_out_without_custodians() {
    let mut world = World::new(2).await;
    let (keyring, _) = world.keyring().await;
    let first = keyring.cell_key(&person(), 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let renewed = keyring.cached(&person(), 1).expect("renewed in time");
    assert!(!Arc::ptr_eq(&first, &renewed));
    for function in Function::ALL {
        world.stop(function).await;
    }
    within(Duration::from_secs(3), "the lease's end", || keyring.cached(&person(), 1).is_none()).await;
    assert!(matches!(keyring.cell_key(&person(), 1).await, Err(KeyError::Unreachable { .. })));
}

#[tokio::test]
async fn a_custodian_gives_nothing_without_journal_or_register() {
    let mut world = World::new(900).await;
    world.custodians[&Function::Structure].custodian.close().unwrap();
    let (keyring, _) = world.keyring().await;
    match keyring.cell_key(&person(), 1).await {
        Err(KeyError::Unreachable { function: Function::Structure, why }) => assert!(why.contains("journal"), "{why}"),
        other => panic!("{other:?}"),
    }
    world.stop(Function::Structure).await;
    world.start(Function::Structure, 1).await;
    let (keyring, _) = world.keyring().await;
    world.register.abort();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    match keyring.cell_key(&person(), 1).await {
        Err(KeyError::Unreachable { function: Function::Structure, why }) => assert!(why.contains("register"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn strangers_do_not_come_in_and_custodians_sign_nothing_but_their_own_share() {
    let world = World::new(900).await;
    let running = &world.custodians[&Function::Structure];
    let stranger = TlsIdentity::create(&world.folder.join("stranger"), "stranger").unwrap();
    let client = Client::new(&stranger, running.tls, &running.address).unwrap();
    assert!(client.get("/health").await.is_err());

    let client = Client::new(&world.gateway, running.tls, &running.address).unwrap();
    assert_eq!(client.get("/health").await.unwrap().0, 200);
    let share = r#"{"domain":"person","epoch":1,"revision":0}"#;
    assert_eq!(client.post("/share", share).await.unwrap().0, 200);
    let extra = r#"{"domain":"person","epoch":1,"revision":0,"more":1}"#;
    assert_eq!(client.post("/share", extra).await.unwrap().0, 400);
    let text = format!(
        "kind = \"key-check\"\ntenant = \"{TENANT}\"\nid = \"k\"\nissued = \"{}\"\ndomain = \"person\"\nepoch = 1\n\
         key_check = \"{z}\"\n[shares]\nstructure = \"{z}\"\naccess = \"{z}\"\nkeys = \"{z}\"\n",
        people::NOW,
        z = "0".repeat(64)
    );
    let confirm = |text: &str| serde_json::json!({ "text": text }).to_string();
    let (status, why) = client.post("/confirm", confirm(&text)).await.unwrap();
    assert_eq!((status, String::from_utf8_lossy(&why).contains("another share")), (403, true));
    let (status, _) = client.post("/confirm", confirm(&mandate("m9", ""))).await.unwrap();
    assert_eq!(status, 403, "a custodian is no officer");
}

#[tokio::test]
async fn no_secret_is_shown_or_stored_in_the_clear() {
    let mut world = World::new(900).await;
    let (keyring, _) = world.keyring().await;
    let key = keyring.cell_key(&person(), 1).await.unwrap();
    let running = &world.custodians[&Function::Structure];
    let client = Client::new(&world.gateway, running.tls, &running.address).unwrap();
    let (_, body) = client.post("/share", r#"{"domain":"person","epoch":1,"revision":0}"#).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let share = answer["share"].as_str().unwrap().to_owned();
    let shown = format!("{:?} {keyring:?} {key:?} {client:?}", running.custodian);
    assert!(!shown.contains(&share));
    assert_eq!(shown.matches('…').count(), 3, "{shown}");
    for function in Function::ALL {
        world.stop(function).await;
    }
    let mut files = Vec::new();
    walk(&world.folder, &mut files);
    assert!(files.len() > 20);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(share.len()).any(|window| window == share.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

#[test]
fn configurations_are_read_and_unknown_fields_refused() {
    let hex = "ab".repeat(32);
    let text = format!(
        "listen = \"127.0.0.1:7001\"\nfunction = \"structure\"\nsecret = \"secret.sealed\"\nkey = \"identity.key\"\n\
         identity = \"tls\"\njournal = \"journal\"\norigin = \"agency.example/custodian-structure\"\n\
         [credential]\nfile = \"/run/credentials/key\"\nkind = \"key\"\n\
         [register]\nregister_address = \"127.0.0.1:7000\"\nregister_tls = \"sha256:{hex}\"\ncharter_sha256 = \"{hex}\"\n"
    );
    let config: CustodianConfig = toml::from_str(&text).unwrap();
    assert_eq!((config.lease_s, config.max_register_age_s), (900, 30));
    assert_eq!((config.limits.domain_burst, config.limits.gateway_per_minute), (60, 1_200));
    config.check().unwrap();
    let limited = toml::from_str::<CustodianConfig>(&format!("{text}[limits]\ndomain_burst = 0\n")).unwrap();
    assert!(matches!(limited.check(), Err(CustodianError::Config(_))), "a limit of nothing");
    let token = "[pkcs11]\nmodule = \"/lib/hsm.so\"\ntoken = \"t\"\nkey = \"k\"\npin_file = \"pin\"\n";
    let credential = "[credential]\nfile = \"/run/credentials/key\"\nkind = \"key\"\n";
    let check = |text: &str| toml::from_str::<CustodianConfig>(text).unwrap().check();
    let alone = text.replace(credential, "").replace("secret = \"secret.sealed\"\n", "");
    check(&format!("{alone}{token}")).unwrap();
    for neither in [format!("{text}{token}"), text.replace(credential, ""), alone] {
        assert!(matches!(check(&neither), Err(CustodianError::Config(_))), "{neither}");
    }
    let refused = toml::from_str::<CustodianConfig>(&format!("pin = 1\n{text}")).unwrap_err();
    assert!(refused.message().contains("pin"), "{refused}");
    let text = format!("[[custodians]]\nfunction = \"keys\"\naddress = \"h:1\"\ntls = \"sha256:{hex}\"\n");
    assert_eq!(toml::from_str::<KeyringConfig>(&text).unwrap().custodians.len(), 1);
    assert!(toml::from_str::<KeyringConfig>(&text.replace("sha256:", "")).is_err());
}
