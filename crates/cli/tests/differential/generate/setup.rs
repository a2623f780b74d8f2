//! One trial that holds every world under every classification, in a database each, and a plain database with the same
//! schemas.

use std::path::Path;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::random::Random;
use super::scheme::Scheme;
use super::scope::Use;
use super::world::World;
use crate::common::{Trial, data};

/// The plain database on the same server.
pub(crate) const PLAIN: &str = "plain";

pub(crate) struct Field {
    pub(crate) trial: Trial,
    pub(crate) worlds: Vec<World>,
    pub(crate) schemes: Vec<Scheme>,
}

/// The dumps that can be had: the harness's own, and those of others where they are at hand.
fn dumps() -> Vec<(&'static str, String)> {
    let mut all = vec![("trial", data::DUMP.to_owned())];
    let Some(folder) = std::env::var_os("DRIESLOT_TEST_DUMPS") else {
        eprintln!("SKIPPED: Northwind and Chinook, for DRIESLOT_TEST_DUMPS does not name a folder with them");
        return all;
    };
    for name in ["northwind", "chinook"] {
        let text = std::fs::read_to_string(Path::new(&folder).join(format!("{name}.sql"))).unwrap();
        let of_databases =
            |line: &&str| ["DROP DATABASE", "CREATE DATABASE", "\\c "].iter().all(|start| !line.starts_with(start));
        all.push((name, text.lines().filter(of_databases).collect::<Vec<_>>().join("\n")));
    }
    all
}

impl Field {
    /// `copies` classifications of each world.
    pub(crate) fn prepare(seed: u64, copies: usize) -> Self {
        let trial = Trial::small();
        let mut worlds = Vec::new();
        for (name, dump) in dumps() {
            let reference = format!("reference_{name}");
            trial.superuser("postgres", &format!("CREATE DATABASE {reference}"));
            trial.superuser(&reference, &dump);
            worlds.push(World::read(name, &mut Connection::plain(&trial, &reference)));
        }
        let mut random = Random::of(seed, 0);
        let mut schemes = Vec::new();
        for (at, world) in worlds.iter().enumerate() {
            schemes.extend((0..copies).map(|number| Scheme::draw(&mut random, at, world, number)));
        }
        trial.superuser("postgres", &format!("CREATE DATABASE {PLAIN}"));
        for scheme in &schemes {
            let (world, database) = (&worlds[scheme.world], &scheme.schema);
            trial.superuser("postgres", &format!("CREATE DATABASE {database} OWNER drieslot_gateway"));
            for (kind, text) in [("columns", scheme.classification(world)), ("mandate", scheme.mandate(world))] {
                let name = format!("{database}-{kind}.toml");
                let said = trial.sign_and_submit(&name, &text, &["structure", "access", "keys"]);
                assert!(said.contains("in force"), "{said}");
            }
        }
        let mut field = Self { trial, worlds, schemes };
        field.fill();
        field
    }

    fn fill(&mut self) {
        let mut plain = Connection::plain(&self.trial, PLAIN);
        for scheme in &self.schemes {
            let world = &self.worlds[scheme.world];
            let unique = |table: usize, column: usize| scheme.columns[table][column].protection.allows(Use::Equal);
            let mut gateway = self.gateway_that_knows(scheme);
            for session in [&mut plain, &mut gateway] {
                world.create(&scheme.schema, unique, session);
                world.fill(&scheme.schema, session);
            }
        }
        for (at, world) in self.worlds.iter_mut().enumerate() {
            let scheme = self.schemes.iter().find(|scheme| scheme.world == at).unwrap();
            world.sample(&scheme.schema, &mut plain);
        }
        self.same_content();
    }

    /// A session that has the new classification and mandate: the gateway follows the register with a delay.
    fn gateway_that_knows(&self, scheme: &Scheme) -> Connection {
        let started = Instant::now();
        let table = &self.worlds[scheme.world].tables[0].name;
        loop {
            let mut session = Connection::gateway(&self.trial, &scheme.schema);
            // A table that is not there is told from one that is not listed.
            let answer = session.simple(&format!("SELECT * FROM {}.{table}", scheme.schema));
            let fault = answer.fault.unwrap();
            if fault.code == "42P01" {
                return session;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "the classification does not arrive: {fault:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Every table holds the same on both sides.
    pub(crate) fn same_content(&self) {
        let mut plain = Connection::plain(&self.trial, PLAIN);
        for scheme in &self.schemes {
            let mut gateway = Connection::gateway(&self.trial, &scheme.schema);
            for table in &self.worlds[scheme.world].tables {
                let sql = format!("SELECT * FROM {}.{}", scheme.schema, table.name);
                let (mut there, mut here) = (plain.run(&sql), gateway.run(&sql));
                there.rows.sort();
                here.rows.sort();
                assert!(!there.rows.is_empty() || table.name.starts_with("customer_"), "{sql} is empty");
                assert_eq!(there.rows, here.rows, "{sql}");
            }
        }
    }
}
