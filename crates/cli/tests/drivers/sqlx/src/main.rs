//! sqlx through the gateway or on a plain copy: binary values, statements prepared by name behind the scenes. What it tells must
//! be equal on both sides, line by line, types too. Connects as the `PG…` environment says.

use std::env::var;
use std::fmt::Debug;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolCopyExt, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use sqlx::types::{Decimal, Uuid};
use sqlx::{Column, Connection, Error, Executor, FromRow, PgConnection, Postgres, Row, Statement, TypeInfo};


#[derive(Debug, Clone, FromRow, PartialEq)]
struct Citizen {
    national_number: i64,
    family_name: String,
    nickname: Option<String>,
    shoe_size: Option<i16>,
    age: Option<i32>,
    account: Option<i64>,
    balance: Option<Decimal>,
    income: Option<Decimal>,
    active: Option<bool>,
    born: Option<NaiveDate>,
    last_seen: Option<NaiveDateTime>,
    signed_at: Option<DateTime<Utc>>,
    token: Option<Uuid>,
    town: Option<String>,
    score: Option<i32>,
    tags: Option<Vec<String>>,
}

fn number(n: i32) -> i64 {
    85_000_000_000 + i64::from(n)
}

/// An ordinary row; each number gives its own values.
fn citizen(n: i32) -> Citizen {
    Citizen {
        national_number: number(n),
        family_name: format!("Çelik-O'Brien {n} 王"),
        nickname: Some(format!("nick{n}")),
        shoe_size: Some(36 + (n % 12) as i16),
        age: Some(n % 90),
        account: Some((1 << 62) + i64::from(n)),
        balance: Some(Decimal::new(i64::from(n) * 100 + 50, 2)),
        income: Some(Decimal::new(-1_234_567_890, 2)),
        active: Some(n % 2 == 0),
        born: NaiveDate::from_ymd_opt(1900 + n % 120, 2, 28),
        last_seen: NaiveDate::from_ymd_opt(2024, 2, 29).and_then(|day| day.and_hms_micro_opt(23, 59, 59, n as u32)),
        signed_at: DateTime::from_timestamp(1_719_835_200 + i64::from(n) * 60, 0),
        token: Some(Uuid::from_u128((1 << 100) + n as u128)),
        town: Some("Gent".into()),
        score: Some(n),
        tags: Some(vec!["a".into(), format!("b{n}")]),
    }
}

fn insert(row: Citizen) -> Query<'static, Postgres, PgArguments> {
    let text = "INSERT INTO citizen (national_number, family_name, nickname, shoe_size, age, account, balance, income, active, \
                born, last_seen, signed_at, token, town, score, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
                $12, $13, $14, $15, $16) RETURNING citizen_id";
    let first = sqlx::query(text).bind(row.national_number).bind(row.family_name).bind(row.nickname).bind(row.shoe_size);
    let second = first.bind(row.age).bind(row.account).bind(row.balance).bind(row.income).bind(row.active).bind(row.born);
    second.bind(row.last_seen).bind(row.signed_at).bind(row.token).bind(row.town).bind(row.score).bind(row.tags)
}

fn tell(step: &str, value: impl Debug) {
    println!("{step} | {value:?}");
}

