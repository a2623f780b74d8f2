//! Statements: the TOML texts that people sign, and what can be checked of one text alone.
//!
//! Refuses unknown kinds and unknown fields. Whether a statement may enter the register is asked of the state.

mod charter;
mod classification;
mod evidence;
mod hours;
mod officers;
mod procedure;
mod rotation;
mod witnesses;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Operation, Refusal};
use drieslot_schema::Mask;

pub(crate) use charter::read_key;
pub use charter::{Charter, CustodianPart, GatewayPart, Person, Quorum, RegisterPart, UsagePart};
pub(crate) use classification::table_id;
pub use classification::{Classification, ColumnEntry, ProtectionWord, TableEntry, UnlistedWord};
pub use evidence::{Approval, Attestation, Decision, Document, Exit, ExitEvent, Finding, Phase};
pub use hours::{Day, Hours, TimeOfDay};
pub use officers::{Denial, Denied, NewOfficer, Officers};
pub use procedure::{Breach, Incident, Order, OrderStage, Risk};
pub use rotation::{DomainPolicy, EndedEpoch, KeyPolicy, NewEpoch, Retirement, Rotation};
pub use witnesses::WitnessPart;
pub use words::{Duty, Function, Hex32, HexError, Kind, check_name};

/// A mandate: who may do what to which columns, why, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mandate {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among mandates.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The mandate that ends when this one takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Database role.
    pub principal: String,
    /// Database.
    pub database: String,
    /// One of the charter's purposes.
    pub purpose: String,
    /// The law or agreement it rests on.
    pub legal_basis: String,
    /// Not before, RFC 3339.
    pub valid_from: Timestamp,
    /// Not at or after, RFC 3339.
    pub valid_until: Timestamp,
    /// Most rows that one statement may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_statement: Option<u64>,
    /// Who asked for it; where that is an officer, they may not approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// When it holds within that time; always where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// What must be known of the person that the application acts for.
    #[serde(default, skip_serializing_if = "EndUserDemand::is_none")]
    pub end_user: EndUserDemand,
    /// Where there are any, one of them must fit a verified end user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end_user_claim: Vec<EndUserClaim>,
    /// Id of the legal order that it is signed for, where those concerned may not be told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// With `order`: when those concerned are told of what was looked at under it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclose_after: Option<Timestamp>,
    /// What is granted.
    pub grant: Vec<Grant>,
}

/// What must be known of the end user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndUserDemand {
    /// Nothing.
    #[default]
    None,
    /// Who it is, as the application says.
    Asserted,
    /// Who it is, by a token that the gateway has verified.
    Verified,
}

impl EndUserDemand {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What an end user's token must say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndUserClaim {
    /// Who issued it.
    pub issuer: String,
    /// A claim, such as `groups`.
    pub claim: String,
    /// It has one of these values, or is a list with one of them.
    pub values: Vec<String>,
}

/// Operations on columns of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `schema.table`, or a table of `public`.
    pub table: String,
    /// Names.
    pub columns: Vec<String>,
    /// What may be done with each of them.
    pub operations: Vec<Operation>,
    /// What `read_masked` leaves of their values: `first N`, `last N`, or `year`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

impl Grant {
    /// What becomes of the values that come out; `None` where they come whole, or not at all.
    pub fn shown(&self) -> Result<Option<Mask>, String> {
        let (table, has) = (&self.table, |operation| self.operations.contains(&operation));
        let ways = [Operation::Read, Operation::ReadMasked, Operation::ReadToken].into_iter().filter(|one| has(*one));
        if ways.count() > 1 {
            return Err(format!(
                "the grant on {table} has several of read, read_masked and read_token: write one of them"
            ));
        }
        match &self.mask {
            Some(mask) if has(Operation::ReadMasked) => mask.parse().map(Some),
            Some(_) => Err(format!("the grant on {table} has a mask, and not the operation read_masked")),
            None if has(Operation::ReadMasked) => {
                Err(format!("the grant on {table} is of read_masked: add mask = \"last 3\" or another"))
            }
            None => Ok(has(Operation::ReadToken).then_some(Mask::Token)),
        }
    }
}

/// Ends a mandate at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among revocations.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// Id of the mandate.
    pub mandate: String,
    /// The reason.
    pub why: String,
}

/// The values by which a domain's key and its three shares are known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCheck {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among key-checks.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The domain.
    pub domain: String,
    /// The generation of its key.
    pub epoch: u16,
    /// Of the combined key.
    pub key_check: Hex32,
    /// Of each share.
    pub shares: ShareChecks,
}

