//! Tokens, verified as anyone may who holds the keys (EN-4, EN-5, EN-6).
//!
//! Never asks the plane whether a token counts: signature, times and status list say it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::Public;
use governance::{InstanceId, Timestamp};
use proof::jws::DOCUMENT_BYTES_MAX;
use proof::token::{Claims, TokenError, TokenKeys};
use proof::{Jws, KeyId, Typ};
use serde::Serialize;
use serde_json::{Map, Value};
use trust::RootCa;

use crate::connect::tls_failure;
use crate::folder::{Folder, read_bytes};
use crate::{Failure, Output, clock, values};

/// Tokens of instances.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenCommand {
    /// Verifies an entitlement or activation token: its key, its time, whom it is for, and whether it still counts.
    Verify(VerifyArgs),
}

#[derive(Args, Clone, Debug)]
struct VerifyArgs {
    /// A file with the token, `-` for the standard input, or the token itself.
    token: String,
    /// The federation's folder, whose founder.json and keys.json say which keys sign tokens.
    #[arg(long, env = "FEDPLANE_DIR", hide_env_values = true, value_name = "DIR", default_value = ".")]
    federation: PathBuf,
    /// The keys that sign tokens instead, as the plane publishes them at /jwks.json.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The instance that it must be for.
    #[arg(long, value_name = "ID", value_parser = values::instance)]
    audience: Option<InstanceId>,
    /// The status list that the token names, fetched before.
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    status_list: Option<PathBuf>,
    /// Fetches the status list from where the token names it.
    #[arg(long, conflicts_with = "jwks")]
    online: bool,
}

/// A token that counts, as far as was looked.
#[derive(Serialize)]
struct Verified {
    #[serde(rename = "type")]
    typ: String,
    key: Option<KeyId>,
    /// `valid`, or `unchecked` where no status list was given.
    status: &'static str,
    claims: Claims<Map<String, Value>>,
}

/// `fedplane token`.
///
/// # Errors
/// When the token does not count.
pub async fn run(args: TokenArgs, out: &Output) -> Result<(), Failure> {
    let TokenCommand::Verify(args) = args.command;
    let (text, now) = (read_token(&args.token)?, clock::now());
    let keys = match &args.jwks {
        Some(path) => TokenKeys::parse(&read_bytes(path, DOCUMENT_BYTES_MAX as u64)?),
        None => TokenKeys::of(&Folder::new(&args.federation).keys_document()?, now),
    };
    let keys = keys.map_err(|error| refused(&error))?;
    let document = Jws::parse_compact(&text).map_err(|error| refused(&error.into()))?;
    let typ = document.typ_unverified().filter(|typ| matches!(typ, Typ::Entitlement | Typ::Activation));
    let typ = typ.ok_or_else(|| {
        let hint = "give a token that the plane issued for an instance (HS-4, HS-5)";
        Failure::new("token-refused", "EN-4", "it is no entitlement token and no activation token", hint)
    })?;
    let claims: Claims<Map<String, Value>> =
        keys.open(&text, typ, None, now).map_err(|error| refused(&error))?;
    if let Some(id) = args.audience {
        let named = claims.aud.rsplit('/').next().and_then(|named| named.parse::<InstanceId>().ok());
        if named != Some(id) {
            let (found, expected) = (claims.aud, id.to_string());
            return Err(refused(&TokenError::OtherAudience { found, expected }));
        }
    }
    let place = &claims.status.status_list;
    let list = match (&args.status_list, args.online) {
        (Some(path), _) => Some(read_file(path)?),
        (None, true) => Some(fetch(&place.uri, &args.federation).await?),
        (None, false) => None,
    };
    if let Some(list) = &list {
        let opened = keys.open_list(list, &place.uri, now);
        opened.and_then(|list| list.check(place.idx, now)).map_err(|error| refused(&error))?;
    }
    let status = if list.is_some() { "valid" } else { "unchecked" };
    let key = document.key_ids().next();
    let verified = Verified { typ: typ.to_string(), key, status, claims };
    out.show(&verified, || shown(&verified))
}

fn refused(error: &TokenError) -> Failure {
    let hint = match error {
        TokenError::Document(_) | TokenError::NoKeys | TokenError::Keys(_) => {
            "is it a token of this federation? Keys are published at /jwks.json, and named in the keys document"
        }
        TokenError::Stale(_) => "fetch the list from where the token names it, or verify with --online",
        TokenError::Expired(_) => "have the instance ask for a new one; a status list is to be fetched anew",
        TokenError::Status(_) => "the right is gone, or rests while the instance is suspended",
        _ => "check whom the token is for, and that the clock is right",
    };
    let of_the_list = matches!(error, TokenError::Status(_) | TokenError::List(_) | TokenError::Stale(_));
    let rule = if of_the_list { "EN-6" } else { "EN-4" };
    Failure::new("token-refused", rule, error.to_string(), hint)
}

fn read_token(given: &str) -> Result<String, Failure> {
    let text = if given == "-" {
        let mut text = String::new();
        let read = std::io::stdin().take(DOCUMENT_BYTES_MAX as u64).read_to_string(&mut text);
        read.map_err(|error| Failure::file(Path::new("-"), "read it as text", &error))?;
        text
    } else if given.matches('.').count() == 2 && !Path::new(given).exists() {
        given.to_owned()
    } else {
        read_file(Path::new(given))?
    };
    Ok(text.trim().to_owned())
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path, DOCUMENT_BYTES_MAX as u64)?;
    let text = String::from_utf8(bytes).map_err(|error| Failure::file(path, "read it as text", &error))?;
    Ok(text.trim().to_owned())
}

/// The status list from where the token names it, from a server that the federation's root CA certified.
async fn fetch(uri: &str, federation: &Path) -> Result<String, Failure> {
    let wrong = || {
        let hint = "set listen.public_url of the plane, and have the instance ask for a new token";
        Failure::new("token-refused", "EN-6", format!("`{uri}` is no address of a status list"), hint)
    };
    let (base, path) = uri.split_once("/status/").ok_or_else(wrong)?;
    if !base.starts_with("https://") {
        return Err(wrong());
    }
    let root = RootCa::from_pem(&Folder::new(federation).keys_document()?.root_ca)?;
    let tls = trust::tls::anonymous_client_config(&root).map_err(|error| tls_failure(&error))?;
    let public = Public::new(base, tls)?;
    let list = public.file(&format!("/status/{path}"), DOCUMENT_BYTES_MAX as u64).await?;
    let list = list.ok_or_else(wrong)?;
    String::from_utf8(list).map_err(|_| wrong())
}

fn shown(verified: &Verified) -> String {
    let Verified { typ, key, status, claims } = verified;
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000)).to_string();
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "without limit".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let status = match *status {
        "unchecked" => "not looked at: give --status-list or --online",
        _ => "valid",
    };
    let mut pairs = vec![
        ("type", typ.clone()),
        ("issued by", claims.iss.clone()),
        ("for", claims.aud.clone()),
        ("issued", at(claims.iat)),
        ("ends", at(claims.exp)),
        ("key", key.map_or_else(String::new, |key| key.to_string())),
        ("status", status.to_owned()),
    ];
    pairs.extend(claims.right.iter().map(|(name, value)| (name.as_str(), word(value))));
    format!("The token counts.\n\n{}", Output::pairs(&pairs))
}