async fn ids(db: &mut PgConnection, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<i32>, Error> {
    query.fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}

async fn writing(db: &mut PgConnection) -> Result<(), Error> {
    tell("insert one", (ids(db, insert(citizen(1))).await?, ids(db, insert(citizen(2))).await?));
    let nobody = Citizen {
        nickname: None,
        shoe_size: None,
        age: None,
        account: None,
        balance: None,
        income: None,
        active: None,
        born: None,
        last_seen: None,
        signed_at: None,
        token: None,
        town: None,
        score: None,
        tags: None,
        family_name: String::new(),
        national_number: number(11),
    };
    tell("insert nulls", ids(db, insert(nobody)).await?);
    for n in 100..300 {
        tell("insert many", ids(db, insert(citizen(n))).await?);
    }
    let statement = db.prepare("SELECT * FROM citizen ORDER BY citizen_id").await?;
    tell("described", statement.columns().iter().map(|c| (c.name(), c.type_info().name())).collect::<Vec<_>>());
    let text = "SELECT * FROM citizen ORDER BY citizen_id";
    let rows: Vec<Citizen> = sqlx::query_as(text).fetch_all(&mut *db).await?;
    tell("same", rows[0] == citizen(1));
    rows.iter().for_each(|row| tell("fetch", row));
    Ok(())
}

macro_rules! find {
    ($db:expr, $name:ident) => {
        let values = [citizen(1).$name, citizen(2).$name, citizen(101).$name];
        let name = stringify!($name);
        let text = format!("SELECT citizen_id FROM citizen WHERE {name} = $1 ORDER BY 1");
        tell("find =", (name, ids($db, sqlx::query(&text).bind(&values[0])).await?));
        let text = format!("SELECT citizen_id FROM citizen WHERE {name} IN ($1, $2, $3) ORDER BY 1");
        let query = sqlx::query(&text).bind(&values[0]).bind(&values[1]).bind(&values[2]);
        tell("find IN", (name, ids($db, query).await?));
        let text = format!("SELECT citizen_id FROM citizen WHERE {name} = ANY($1) ORDER BY 1");
        tell("find ANY", (name, ids($db, sqlx::query(&text).bind(&values[..])).await?));
    };
}

async fn lookups(db: &mut PgConnection) -> Result<(), Error> {
    find!(db, national_number);
    find!(db, nickname);
    find!(db, age);
    find!(db, balance);
    find!(db, born);
    find!(db, signed_at);
    find!(db, token);
    Ok(())
}

async fn changes(db: &mut PgConnection) -> Result<(), Error> {
    for (n, kind) in (0..).zip(["work", "stay", "work"]) {
        let query = sqlx::query("INSERT INTO permit VALUES ($1, $2, $3, $4)").bind(n).bind(number(1 + n % 2)).bind(kind);
        tell("insert", query.bind(format!("remark {n}")).execute(&mut *db).await?.rows_affected());
    }
    let text = "SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number \
                WHERE c.nickname IN ($1, $2) ORDER BY p.permit_id";
    let joined: Vec<(String, Option<String>, String)> =
        sqlx::query_as(text).bind("nick1").bind("nick2").fetch_all(&mut *db).await?;
    tell("join", joined);
    let text = "UPDATE citizen SET income = $1, active = $2, score = score + 1 WHERE nickname = $3 \
                RETURNING income, active, score, family_name";
    let updated: Vec<(Option<Decimal>, bool, i32, String)> =
        sqlx::query_as(text).bind(None::<Decimal>).bind(true).bind("nick1").fetch_all(&mut *db).await?;
    tell("update", updated);
    let text = "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3) \
                ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, \
                nickname = EXCLUDED.nickname RETURNING family_name, nickname, age";
    let upserted: Vec<(String, String, i32)> =
        sqlx::query_as(text).bind(number(2)).bind("Changed").bind("other").fetch_all(&mut *db).await?;
    tell("upsert", upserted);
    let text = "DELETE FROM citizen WHERE token = $1 RETURNING citizen_id";
    tell("delete", ids(db, sqlx::query(text).bind(citizen(110).token)).await?);
    Ok(())
}

async fn nickname(db: &mut PgConnection) -> Result<String, Error> {
    sqlx::query_scalar("SELECT nickname FROM citizen WHERE national_number = $1").bind(number(1)).fetch_one(db).await
}

async fn transactions(db: &mut PgConnection) -> Result<(), Error> {
    let mut outer = db.begin().await?;
    outer.execute("UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'").await?;
    let mut inner = outer.begin().await?;
    let error = insert(citizen(2)).execute(&mut *inner).await.err().and_then(|error| error.into_database_error());
    tell("unique", error.map(|error| (error.code().map(|code| code.into_owned()), error.constraint().map(str::to_owned))));
    inner.rollback().await?;
    tell("savepoint", nickname(&mut outer).await?);
    outer.rollback().await?;
    tell("rollback", nickname(db).await?);
    if var("DRIVER_SIDE").is_ok_and(|side| side == "gateway") {
        let refused = db.fetch_all("SELECT citizen_id FROM citizen ORDER BY family_name").await;
        let error = refused.err().and_then(|error| error.into_database_error()).unwrap();
        let postgres = error.downcast_ref::<sqlx::postgres::PgDatabaseError>();
        println!("gateway refuses | {} | {} a hint", postgres.code(), postgres.hint().map_or("without", |_| "with"));
    }
    tell("goes on", ids(db, sqlx::query("SELECT citizen_id FROM citizen WHERE age = $1 ORDER BY 1").bind(1)).await?);
    Ok(())
}

async fn streams(pool: &PgPool) -> Result<(), Error> {
    let mut copy = pool.copy_in_raw("COPY permit FROM STDIN").await?;
    for n in 1000..3000 {
        copy.send(format!("{n}\t{}\tcopy\tremark {n}\n", number(1)).into_bytes()).await?;
    }
    tell("copy in", copy.finish().await?);
    let text = "SELECT permit_id, remark FROM permit WHERE kind = $1 ORDER BY permit_id";
    let rows: Vec<PgRow> = sqlx::query(text).bind("copy").fetch_all(pool).await?;
    tell("stream", rows.iter().map(|row| row.get::<String, _>("remark")).collect::<Vec<_>>());
    Ok(())
}

async fn concurrent(pool: &PgPool) -> Result<(), Error> {
    let tasks: Vec<_> = (500..508)
        .map(|me| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut found = Vec::new();
                insert(citizen(me)).execute(&pool).await?;
                for round in 0..5 {
                    let update = sqlx::query("UPDATE citizen SET account = $1 WHERE national_number = $2");
                    update.bind(i64::from(me * round)).bind(number(me)).execute(&pool).await?;
                    let text = "SELECT nickname, account FROM citizen WHERE token = $1";
                    let row: (String, i64) = sqlx::query_as(text).bind(citizen(me).token).fetch_one(&pool).await?;
                    found.push(row);
                }
                Ok::<_, Error>(found)
            })
        })
        .collect();
    for task in tasks {
        tell("concurrent", task.await.unwrap()?);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let options = PgConnectOptions::new().options([("timezone", "UTC")]);
    let mut db = PgConnection::connect_with(&options).await?;
    writing(&mut db).await?;
    lookups(&mut db).await?;
    changes(&mut db).await?;
    transactions(&mut db).await?;
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await?;
    streams(&pool).await?;
    concurrent(&pool).await?;
    let canary = var("DRIVER_CANARY").unwrap();
    let text = "INSERT INTO permit VALUES (900001, NULL, 'canary', $1) RETURNING remark";
    let planted: String = sqlx::query_scalar(text).bind(&canary).fetch_one(&mut db).await?;
    tell("plant", planted == canary);
    let wrong = PgConnection::connect_with(&options.password("wrong")).await.err();
    tell("wrong password", wrong.and_then(|e| e.into_database_error()).and_then(|e| e.code().map(|c| c.into_owned())));
    tell("done", ());
    Ok(())
}
