//! Looks at the settings and at all that they name, and lists every mistake.
//!
//! Never changes anything, and calls nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use proof::RootKeys;

use super::report::Report;
use super::watch::SplitView;
use super::{ShellError, identity};
use crate::core::config::{Config, Secret};

/// Bytes of the file with the root keys.
const ROOT_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the file with the enrolment secret.
const SECRET_BYTES_MAX: u64 = 4 * 1024;

/// Whether the settings in this file and all that they name are sound.
#[must_use]
pub fn check(path: &Path) -> Report {
    let read = match read_settings(path) {
        Ok((text, base)) => Config::read(&text, &base, zone),
        Err(report) => return report,
    };
    let (config, mistakes) = match read {
        Ok(read) => read,
        Err(error) => return Report::of_settings(path, &error),
    };
    let mut report = Report::default();
    report.mistakes(path, &mistakes);
    look(&config, &mut report);
    report
}

/// The settings in a file.
///
/// # Errors
/// Every mistake in them.
pub fn load(path: &Path) -> Result<Config, Report> {
    let (text, base) = read_settings(path)?;
    Config::parse(&text, &base, zone).map_err(|error| Report::of_settings(path, &error))
}

/// A time zone by its name: as this system knows it, or else as the agent was built with it.
fn zone(name: &str) -> Option<TimeZone> {
    let known = jiff::tz::db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()?;
    (!known.is_unknown()).then_some(known)
}

fn read_settings(path: &Path) -> Result<(String, PathBuf), Report> {
    let text = fs::read_to_string(path).map_err(|error| Report::of_file(path, error))?;
    let absolute = std::path::absolute(path).map_err(|error| Report::of_file(path, error))?;
    Ok((text, absolute.parent().unwrap_or(Path::new("/")).to_path_buf()))
}

fn look(config: &Config, report: &mut Report) {
    if let Err(error) = load_root(config) {
        report.errors.extend(error.reasons());
    }
    if config.folder.exists() && !config.folder.is_dir() {
        let detail = format!("`folder`: {} is no folder", config.folder.display());
        report.error("folder", detail, "name a folder for the agent alone; it is made when it is not there");
    }
    if !config.folder.join(identity::FILE).exists() {
        match &config.enrolment {
            None => report.errors.extend(ShellError::NoSecret.reasons()),
            Some(secret) => {
                if let Err(error) = load_secret(secret) {
                    report.errors.extend(error.reasons());
                }
            }
        }
    }
    if let Some(Secret::File(path)) = &config.enrolment
        && let Some(mode) = exposed(path)
    {
        let detail = format!("{} may be read by others: its mode is {mode:03o}", path.display());
        report.warning("secret-exposed", detail, &format!("chmod 600 {}", path.display()));
    }
    if config.endpoint.is_none() && config.listen.ip().is_loopback() {
        let detail =
            format!("`endpoint` is not set, and `listen` is {}: only this machine reaches it", config.listen);
        report.warning(
            "endpoint-local",
            detail,
            "set `endpoint` to the address under which the plane reaches it",
        );
    }
    match SplitView::open(&config.folder) {
        Ok(split) => report.errors.extend(split.iter().flat_map(|split| split.error().reasons())),
        Err(error) => report.errors.extend(error.reasons()),
    }
    let hooks = &config.hooks;
    for (key, words) in
        [("hooks.bind", &hooks.bind), ("hooks.health", &hooks.health), ("hooks.rollback", &hooks.rollback)]
    {
        let Some(program) = words.first().filter(|program| !program.is_empty()) else { continue };
        if let Err(why) = find(program, &config.folder) {
            report.error(
                "hook",
                format!("`{key}`: {why}"),
                "name a program that exists and is executable; a relative path starts at the agent's folder",
            );
        }
    }
}

