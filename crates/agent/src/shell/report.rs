//! Errors and warnings as people read them: what, its code, the rule, what to do next. Each once.

use std::fmt;
use std::path::Path;

use wire::ProblemReason;

use super::ShellError;
use super::error::reason;
use crate::core::config::{ConfigError, Mistake};

/// Where the settings are explained.
const SETTINGS: &str = "see the table of settings in docs/instance-owners.md";

/// What was found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What must be mended.
    pub errors: Vec<ProblemReason>,
    /// What should be.
    pub warnings: Vec<ProblemReason>,
}

impl Report {
    /// Whether nothing must be mended.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn error(&mut self, code: &str, detail: String, hint: &str) {
        self.errors.push(reason(code, "CLI", detail, hint));
    }

    pub(super) fn warning(&mut self, code: &str, detail: String, hint: &str) {
        self.warnings.push(reason(code, "CLI", detail, hint));
    }

    pub(super) fn mistakes(&mut self, path: &Path, mistakes: &[Mistake]) {
        for mistake in mistakes {
            self.error("settings", format!("{}: {mistake}", path.display()), SETTINGS);
        }
    }

    /// Settings that cannot be parsed.
    #[must_use]
    pub fn of_settings(path: &Path, error: &ConfigError) -> Self {
        let mut report = Self::default();
        match error {
            ConfigError::Form(error) => {
                report.error(
                    "settings",
                    format!("{}: {}", path.display(), error.to_string().trim_end()),
                    SETTINGS,
                );
            }
            ConfigError::Values(mistakes) => report.mistakes(path, mistakes),
        }
        report
    }

    /// Settings that cannot be read.
    #[must_use]
    pub fn of_file(path: &Path, error: std::io::Error) -> Self {
        ShellError::file(path, "read the settings")(error).into()
    }
}

impl From<ShellError> for Report {
    fn from(error: ShellError) -> Self {
        Self { errors: error.reasons(), warnings: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.errors.iter().map(|reason| ("error", reason));
        let all = errors.chain(self.warnings.iter().map(|reason| ("warning", reason)));
        for (index, (kind, ProblemReason { code, rule, detail, hint })) in all.enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{kind}: {detail}\n  code: {code}")?;
            if !rule.is_empty() {
                write!(f, "\n  rule: {rule}")?;
            }
            if !hint.is_empty() {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::ClientError;

    #[test]
    fn an_error_is_told_once_with_code_rule_and_hint() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = ShellError::file("/a/b", "read")(missing);
        assert!(std::error::Error::source(&error).is_none(), "its text holds the cause already");
        let text = Report::from(error).to_string();
        assert_eq!(text.matches("entity not found").count(), 1, "{text}");
        assert!(
            text.starts_with(
                "error: /a/b: cannot read: entity not found\n  code: file\n  rule: CLI\n  hint: "
            )
        );
        let problem = wire::Problem::new(403, "enrolment-used", "HS-1", "it was used", "ask for another");
        let refused = ClientError::Refused { problem: Box::new(problem), retry_after_seconds: None };
        assert_eq!(
            Report::from(ShellError::Call(refused)).to_string(),
            "error: it was used\n  code: enrolment-used\n  rule: HS-1\n  hint: ask for another"
        );
    }
}
