//! `drieslot explain`: asks a gateway what it would do with a statement, by EXPLAIN (DRIESLOT).

use anyhow::Result;
use tokio_postgres::SimpleQueryMessage;

use crate::application::{Application, refused};
use crate::command::ExplainArgs;

pub(crate) async fn explain(args: &ExplainArgs) -> Result<()> {
    let application = Application {
        host: args.host.clone(),
        port: args.port,
        role: args.role.clone(),
        password_file: args.password_file.clone(),
        root: args.root.clone(),
    };
    let client = application.connect(&args.database).await?;
    let text = format!("EXPLAIN (DRIESLOT) {}", args.sql);
    for message in client.simple_query(&text).await.map_err(|error| refused(&error))? {
        if let SimpleQueryMessage::Row(row) = message {
            println!("{}", row.get(0).unwrap_or_default());
        }
    }
    Ok(())
}
