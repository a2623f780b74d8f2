//! One session of an application that does everything twice: through the gateway, and on a plain copy. Each has rows of
//! its own, so that the answers are the same whatever the others do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};

use crate::common::random::Random;
use crate::common::session::Tls;
use crate::common::{DATABASE, Trial};
use crate::world::{CLIENTS, VISITS};

pub(crate) const COPY: &str = "plain";
const TABLES: [&str; 3] = ["client", "visit", "badge"];

/// How to reach both databases.
#[derive(Clone)]
pub(crate) struct Way {
    port: u16,
    tls: Tls,
    app: Config,
    plain: Config,
}

impl Way {
    pub(crate) fn of(trial: &Trial) -> Self {
        let password = std::fs::read_to_string(trial.processor().join("superuser.password")).unwrap();
        let mut plain = Config::new();
        plain.host_path(trial.processor()).port(trial.port + 1).user("postgres").password(password.trim()).dbname(COPY);
        plain.options("-c TimeZone=Europe/Brussels");
        let mut app = trial.app_config();
        app.dbname(DATABASE);
        Self { port: trial.port, tls: trial.tls(), app, plain }
    }

    async fn plain(&self) -> Client {
        let (client, connection) = self.plain.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Waits while the gateway is down.
    async fn gateway(&self) -> Client {
        loop {
            if let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await
                && let Ok((client, connection)) = self.app.connect_raw(stream, self.tls.clone()).await
            {
                tokio::spawn(connection);
                return client;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

type Rows = Vec<Vec<Option<String>>>;

async fn ask(client: &Client, sql: &str) -> Result<Rows, Error> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        SimpleQueryMessage::CommandComplete(count) => Some(vec![Some(format!("{count} rows"))]),
        _ => None,
    });
    Ok(rows.collect())
}

async fn copied(client: &Client, sql: &str) -> Result<Vec<u8>, Error> {
    let parts: Vec<bytes::Bytes> = client.copy_out(sql).await?.try_collect().await?;
    Ok(parts.concat())
}

const PREPARED: &str = "SELECT client_id, name FROM client WHERE code = $1";

async fn prepare(client: &Client) -> Result<tokio_postgres::Statement, Error> {
    client.prepare(PREPARED).await
}

/// All rows of both tables, in the end.
pub(crate) async fn compare_all(way: &Way) {
    let (gateway, plain) = (way.gateway().await, way.plain().await);
    for table in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY 1");
        let (ours, theirs) = (ask(&gateway, &sql).await.unwrap(), ask(&plain, &sql).await.unwrap());
        assert_eq!(ours.len(), theirs.len(), "{table}");
        assert!(ours == theirs, "{table} differs");
    }
}

/// An application under way.
pub(crate) struct Application {
    way: Way,
    number: usize,
    random: Random,
    fresh: usize,
    compared: usize,
}

impl Application {
    pub(crate) fn new(way: Way, number: usize) -> Self {
        let seed = u64::try_from(number).unwrap() + 77;
        Self { way, number, random: Random(seed), fresh: 0, compared: 0 }
    }

    /// A row of this application's own.
    fn own(&mut self, all: usize) -> usize {
        self.random.below(all / 3) * 3 + self.number
    }

    fn statement(&mut self) -> String {
        let (client, visit) = (self.own(CLIENTS), self.own(VISITS));
        let n = self.random.below(1_000);
        self.fresh += 1;
        let new = 100_000 * (self.number + 1) + self.fresh;
        match self.random.below(20) {
            0 => format!("SELECT * FROM client WHERE client_id = {client}"),
            1 => format!("SELECT name, born, tags FROM client WHERE code = 'C{client:05}'"),
            2 => format!(
                "SELECT v.note, c.name FROM visit v JOIN client c ON c.code = v.code WHERE v.visit_id = {visit}"
            ),
            3 => format!("UPDATE client SET name = 'Changed {n}' WHERE client_id = {client} RETURNING name, born"),
            // Takes the old cell along to a new place in the table.
            4 | 5 => format!("UPDATE client SET visits = visits + 1 WHERE client_id = {client} RETURNING *"),
            6 => {
                format!("INSERT INTO visit (visit_id, client_id, code) VALUES ({new}, {client}, 'N{n}') RETURNING note")
            }
            7 => format!(
                "INSERT INTO client VALUES ({client}, 'C{client:05}', 'Again {n}', '1999-12-31', ARRAY['{n}'], 1, {n}, 'Lane {n}') \
                 ON CONFLICT (client_id) DO UPDATE SET name = EXCLUDED.name, tags = EXCLUDED.tags, rank = EXCLUDED.rank RETURNING *"
            ),
            8 => format!("DELETE FROM visit WHERE visit_id = {visit} RETURNING note"),
            9 => format!("INSERT INTO visit VALUES ({visit}, 1, 'N{n}', NULL) ON CONFLICT (visit_id) DO NOTHING"),
            10 => format!(
                "SELECT client_id, name FROM client WHERE client_id % 3 = {} AND client_id BETWEEN {client} AND {} ORDER BY 1",
                self.number,
                client + 300
            ),
            11 => format!("BEGIN; UPDATE visit SET note = 'lost' WHERE visit_id = {visit}; ROLLBACK"),
            12 => format!(
                "BEGIN; UPDATE client SET born = '2001-0{}-01' WHERE client_id = {client}; \
                 SELECT born FROM client WHERE client_id = {client}; COMMIT",
                n % 9 + 1
            ),
            13 => format!(
                "SELECT client_id, rank FROM client WHERE client_id % 3 = {} AND rank BETWEEN {} AND {} ORDER BY rank, 1",
                self.number,
                n % 70,
                n % 70 + 9
            ),
            14 => format!(
                "SELECT client_id FROM client WHERE client_id % 3 = {} AND street LIKE '%eet {} of%' ORDER BY 1",
                self.number,
                n % 13
            ),
            15 => format!(
                "UPDATE client SET rank = {n}, street = 'Alley {n}' WHERE client_id = {client} RETURNING rank, street"
            ),
            16 => format!("SELECT max(rank), count(DISTINCT code) FROM client WHERE client_id % 3 = {}", self.number),
            17 => format!(
                "SELECT v.visit_id, c.client_id FROM visit v JOIN client c USING (code) WHERE v.code IN ('C{client:05}', 'N{n}') \
                 AND v.visit_id < 100000 AND v.visit_id % 3 = {} ORDER BY 1",
                self.number
            ),
            18 => format!("UPDATE client SET rank = {} WHERE client_id = {client}", 100_000 + n),
            _ => format!("UPDATE visit SET note = note WHERE visit_id = {visit} RETURNING note"),
        }
    }

