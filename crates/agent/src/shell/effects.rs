//! Carries out the effects that the plan asks for, and says how each went.

use std::ffi::OsString;

use client::{ClientError, Source as _};
use governance::{Span, Version};
use wire::{UpgradeBegin, UpgradeFinish, UpgradeOutcome};

use super::agent::Agent;
use super::{ShellError, download, hooks};
use crate::core::journal::{Attempt, Installed, Step};
use crate::core::offer::word;
use crate::core::plan::{Effect, Outcome};

impl Agent {
    pub(super) async fn perform(&mut self, effect: Effect, attempt: &Attempt) -> Outcome {
        match effect {
            Effect::Download => self.download(attempt).await,
            Effect::Begin => self.begin(attempt).await,
            Effect::Bind => self.bind(attempt).await,
            Effect::CheckHealth => self.health(Some(attempt)).await,
            Effect::ReportSuccess => self.report_success(attempt).await,
            Effect::RollBack => self.roll_back(attempt).await,
            Effect::ReportFailure => self.report_failure(attempt).await,
        }
    }

    async fn download(&self, attempt: &Attempt) -> Outcome {
        let (folder, release) = (self.folder.path(), attempt.release());
        match download::fetch(&self.trust.public, &self.slots, folder, release, &attempt.package).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Unreachable(error.to_string()),
        }
    }

    async fn begin(&mut self, attempt: &Attempt) -> Outcome {
        let body = UpgradeBegin { release: attempt.release(), directive_serial: attempt.serial };
        let answer = self.client.upgrade_begin(self.identity.instance, &body).await;
        self.heard(answer)
    }

    async fn bind(&self, attempt: &Attempt) -> Outcome {
        let _busy = self.busy.lock().await;
        let release = attempt.release();
        if let Err(error) = download::verify(self.slots.package(release), attempt.package.clone()).await {
            return Outcome::Failed(error.to_string());
        }
        if let Err(error) = self.slots.switch(release) {
            return Outcome::Failed(error.to_string());
        }
        let environment = self.environment(attempt, release);
        match hooks::run(&self.folder, &self.config.hooks.bind, &environment, self.config.hooks.timeout).await
        {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    async fn roll_back(&self, attempt: &Attempt) -> Outcome {
        let _busy = self.busy.lock().await;
        let previous = attempt.previous;
        if let Err(error) = self.slots.switch(previous) {
            return Outcome::Failed(error.to_string());
        }
        let environment = self.environment(attempt, previous);
        let hook = &self.config.hooks;
        if let Err(error) = hooks::run(&self.folder, &hook.rollback, &environment, hook.timeout).await {
            tracing::warn!(%error, "the rollback hook failed");
            return Outcome::Failed(error.to_string());
        }
        let since = self.source.now();
        loop {
            let outcome = self.health(Some(attempt)).await;
            if outcome == Outcome::Running(previous) {
                return Outcome::Done;
            }
            let now = self.source.now();
            if now.since(since) >= self.timing.start_within || now < since {
                tracing::warn!(?outcome, %previous, "went back, and the earlier version is not seen running");
                return Outcome::Failed(format!("{previous} is not seen running: {outcome:?}"));
            }
            tokio::time::sleep(duration(self.timing.health_every)).await;
        }
    }

    /// Asks the health hook which version runs.
    pub(super) async fn health(&self, attempt: Option<&Attempt>) -> Outcome {
        let environment =
            attempt.map(|attempt| self.environment(attempt, attempt.release())).unwrap_or_default();
        let hook = &self.config.hooks;
        match hooks::run(&self.folder, &hook.health, &environment, hook.timeout).await {
            Ok(text) => {
                let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
                last.parse().map_or_else(
                    |_| Outcome::Failed(format!("no version but `{last:.60}`")),
                    Outcome::Running,
                )
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    async fn report_success(&mut self, attempt: &Attempt) -> Outcome {
        if !self.statements.pending_says(&attempt.target) {
            // An older statement is still on its way: the chain has no gaps (ID-4).
            match self.report_pending().await {
                Ok(()) => {}
                Err(ShellError::Call(error)) => return self.heard(Err(error)),
                Err(error) => return Outcome::Unreachable(error.to_string()),
            }
        }
        let statement = match self.statement(&attempt.target) {
            Ok(statement) => statement,
            Err(error) => return Outcome::Unreachable(error.to_string()),
        };
        let body = UpgradeFinish {
            release: attempt.release(),
            outcome: UpgradeOutcome::Succeeded,
            reason: None,
            statement: Some(statement),
        };
        let answer = self.client.upgrade_finish(self.identity.instance, &body).await;
        if answer.is_ok()
            && let Err(error) = self.statements.acknowledge(&self.folder)
        {
            return Outcome::Unreachable(error.to_string());
        }
        self.heard(answer)
    }

    async fn report_failure(&mut self, attempt: &Attempt) -> Outcome {
        let reason = match self.journal.upgrade.as_ref().map(|upgrade| &upgrade.at) {
            Some(Step::RolledBack { reason, clean: true }) => reason.clone(),
            Some(Step::RolledBack { reason, clean: false }) => format!("{reason}; going back failed as well"),
            _ => String::new(),
        };
        let body = UpgradeFinish {
            release: attempt.release(),
            outcome: UpgradeOutcome::Failed,
            reason: Some(reason),
            statement: None,
        };
        let answer = self.client.upgrade_finish(self.identity.instance, &body).await;
        self.heard(answer)
    }

    /// What the plane's answer means for the plan; a good answer carries the next directive.
    fn heard(&mut self, answer: Result<wire::Standing, ClientError>) -> Outcome {
        match answer {
            Ok(standing) => {
                self.standing = Some(standing);
                Outcome::Done
            }
            Err(error) if error.is_final() => {
                let why = told(&error);
                tracing::warn!(why, "the plane refused");
                Outcome::Refused(why)
            }
            Err(error) => {
                self.notice(&error);
                Outcome::Unreachable(told(&error))
            }
        }
    }

    /// What hooks are told. Slot and package are those of the version that should run afterwards.
    fn environment(&self, attempt: &Attempt, wanted: Version) -> Vec<(&'static str, OsString)> {
        vec![
            ("FEDPLANE_RELEASE", attempt.release().to_string().into()),
            ("FEDPLANE_PREVIOUS", attempt.previous.to_string().into()),
            ("FEDPLANE_ACTION", word(attempt.action).into()),
            ("FEDPLANE_FOLDER", self.folder.path().into()),
            ("FEDPLANE_SLOT", self.slots.slot(wanted).into()),
            ("FEDPLANE_PACKAGE", self.slots.package(wanted).into()),
        ]
    }

    /// What runs: as journalled, or, when going back failed, as the health hook names it.
    pub(super) async fn running(&self) -> Installed {
        let installed = self.journal.installed.clone();
        if !self.journal.doubt {
            return installed;
        }
        match self.health(None).await {
            Outcome::Running(platform) => Installed { platform, ..installed },
            _ => installed,
        }
    }
}

/// An error on one line: a refusal with its code and hint.
pub(super) fn told(error: &ClientError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

pub(super) fn duration(span: Span) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or_default())
}