/// One check value for each function's share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareChecks {
    /// Of structure.
    pub structure: Hex32,
    /// Of access.
    pub access: Hex32,
    /// Of keys.
    pub keys: Hex32,
}

impl ShareChecks {
    /// Of one function.
    pub fn of(&self, function: Function) -> Hex32 {
        match function {
            Function::Structure => self.structure,
            Function::Access => self.access,
            Function::Keys => self.keys,
        }
    }
}

/// Any statement. Written with [`Statement::to_text`], read with [`Statement::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Statement {
    /// The first statement of a register.
    Charter(Charter),
    /// Data class and protection of every column of a database.
    Classification(Classification),
    /// Who may do what.
    Mandate(Mandate),
    /// The end of a mandate.
    Revocation(Revocation),
    /// A domain key's check values.
    KeyCheck(KeyCheck),
    /// How old an epoch may be.
    KeyPolicy(KeyPolicy),
    /// The opening of a new epoch.
    Rotation(Rotation),
    /// The end of an old one.
    Retirement(Retirement),
    /// A change of a function's officers.
    Officers(Officers),
    /// One officer's no to a statement that waits.
    Denial(Denial),
    /// The head's decision.
    Approval(Approval),
    /// One person's word on a criterion.
    Attestation(Attestation),
    /// A step of a legal order.
    Order(Order),
    /// A step of an incident.
    Incident(Incident),
    /// The report of a move, a drill of one, or an export.
    Exit(Exit),
}