    /// Works until it is told to stop; how many answers were compared.
    pub(crate) async fn run(mut self, stop: &AtomicBool) -> usize {
        let plain = self.way.plain().await;
        let mut gateway = self.way.gateway().await;
        let mut prepared = prepare(&gateway).await.ok();
        while !stop.load(Ordering::SeqCst) {
            // Prepared before, bound with a value of now.
            if let Some(statement) = prepared.as_ref().filter(|_| self.random.percent(20)) {
                let code = format!("C{:05}", self.own(CLIENTS));
                if let Ok(ours) = gateway.query(statement, &[&code]).await {
                    let theirs = plain.query(PREPARED, &[&code]).await.unwrap();
                    let found = |rows: &[tokio_postgres::Row]| -> Vec<(i32, String)> {
                        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
                    };
                    assert_eq!(found(&ours), found(&theirs), "{code}");
                    self.compared += 1;
                    continue;
                }
                assert!(gateway.is_closed(), "a prepared lookup failed");
            }
            if self.random.percent(3) {
                let sql =
                    format!("COPY (SELECT * FROM client WHERE client_id % 3 = {} ORDER BY 1) TO STDOUT", self.number);
                let ours = copied(&gateway, &sql).await;
                if !gateway.is_closed() {
                    assert!(ours.unwrap() == copied(&plain, &sql).await.unwrap(), "{sql}");
                    self.compared += 1;
                    continue;
                }
            } else {
                let sql = self.statement();
                let ours = ask(&gateway, &sql).await;
                match ours {
                    Ok(ours) => {
                        assert_eq!(ours, ask(&plain, &sql).await.unwrap(), "{sql}");
                        self.compared += 1;
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        continue;
                    }
                    // The constraint's own words; both must refuse.
                    Err(error) if error.code().is_some_and(|code| code.code() == "23514") => {
                        let theirs = ask(&plain, &sql).await.unwrap_err();
                        assert_eq!(theirs.code().map(|code| code.code()), Some("23514"), "{sql}");
                        self.compared += 1;
                        continue;
                    }
                    Err(error) => assert!(error.as_db_error().is_none() || gateway.is_closed(), "{sql}: {error:?}"),
                }
            }
            gateway = self.begin_again(&plain).await;
            prepared = prepare(&gateway).await.ok();
        }
        self.compared
    }

    /// The gateway was killed: whether the last statement took effect is not known, so the copy takes over what is there.
    async fn begin_again(&mut self, plain: &Client) -> Client {
        let gateway = self.way.gateway().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Badges stay, whose foreign key is looked at when all is there again.
        plain.batch_execute("SET session_replication_role = replica").await.unwrap();
        for (table, key) in [("client", "client_id"), ("visit", "visit_id")] {
            let own = format!("({key} < 100000 AND {key} % 3 = {0} OR {key} / 100000 = {0} + 1)", self.number);
            let rows = copied(&gateway, &format!("COPY (SELECT * FROM {table} WHERE {own}) TO STDOUT")).await.unwrap();
            plain.execute(&format!("DELETE FROM {table} WHERE {own}"), &[]).await.unwrap();
            let sink = plain.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN")).await.unwrap();
            let mut sink = Box::pin(sink);
            futures_util::SinkExt::send(&mut sink, rows.into()).await.unwrap();
            sink.as_mut().finish().await.unwrap();
        }
        plain.batch_execute("RESET session_replication_role").await.unwrap();
        gateway
    }
}
