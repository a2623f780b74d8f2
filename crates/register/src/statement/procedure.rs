//! Procedures whose every step is a statement that takes the place of the one before: legal orders and incidents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::{Document, check_documents, check_once, check_past};
use super::words::{check_filled, check_name};

/// An authority's demand for data, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among orders.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Who demands.
    pub authority: String,
    /// Of which country: two capitals, as ISO 3166 has them.
    pub country: String,
    /// The authority's own number.
    pub reference: String,
    /// What is demanded, in one line, without a citizen's name.
    pub demands: String,
    /// RFC 3339.
    pub received: Timestamp,
    /// Until when nobody concerned may be told, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_until: Option<Timestamp>,
    /// How far it is.
    pub stage: OrderStage,
    /// The reason; at every stage but the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The mandate that it is carried out by, where it is granted or delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandate: Option<String>,
    /// The order itself, and what was written since.
    pub document: Vec<Document>,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStage {
    /// It lies here.
    Received,
    /// The head carries it out.
    Granted,
    /// What was granted was handed over.
    Delivered,
    /// The head does not carry it out.
    Refused,
    /// There is nothing readable to hand over.
    CannotDeliver,
    /// The authority asks no more.
    Withdrawn,
}

impl OrderStage {
    /// The stages that may come after it.
    fn next(self) -> &'static [Self] {
        match self {
            Self::Received => &[Self::Received, Self::Granted, Self::Refused, Self::CannotDeliver, Self::Withdrawn],
            Self::Granted => &[Self::Granted, Self::Delivered, Self::Refused, Self::CannotDeliver, Self::Withdrawn],
            Self::Delivered | Self::Refused | Self::CannotDeliver | Self::Withdrawn => &[],
        }
    }
}

/// Something went wrong, or an exercise says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// The controller's name in the charter.
    pub tenant: String,
    /// Short name, unique among incidents.
    pub id: String,
    /// When it was written, RFC 3339.
    pub issued: Timestamp,
    /// The step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What happened, in one line, without a citizen's name.
    pub what: String,
    /// From when on the authority's 72 hours count, RFC 3339.
    pub detected: Timestamp,
    /// An exercise, told to nobody outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exercise: bool,
    /// Of what kind.
    pub breach: Vec<Breach>,
    /// Whose data: such as `newcomers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_categories: Vec<String>,
    /// Which data: such as `names`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_categories: Vec<String>,
    /// How many persons, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// How many records, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Whether the data were unintelligible to whoever came by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unintelligible: Option<bool>,
    /// For the persons, once it has been assessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// What is likely to follow from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consequences: Option<String>,
    /// What was done, and will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<String>,
    /// When the supervisory authority was told, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_told: Option<Timestamp>,
    /// When the persons were told, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects_told: Option<Timestamp>,
    /// When it was over, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
    /// What was written about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document: Vec<Document>,
}

/// The kinds of a personal data breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breach {
    /// Somebody saw, or may have seen, what they must not.
    Confidentiality,
    /// Data were changed.
    Integrity,
    /// Data were lost, or could not be reached.
    Availability,
}

/// For the rights and freedoms of persons, as articles 33 and 34 of the GDPR tell risks apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nobody needs to be told.
    Unlikely,
    /// The authority is told.
    Likely,
    /// The persons are told too.
    High,
}

impl Order {
    pub(super) fn check(&self) -> Result<(), String> {
        check_filled("authority", &self.authority)?;
        check_filled("reference", &self.reference)?;
        check_filled("demands", &self.demands)?;
        if self.country.len() != 2 || !self.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("country `{}` must be two capitals, such as BE", self.country));
        }
        check_past("received", self.received, self.issued)?;
        check_documents(&self.document)?;
        if self.document.is_empty() {
            return Err("the order itself is missing: add [[document]] with its name and sha256".into());
        }
        self.why.as_deref().map_or(Ok(()), |why| check_filled("why", why))?;
        let by_mandate = matches!(self.stage, OrderStage::Granted | OrderStage::Delivered);
        if by_mandate != self.mandate.is_some() {
            return Err(
                "`mandate` says by which one an order is granted or delivered, and belongs to these alone".into()
            );
        }
        self.mandate.as_deref().map_or(Ok(()), |id| check_name("mandate", id))?;
        match (self.stage, &self.replaces, &self.why) {
            (OrderStage::Received, _, _) | (_, Some(_), Some(_)) => Ok(()),
            (_, None, _) => Err("an order is `received` first: write replaces = with the id of that statement".into()),
            (_, Some(_), None) => Err("why is missing".into()),
        }
    }

    /// Whether this may be the step after `earlier`.
    pub(crate) fn follows(&self, earlier: &Self) -> Result<(), String> {
        let same = |one: &Self| (one.authority.clone(), one.country.clone(), one.reference.clone(), one.received);
        if same(self) != same(earlier) {
            return Err("authority, country, reference and received of an order stay as they were".into());
        }
        if !earlier.stage.next().contains(&self.stage) {
            return Err(format!("order `{}` is at a stage that this one does not follow", earlier.id));
        }
        match self.stage == OrderStage::Delivered && self.mandate != earlier.mandate {
            true => Err("an order is delivered by the mandate that it was granted by".into()),
            false => Ok(()),
        }
    }
}

impl Incident {
    pub(super) fn check(&self) -> Result<(), String> {
        check_filled("what", &self.what)?;
        check_past("detected", self.detected, self.issued)?;
        check_once("breach", self.breach.iter())?;
        if self.breach.is_empty() {
            return Err("breach is empty: confidentiality, integrity or availability".into());
        }
        let lines = self.subject_categories.iter().chain(&self.data_categories);
        for line in lines.chain(&self.consequences).chain(&self.measures) {
            check_filled("a line of an incident", line)?;
        }
        for (field, time) in
            [("authority_told", self.authority_told), ("subjects_told", self.subjects_told), ("closed", self.closed)]
        {
            let Some(time) = time else { continue };
            check_past(field, time, self.issued)?;
            if time < self.detected {
                return Err(format!("{field} must not be earlier than detected"));
            }
        }
        check_documents(&self.document)?;
        match self.closed {
            Some(_) => self.check_closed(),
            None => Ok(()),
        }
    }

    /// Article 33 of the GDPR wants facts, effects and remedy documented, and the authority told unless a risk is unlikely.
    fn check_closed(&self) -> Result<(), String> {
        let (Some(risk), Some(_), Some(_), Some(_)) =
            (self.risk, &self.consequences, &self.measures, self.unintelligible)
        else {
            return Err("what is closed says unintelligible, risk, consequences and measures".into());
        };
        match risk {
            Risk::Likely | Risk::High if self.authority_told.is_none() && !self.exercise => {
                Err("with such a risk the authority is told before it is closed: authority_told is missing".into())
            }
            Risk::Unlikely | Risk::Likely | Risk::High => Ok(()),
        }
    }

    /// Whether this may be the step after `earlier`: what was told stays told.
    pub(crate) fn follows(&self, earlier: &Self) -> Result<(), String> {
        if earlier.closed.is_some() {
            return Err(format!("incident `{}` is closed: open a new one", earlier.id));
        }
        if (self.detected, self.exercise) != (earlier.detected, earlier.exercise) {
            return Err("detected and exercise of an incident stay as they were".into());
        }
        let kept = |before: Option<Timestamp>, now| before.is_none() || before == now;
        match kept(earlier.authority_told, self.authority_told) && kept(earlier.subjects_told, self.subjects_told) {
            true => Ok(()),
            false => Err("authority_told and subjects_told stay as they were said".into()),
        }
    }
}
