//! What one witness is told: each round's checkpoint, from the size that it knows, until it has cosigned it.

use std::sync::Arc;
use std::time::Duration;

use drieslot_journal::{Cosigner, JournalError, Note, Published, proof};
use tokio::sync::{mpsc, watch};

use crate::Submission;
use crate::client::Client;
use crate::policy::WitnessUrl;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A witness names the size that it knows, and is then asked from there.
const MAX_ATTEMPTS: usize = 4;

/// What a witness said to a checkpoint.
#[derive(Debug)]
pub(crate) enum Said {
    /// It cosigned: its signature line.
    Cosigned(String),
    /// It knows another history of this journal.
    Conflict(String),
    /// It did not cosign for another reason.
    Trouble(String),
}

/// What was said about a round's checkpoint, by which witness.
pub(crate) struct Report {
    pub(crate) cosigner: Cosigner,
    pub(crate) size: u64,
    pub(crate) said: Said,
}

/// A checkpoint that wants cosignatures, and which time it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) published: Arc<Published>,
}

/// One witness's task.
pub(crate) struct Feed {
    pub(crate) cosigner: Cosigner,
    pub(crate) client: Client,
    pub(crate) rounds: watch::Receiver<Option<Round>>,
    pub(crate) reports: mpsc::Sender<Report>,
    /// What it cosigned last, as far as is known here.
    known: u64,
    /// What it cosigned for this process.
    cosigned: u64,
}

impl Feed {
    pub(crate) fn new(
        cosigner: Cosigner,
        url: WitnessUrl,
        rounds: watch::Receiver<Option<Round>>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self { cosigner, client: Client::new(url), rounds, reports, known: 0, cosigned: 0 }
    }

    /// Until the rounds end.
    pub(crate) async fn run(mut self) {
        let (mut pause, mut done) = (FIRST_PAUSE, None);
        loop {
            let round = self.rounds.borrow_and_update().clone();
            let Some(round) = round.filter(|round| done != Some(round.number)) else {
                if self.rounds.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let said = self.submit(&round.published).await;
            let cosigned = matches!(said, Said::Cosigned(_));
            let report = Report { cosigner: self.cosigner.clone(), size: round.published.checkpoint().size, said };
            if self.reports.send(report).await.is_err() {
                return;
            }
            if cosigned {
                (pause, done) = (FIRST_PAUSE, Some(round.number));
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    async fn submit(&mut self, published: &Arc<Published>) -> Said {
        let size = published.checkpoint().size;
        let mut old = self.known.min(size);
        for _ in 0..MAX_ATTEMPTS {
            let prover = Arc::clone(published);
            let proved = tokio::task::spawn_blocking(move || prover.consistency_proof(old)).await;
            let proof = match proved {
                Ok(Ok(proof)) => proof,
                Ok(Err(error)) => return Said::Trouble(format!("this journal's tiles do not give a proof: {error}")),
                Err(_) => return Said::Trouble("this part is stopping".into()),
            };
            let body = Submission { old, proof, note: published.note() }.body();
            let (status, answer) = match self.client.add_checkpoint(body).await {
                Ok(answer) => answer,
                Err(why) => return Said::Trouble(why),
            };
            match status {
                200 => return self.cosigned(published, &answer),
                409 => match self.conflict(old, size, &answer) {
                    Ok(known) => old = known,
                    Err(said) => return said,
                },
                422 => return refused_proof(published, old).await,
                403 => return Said::Trouble("it does not know this journal's key (403): give it journal.vkey".into()),
                404 => return Said::Trouble("it does not know this journal (404): give it journal.vkey".into()),
                other => return Said::Trouble(format!("it answered {other}: {:.200}", answer.trim_end())),
            }
        }
        Said::Trouble("it names another size each time: does another process of this journal submit to it?".into())
    }

    fn cosigned(&mut self, published: &Published, lines: &str) -> Said {
        let whole = format!("{}{lines}", published.note());
        let verified = Note::parse(&whole).and_then(|note| note.cosigned_by(&self.cosigner));
        match verified {
            Ok(Some(_)) => {
                self.known = published.checkpoint().size;
                self.cosigned = self.known;
                let own = format!("\u{2014} {} ", self.cosigner.name());
                // Only its own line: others in the answer were not verified.
                let ours = lines.lines().filter(|line| line.starts_with(&own)).find(|line| {
                    let one = format!("{}{line}\n", published.note());
                    Note::parse(&one).and_then(|note| note.cosigned_by(&self.cosigner)).is_ok_and(|time| time.is_some())
                });
                ours.map_or_else(|| Said::Trouble("no cosignature".into()), |line| Said::Cosigned(format!("{line}\n")))
            }
            Ok(None) => Said::Trouble(format!("its answer holds no cosignature of {}", self.cosigner.vkey())),
            Err(error) => Said::Trouble(error.to_string()),
        }
    }

    /// A 409: the size to go on from, or that it knows another history.
    fn conflict(&mut self, old: u64, size: u64, answer: &str) -> Result<u64, Said> {
        let known: u64 = answer
            .trim_end()
            .parse()
            .map_err(|_| Said::Trouble(format!("it answered 409 without a size: {:.200}", answer.trim_end())))?;
        if known > size {
            return Err(Said::Conflict(format!(
                "it has cosigned {known} entries of this journal, which has {size} signed ones here"
            )));
        }
        if known == old {
            return Err(Said::Conflict(format!("it has cosigned another root of the first {known} entries")));
        }
        if known < self.cosigned {
            tracing::error!(
                witness = self.cosigner.name(),
                known,
                cosigned = self.cosigned,
                "a witness forgot what it cosigned: its state was put back or lost; tell who runs it, and replace it in the charter"
            );
            self.cosigned = known;
        }
        self.known = known;
        Ok(known)
    }
}

/// A 422. Where the proof holds by this journal's own tiles, the witness has cosigned something else.
async fn refused_proof(published: &Arc<Published>, old: u64) -> Said {
    let prover = Arc::clone(published);
    let own = tokio::task::spawn_blocking(move || {
        let (root, path) = (prover.root_of(old)?, prover.consistency_proof(old)?);
        let new = prover.checkpoint();
        Ok::<_, JournalError>(proof::consistent(old, new.size, &root, &new.root, &path))
    });
    match own.await {
        Ok(Ok(true)) => Said::Conflict(format!("it has cosigned another root of the first {old} entries")),
        Ok(Ok(false)) => {
            Said::Conflict("this journal's own tiles are not those of its checkpoint: verify the journal".into())
        }
        Ok(Err(error)) => Said::Trouble(format!("this journal's tiles do not give a proof: {error}")),
        Err(_) => Said::Trouble("this part is stopping".into()),
    }
}
