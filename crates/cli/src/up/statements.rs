//! The statements of a trial: its charter, its classification and its mandate, as texts to be signed.

use anyhow::{Context, Result};
use drieslot_register::Operation;
use drieslot_register::statement::{
    Charter, Classification, ColumnEntry, EndUserDemand, Grant, Mandate, ProtectionWord, Statement, TableEntry,
    UnlistedWord,
};
use drieslot_schema::Protection;
use jiff::{SignedDuration, Timestamp};

use crate::failure::failure;
use crate::suggest::{SuggestedColumn, Suggestion};

pub(crate) const TENANT: &str = "trial-agency";
pub(crate) const PRINCIPAL: &str = "app";
pub(crate) const PURPOSE: &str = "integration-course";
const VALID: SignedDuration = SignedDuration::from_hours(24 * 365);

/// A statement as it is signed.
pub(crate) fn text(statement: &Statement) -> Result<String> {
    statement.to_text().map_err(|error| anyhow::anyhow!("the {} of the trial: {error}", statement.kind()))
}

/// The charter, checked.
pub(crate) fn charter(charter: Charter) -> Result<String> {
    text(&Statement::Charter(charter))
}

/// Every column of every table, as suggested; what is not listed is refused.
pub(crate) fn classification(suggestion: &Suggestion, database: &str, now: Timestamp) -> Classification {
    let table = suggestion.tables.iter().map(|table| TableEntry {
        schema: table.id.schema.clone(),
        name: table.id.table.clone(),
        unlisted_columns: UnlistedWord::Refuse,
        subject: table.subject.clone(),
        column: table.columns.iter().map(|column| entry(column, database)).collect(),
    });
    Classification {
        tenant: TENANT.into(),
        id: "columns-1".into(),
        issued: now,
        replaces: None,
        database: database.into(),
        unlisted_tables: UnlistedWord::Refuse,
        table: table.collect(),
    }
}

fn entry(column: &SuggestedColumn, database: &str) -> ColumnEntry {
    let (protection, ty, domain) = match &column.protected {
        None => (ProtectionWord::Plain, None, None),
        Some((ty, Protection::Sealed, _)) => (ProtectionWord::Sealed, Some(ty.to_string()), None),
        Some((ty, Protection::Exact, domain)) => {
            (ProtectionWord::Exact, Some(ty.to_string()), Some(format!("{database}.{domain}")))
        }
        Some((ty, Protection::Ordered, domain)) => {
            (ProtectionWord::Ordered, Some(ty.to_string()), Some(format!("{database}.{domain}")))
        }
    };
    ColumnEntry { name: column.name.clone(), class: column.class, protection, ty, search: column.search, domain }
}

/// Reads a classification that somebody wrote, and checks that it is of this trial.
pub(crate) fn read_classification(text: &str, database: &str) -> Result<Classification> {
    let parsed = Statement::parse(text).map_err(|error| {
        failure(error.to_string(), "see the classification that a trial without --classification writes")
    })?;
    let Statement::Classification(found) = parsed else {
        return Err(failure("it is another kind of statement", "its first line must be: kind = \"classification\""));
    };
    if found.tenant != TENANT || found.database != database {
        let what = format!("it is for tenant `{}` and database `{}`", found.tenant, found.database);
        return Err(failure(what, format!("a trial needs tenant = \"{TENANT}\" and database = \"{database}\"")));
    }
    Ok(found)
}

/// Everything that the application of a trial needs, on every protected column.
pub(crate) fn mandate(classification: &Classification, now: Timestamp) -> Result<Mandate> {
    let mut grant = Vec::new();
    for table in &classification.table {
        let columns = table.column.iter().filter(|column| column.protection != ProtectionWord::Plain);
        let columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
        if !columns.is_empty() {
            // On a sealed column a search is IS NULL, and nothing more.
            let operations = vec![Operation::Read, Operation::Write, Operation::Search];
            grant.push(Grant { table: format!("{}.{}", table.schema, table.name), columns, operations, mask: None });
        }
    }
    if grant.is_empty() {
        let what = format!("the classification of `{}` protects no column", classification.database);
        return Err(failure(what, "write a classification and name it with --classification"));
    }
    Ok(Mandate {
        tenant: TENANT.into(),
        id: "app-1".into(),
        issued: now,
        replaces: None,
        principal: PRINCIPAL.into(),
        database: classification.database.clone(),
        purpose: PURPOSE.into(),
        legal_basis: "a trial on one machine, with data about nobody".into(),
        valid_from: now,
        valid_until: now.checked_add(VALID).context("the mandate's end")?,
        rows_per_statement: None,
        requester: None,
        hours: Vec::new(),
        end_user: EndUserDemand::None,
        end_user_claim: Vec::new(),
        order: None,
        disclose_after: None,
        grant,
    })
}

#[cfg(test)]
mod tests {
    use drieslot_register::statement::Statement;
    use jiff::Timestamp;

    use super::{classification, mandate, read_classification, text};
    use crate::suggest::{Tables, suggest};

    #[test]
    fn suggestions_become_statements_that_the_register_reads_back() {
        let mut tables = Tables::default();
        for sql in crate::sample::TABLES {
            tables.read(sql).unwrap();
        }
        let mut suggestion = suggest(&tables);
        suggestion.also_seal(&tables, &crate::up::newcomers::ALSO_SEALED);
        let classification = classification(&suggestion, "newcomers", Timestamp::UNIX_EPOCH);
        let protected: Vec<_> = classification
            .to_schema()
            .unwrap()
            .protected()
            .map(|p| format!("{} {}", p.id.column, p.protection))
            .collect();
        let exact: Vec<_> = protected.iter().filter(|column| column.ends_with(" exact")).collect();
        assert_eq!(exact, ["email exact", "national_number exact", "national_number exact"]);
        assert!(protected.contains(&"score sealed".to_owned()) && protected.contains(&"note sealed".to_owned()));
        assert_eq!(protected.len(), 15, "{protected:?}");
        let written = text(&Statement::Classification(classification.clone())).unwrap();
        assert_eq!(read_classification(&written, "newcomers").unwrap(), classification);
        assert!(read_classification(&written, "other").is_err());
        assert!(read_classification("kind = \"x\"", "other").is_err());
        let mandate = mandate(&classification, Timestamp::UNIX_EPOCH).unwrap();
        assert!(text(&Statement::Mandate(mandate)).unwrap().contains("[[grant]]"));
    }
}