impl Statement {
    /// Reads a text and checks what can be checked of it alone.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let statement: Self = toml::from_str(text).map_err(|error| Refusal::Malformed(error.to_string()))?;
        statement.check().map_err(Refusal::Malformed)?;
        Ok(statement)
    }

    /// The text, to be shown, signed and submitted as it is.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] where [`Statement::parse`] would refuse it.
    pub fn to_text(&self) -> Result<String, Refusal> {
        self.check().map_err(Refusal::Malformed)?;
        toml::to_string(self).map_err(|error| Refusal::Malformed(error.to_string()))
    }

    /// Which kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Charter(_) => Kind::Charter,
            Self::Classification(_) => Kind::Classification,
            Self::Mandate(_) => Kind::Mandate,
            Self::Revocation(_) => Kind::Revocation,
            Self::KeyCheck(_) => Kind::KeyCheck,
            Self::KeyPolicy(_) => Kind::KeyPolicy,
            Self::Rotation(_) => Kind::Rotation,
            Self::Retirement(_) => Kind::Retirement,
            Self::Officers(_) => Kind::Officers,
            Self::Denial(_) => Kind::Denial,
            Self::Approval(_) => Kind::Approval,
            Self::Attestation(_) => Kind::Attestation,
            Self::Order(_) => Kind::Order,
            Self::Incident(_) => Kind::Incident,
            Self::Exit(_) => Kind::Exit,
        }
    }

    /// Its short name, unique among statements of its kind.
    pub fn id(&self) -> &str {
        match self {
            Self::Charter(statement) => &statement.id,
            Self::Classification(statement) => &statement.id,
            Self::Mandate(statement) => &statement.id,
            Self::Revocation(statement) => &statement.id,
            Self::KeyCheck(statement) => &statement.id,
            Self::KeyPolicy(statement) => &statement.id,
            Self::Rotation(statement) => &statement.id,
            Self::Retirement(statement) => &statement.id,
            Self::Officers(statement) => &statement.id,
            Self::Denial(statement) => &statement.id,
            Self::Approval(statement) => &statement.id,
            Self::Attestation(statement) => &statement.id,
            Self::Order(statement) => &statement.id,
            Self::Incident(statement) => &statement.id,
            Self::Exit(statement) => &statement.id,
        }
    }

    /// The controller's name.
    pub fn tenant(&self) -> &str {
        match self {
            Self::Charter(statement) => &statement.tenant,
            Self::Classification(statement) => &statement.tenant,
            Self::Mandate(statement) => &statement.tenant,
            Self::Revocation(statement) => &statement.tenant,
            Self::KeyCheck(statement) => &statement.tenant,
            Self::KeyPolicy(statement) => &statement.tenant,
            Self::Rotation(statement) => &statement.tenant,
            Self::Retirement(statement) => &statement.tenant,
            Self::Officers(statement) => &statement.tenant,
            Self::Denial(statement) => &statement.tenant,
            Self::Approval(statement) => &statement.tenant,
            Self::Attestation(statement) => &statement.tenant,
            Self::Order(statement) => &statement.tenant,
            Self::Incident(statement) => &statement.tenant,
            Self::Exit(statement) => &statement.tenant,
        }
    }

    /// When it was written.
    pub fn issued(&self) -> Timestamp {
        match self {
            Self::Charter(statement) => statement.issued,
            Self::Classification(statement) => statement.issued,
            Self::Mandate(statement) => statement.issued,
            Self::Revocation(statement) => statement.issued,
            Self::KeyCheck(statement) => statement.issued,
            Self::KeyPolicy(statement) => statement.issued,
            Self::Rotation(statement) => statement.issued,
            Self::Retirement(statement) => statement.issued,
            Self::Officers(statement) => statement.issued,
            Self::Denial(statement) => statement.issued,
            Self::Approval(statement) => statement.issued,
            Self::Attestation(statement) => statement.issued,
            Self::Order(statement) => statement.issued,
            Self::Incident(statement) => statement.issued,
            Self::Exit(statement) => statement.issued,
        }
    }

    /// When it is valid no more, where it says so.
    pub fn valid_until(&self) -> Option<Timestamp> {
        match self {
            Self::Mandate(statement) => Some(statement.valid_until),
            Self::Approval(statement) => Some(statement.valid_until),
            Self::Attestation(statement) => Some(statement.valid_until),
            Self::Charter(_)
            | Self::Classification(_)
            | Self::Revocation(_)
            | Self::KeyCheck(_)
            | Self::KeyPolicy(_)
            | Self::Rotation(_)
            | Self::Retirement(_)
            | Self::Officers(_)
            | Self::Denial(_)
            | Self::Order(_)
            | Self::Incident(_)
            | Self::Exit(_) => None,
        }
    }

    fn check(&self) -> Result<(), String> {
        words::check_name("id", self.id())?;
        words::check_name("tenant", self.tenant())?;
        match self {
            Self::Charter(charter) => charter.check(),
            Self::Classification(classification) => classification.to_schema().map(|_| ()),
            Self::Mandate(mandate) => mandate.check(),
            Self::Revocation(revocation) => words::check_filled("why", &revocation.why),
            Self::KeyCheck(check) => words::check_filled("domain", &check.domain),
            Self::KeyPolicy(policy) => policy.check(),
            Self::Rotation(rotation) => rotation.check(),
            Self::Retirement(retirement) => retirement.check(),
            Self::Officers(change) => change.check(),
            Self::Denial(denial) => denial.check(),
            Self::Approval(approval) => approval.check(),
            Self::Attestation(attestation) => attestation.check(),
            Self::Order(order) => order.check(),
            Self::Incident(incident) => incident.check(),
            Self::Exit(exit) => exit.check(),
        }
    }
}

impl Mandate {
    fn check(&self) -> Result<(), String> {
        words::check_filled("principal", &self.principal)?;
        words::check_filled("database", &self.database)?;
        words::check_filled("legal_basis", &self.legal_basis)?;
        if self.valid_until <= self.valid_from {
            return Err("valid_until must be later than valid_from".into());
        }
        self.hours.iter().try_for_each(Hours::check)?;
        if self.order.is_some() != self.disclose_after.is_some() {
            return Err(
                "order and disclose_after belong together: which order, and until when it keeps looks secret".into()
            );
        }
        self.order.as_deref().map_or(Ok(()), |order| words::check_name("order", order))?;
        if !self.end_user_claim.is_empty() && self.end_user != EndUserDemand::Verified {
            return Err("end_user_claim is of verified end users only: write end_user = \"verified\"".into());
        }
        for claim in &self.end_user_claim {
            words::check_filled("issuer", &claim.issuer)?;
            words::check_filled("claim", &claim.claim)?;
            if claim.values.is_empty() {
                return Err(format!("the claim `{}` of an end user needs at least one value", claim.claim));
            }
        }
        if self.grant.is_empty() {
            return Err("a mandate grants at least one column: add [[grant]]".into());
        }
        for grant in &self.grant {
            table_id(&grant.table)?;
            grant.shown()?;
            if grant.columns.is_empty() || grant.operations.is_empty() {
                return Err(format!("the grant on {} names no columns or no operations", grant.table));
            }
        }
        Ok(())
    }
}