/// Looks for a program as the system will: a name in PATH, a path from the agent's folder.
fn find(program: &str, folder: &Path) -> Result<(), String> {
    if program.contains('/') {
        let path = folder.join(program);
        return match fs::metadata(&path) {
            Err(error) => Err(format!("{}: {error}", path.display())),
            Ok(found) if !found.is_file() => Err(format!("{} is no file", path.display())),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => {
                Err(format!("{} is not executable", path.display()))
            }
            Ok(_) => Ok(()),
        };
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let runs = |folder: PathBuf| {
        fs::metadata(folder.join(program))
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if std::env::split_paths(&places).any(runs) { Ok(()) } else { Err(format!("no `{program}` in PATH")) }
}

/// The mode of a file that its group or the world may read.
fn exposed(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o044 != 0).then_some(mode)
}

/// The enrolment secret, from where it is kept.
pub(super) fn load_secret(secret: &Secret) -> Result<String, ShellError> {
    let path = match secret {
        Secret::Text(text) => return Ok(text.clone()),
        Secret::File(path) => path,
    };
    let failed = |why: String| ShellError::Secret { path: path.clone(), why };
    let length = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > SECRET_BYTES_MAX {
        return Err(failed(format!("it has more than {SECRET_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

/// The Founder's root keys, given by the owner.
pub(super) fn load_root(config: &Config) -> Result<RootKeys, ShellError> {
    let path = &config.root;
    let corrupt = |why: String| ShellError::Corrupt { path: path.clone(), why };
    let length = fs::metadata(path).map_err(ShellError::file(path, "read the root keys"))?.len();
    if length > ROOT_BYTES_MAX {
        return Err(corrupt(format!("it has more than {ROOT_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(path).map_err(ShellError::file(path, "read the root keys"))?;
    serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
plane = "https://plane.example:8443"
public = "https://plane.example:8445"
root = "founder.json"
folder = "state"
enrolment = "file:secret"
platform = "0.1.0"
runtime = "0.1.0"
tier = "pro"
endpoint = "https://instance.example"
[hooks]
bind = ["../bind"]
health = ["sh", "-c", "true"]
rollback = ["../rollback"]
"#;

    #[test]
    fn every_mistake_is_listed_and_exposed_secrets_are_warned_of() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let codes = |reasons: &[wire::ProblemReason]| {
            reasons.iter().map(|reason| reason.code.clone()).collect::<Vec<_>>()
        };
        let settings = place.path().join("agent.toml");
        assert_eq!(codes(&check(&settings).errors), ["file"]);
        write("agent.toml", &SETTINGS.replace("https://plane.example:8443", "plane"), 0o600);
        write("bind", "", 0o600);
        fs::create_dir(place.path().join("state")).unwrap();
        let report = check(&settings);
        assert_eq!(codes(&report.errors), ["settings", "file", "secret", "hook", "hook"], "{report}");
        assert!(report.to_string().contains("`hooks.bind`") && report.to_string().contains("not executable"));
        assert_eq!(load(&settings).unwrap_err().errors.len(), 1);

        write("agent.toml", SETTINGS, 0o600);
        write("bind", "", 0o700);
        write("rollback", "", 0o700);
        write("secret", " \n", 0o644);
        let keys = proof::KeySet::single(*proof::Sign::public_key(&proof::SeedKey::new([1; 32])));
        write("founder.json", &serde_json::to_string(&keys).unwrap(), 0o644);
        let report = check(&settings);
        assert_eq!(
            (codes(&report.errors), codes(&report.warnings)),
            (vec!["secret".to_owned()], vec!["secret-exposed".to_owned()])
        );
        write("secret", "abc\n", 0o600);
        assert_eq!(check(&settings), Report::default());
        let local = SETTINGS.replace("endpoint =", "#").replace("[\"sh\"", "[\"no-such-program\"");
        write("agent.toml", &local, 0o600);
        let report = check(&settings);
        assert_eq!(
            (codes(&report.errors), codes(&report.warnings)),
            (vec!["hook".to_owned()], vec!["endpoint-local".to_owned()])
        );
    }
}
