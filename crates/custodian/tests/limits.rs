//! A flood of one gateway, and a custodian that is gone: neither is asked in vain by every statement.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drieslot_custodian::client::{CustodianAddress, KeyError};
use drieslot_custodian::{LimitsConfig, TLS_FOLDER};
use drieslot_link::{Client, Fingerprint, Response, TlsIdentity};
use drieslot_register::Function;
use tokio::net::TcpListener;

use world::*;

const TIGHT: LimitsConfig =
    LimitsConfig { gateway_burst: 40, gateway_per_minute: 300, domain_burst: 5, domain_per_minute: 60 };

/// Asks one custodian for shares, over several connections, until the time is over. How many were given and how many limited.
async fn flood(gateway: &Arc<TlsIdentity>, tls: Fingerprint, address: &str, lasts: Duration) -> (u32, u32) {
    let one = |gateway: Arc<TlsIdentity>, address: String| async move {
        let client = Client::new(&gateway, tls, &address).unwrap();
        let (begun, mut given, mut limited) = (Instant::now(), 0, 0);
        while begun.elapsed() < lasts {
            let body = r#"{"domain":"person","epoch":1,"revision":0}"#;
            match client.post_for_answer("/share", body).await.unwrap() {
                Response { status: 200, .. } => given += 1,
                Response { status: 429, retry_after_s: Some(1..=60), .. } => limited += 1,
                other => panic!("{other:?}"),
            }
        }
        (given, limited)
    };
    let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(one(Arc::clone(gateway), address.to_owned()))).collect();
    let (mut given, mut limited) = (0, 0);
    for task in tasks {
        let (more_given, more_limited) = task.await.unwrap();
        (given, limited) = (given + more_given, limited + more_limited);
    }
    (given, limited)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_gateway_does_not_stop_another_and_ends_by_itself() {
    let mut world = World::with_limits(900, TIGHT).await;
    let (held, _) = world.keyring().await;
    held.cell_key(&person(), 1).await.unwrap();
    let (tls, address) = (world.custodians[&Function::Access].tls, world.custodians[&Function::Access].address.clone());
    let gateway = Arc::clone(&world.gateway);
    let begun = Instant::now();
    let flood = tokio::spawn(async move { flood(&gateway, tls, &address, Duration::from_secs(3)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (other, _) = world.keyring_of(&world.second_gateway, world.addresses()).await;
    let asked = Instant::now();
    other.cell_key(&person(), 1).await.expect("another gateway gets its key");
    assert!(asked.elapsed() < Duration::from_secs(1), "but after {:?}", asked.elapsed());
    let (flooded, _) = world.keyring().await;
    let mut errors = 0;
    while !flood.is_finished() {
        match flooded.cell_key(&person(), 1).await {
            Err(KeyError::Limited { function: Function::Access, .. }) => errors += 1,
            Ok(_) => break,
            Err(other) => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(errors > 100, "only {errors} statements were told");
    assert!(held.cached(&person(), 1).is_some(), "a key in lease is used on");
    let (given, limited) = flood.await.unwrap();
    let rate = u32::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(given <= 5 + rate, "{given} given in {:?}", begun.elapsed());
    assert!(limited > 100, "that was no flood: {limited}");
    let recovered = Instant::now();
    while flooded.cell_key(&person(), 1).await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(15), "the gateway does not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    world.stop(Function::Access).await;
    let windows = world.journal(Function::Access, "limited");
    assert_eq!(windows.len(), 1, "{windows:?}");
    let counted =
        windows[0]["limited_by_domain"].as_u64().unwrap() + windows[0]["limited_by_gateway"].as_u64().unwrap();
    let by_keyring = counted.checked_sub(u64::from(limited)).unwrap();
    assert!((1..=6).contains(&by_keyring), "the keyring asked {by_keyring} times for {errors} statements");
    assert_eq!(windows[0]["gateway"], "gateway-1");
    assert!(world.journal(Function::Access, "share").len() < 20, "a flood does not fill the journal");
}

#[tokio::test]
async fn a_custodian_that_is_gone_is_not_asked_by_every_statement_and_found_again() {
    let mut world = World::new(900).await;
    world.stop(Function::Keys).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = TlsIdentity::load(&world.folder.join("keys").join(TLS_FOLDER)).unwrap().fingerprint();
    let mut addresses = world.addresses();
    addresses.push(CustodianAddress { function: Function::Keys, address: address.to_string(), tls });
    let asked = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&asked);
    let gone = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            drop(socket);
        }
    });
    let (keyring, _) = world.keyring_with(addresses).await;
    let statement = || {
        let keyring = Arc::clone(&keyring);
        async move { keyring.cell_key(&person(), 1).await }
    };
    let together: Vec<_> = (0..50).map(|_| tokio::spawn(statement())).collect();
    for told in together {
        assert!(matches!(told.await.unwrap(), Err(KeyError::Unreachable { function: Function::Keys, .. })));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "sessions that wait for the same key share one question");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        statement().await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let times = asked.load(Ordering::SeqCst);
    assert!((3..=7).contains(&times), "asked {times} times in 3 s");
    gone.abort();
    let _ = gone.await;
    world.serve_at(Function::Keys, &address.to_string()).await;
    within(Duration::from_secs(1), "its address", || std::net::TcpStream::connect(address).is_ok()).await;
    let begun = Instant::now();
    while statement().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(12), "a custodian that is back is not found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
