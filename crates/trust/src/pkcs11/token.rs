//! The sessions with a token: a few, shared by all its keys, opened anew when they are lost.
//!
//! A module is loaded once a process and never unloaded. Nobody waits for a token without end.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::uri::{Pkcs11Uri, TokenName};
use crate::secret::{Secret, Secrets, secret_file};

/// The most sessions with one token, and so the most signatures it makes at once.
pub const SESSIONS_MAX: usize = 4;
/// How long a signature waits for a session.
const SESSION_WITHIN: Duration = Duration::from_secs(10);

/// Why a token did not do what it was asked.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Whatever was open is closed: worth opening anew.
    Lost(String),
    /// It stays so.
    Stays(String),
}

impl Fault {
    pub(super) fn told(why: impl Display) -> Self {
        Self::Stays(why.to_string())
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Lost(why) | Self::Stays(why)) = self;
        f.write_str(why)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let told = match &error {
            // Short, and as the standard calls it.
            Error::Pkcs11(answer, function) => format!("the token answers {answer:?} to {function:?}"),
            other => other.to_string(),
        };
        match error {
            Error::Pkcs11(
                RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::CryptokiNotInitialized
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent
                | RvError::SlotIdInvalid
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::GeneralError
                | RvError::FunctionFailed,
                _,
            ) => Self::Lost(told),
            _ => Self::Stays(told),
        }
    }
}

/// Whether a token does not know a curve under the name it was given.
pub(super) const fn is_about_the_curve(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::CurveNotSupported
                | RvError::DomainParamsInvalid
                | RvError::AttributeValueInvalid
                | RvError::TemplateInconsistent
                | RvError::ArgumentsBad,
            _
        )
    )
}

/// A token that was opened, for as long as the process lives.
pub(super) struct Token {
    name: TokenName,
    module: Pkcs11,
    pin: Option<Secret>,
    sessions_max: usize,
    sessions: Mutex<Sessions>,
    freed: Condvar,
}

#[derive(Default)]
struct Sessions {
    idle: Vec<Session>,
    open: usize,
    /// Rises whenever all were lost; a session of before is not used again.
    since: u64,
    /// The PIN was refused: tokens lock after a few, so it is never tried again.
    refused: bool,
}

/// Tokens by module and name: two keys of one token share its sessions.
static TOKENS: Mutex<BTreeMap<TokenName, Arc<Token>>> = Mutex::new(BTreeMap::new());
/// Modules by path: a process loads and initialises each once.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

impl Token {
    /// The token of a URI, logged in to.
    pub(super) fn open(uri: &Pkcs11Uri, secrets: &mut Secrets) -> Result<Arc<Self>, Fault> {
        let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(&uri.token) {
            return Ok(Arc::clone(token));
        }
        let module = module(&uri.token)?;
        let (slot, info) = find(&module, &uri.token)?;
        let most = match info.max_session_count() {
            Limit::Max(most) => usize::try_from(most).unwrap_or(SESSIONS_MAX).clamp(1, SESSIONS_MAX),
            Limit::Unavailable | Limit::Infinite => SESSIONS_MAX,
        };
        let pin = if info.login_required() { pin(uri, &info, secrets)? } else { None };
        let token = Self {
            name: uri.token.clone(),
            module,
            pin,
            sessions_max: most,
            sessions: Mutex::default(),
            freed: Condvar::new(),
        };
        // A PIN that is wrong is told now, and the token forgotten: the next one may have another.
        let session = token.log_in(slot, false)?;
        {
            let mut sessions = token.lock();
            sessions.idle.push(session);
            sessions.open = 1;
        }
        let token = Arc::new(token);
        tokens.insert(uri.token.clone(), Arc::clone(&token));
        Ok(token)
    }

    /// Does something in a session of its own; where all sessions were lost meanwhile, once more in a new one.
    pub(super) fn with<T>(
        &self,
        write: bool,
        work: impl Fn(&Session, u64) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let since = self.lock().since;
        match self.once(write, &work) {
            Err(Fault::Lost(_)) => {
                self.forget(since);
                self.once(write, &work)
            }
            done => done,
        }
    }

    fn once<T>(&self, write: bool, work: &impl Fn(&Session, u64) -> Result<T, Fault>) -> Result<T, Fault> {
        if write {
            let (slot, _) = self.find()?;
            let since = self.lock().since;
            return work(&self.log_in(slot, true)?, since);
        }
        let (session, since) = self.take()?;
        let done = work(&session, since);
        self.put(done.is_ok().then_some(session), since);
        done
    }

    /// An idle session, or a new one where there may be more, or the next that comes back.
    fn take(&self) -> Result<(Session, u64), Fault> {
        let full = |sessions: &mut Sessions| sessions.idle.is_empty() && sessions.open >= self.sessions_max;
        let waited = self.freed.wait_timeout_while(self.lock(), SESSION_WITHIN, full);
        let (mut sessions, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let why = format!(
                "the token has not answered for {} s: see whether it is there",
                SESSION_WITHIN.as_secs()
            );
            return Err(Fault::told(why));
        }
        let since = sessions.since;
        if let Some(session) = sessions.idle.pop() {
            return Ok((session, since));
        }
        sessions.open += 1;
        drop(sessions);
        let opened = self.find().and_then(|(slot, _)| self.log_in(slot, false));
        match opened {
            Ok(session) => Ok((session, since)),
            Err(fault) => {
                self.put(None, since);
                Err(fault)
            }
        }
    }

    /// Gives a session back; none where it is of no more use.
    fn put(&self, session: Option<Session>, since: u64) {
        let mut sessions = self.lock();
        if sessions.since == since {
            match session {
                Some(session) => sessions.idle.push(session),
                None => sessions.open = sessions.open.saturating_sub(1),
            }
        }
        drop(sessions);
        self.freed.notify_one();
    }

    /// Whatever was open then counts no more; what somebody else has opened since does.
    fn forget(&self, then: u64) {
        let mut sessions = self.lock();
        if sessions.since != then {
            return;
        }
        let lost = std::mem::take(&mut sessions.idle);
        sessions.open = 0;
        sessions.since += 1;
        drop(sessions);
        // Closing them asks the module, so not behind the lock.
        drop(lost);
        self.freed.notify_all();
    }

    /// The slot it is in now; a module that was shut down is taken up again.
    fn find(&self) -> Result<(Slot, TokenInfo), Fault> {
        initialise(&self.module)?;
        find(&self.module, &self.name)
    }

    fn log_in(&self, slot: Slot, write: bool) -> Result<Session, Fault> {
        let session =
            if write { self.module.open_rw_session(slot)? } else { self.module.open_ro_session(slot)? };
        if !self.module.get_token_info(slot)?.login_required() {
            return Ok(session);
        }
        if self.lock().refused {
            return Err(Fault::told(
                "the PIN was refused before and is not tried again, since tokens lock; mend it and start anew",
            ));
        }
        let pin = self.pin.as_ref().map(|pin| AuthPin::from(pin.expose().to_owned()));
        match session.login(UserType::User, pin.as_ref()) {
            // All sessions of a process share the login.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                refusal @ (RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked),
                _,
            )) => {
                self.lock().refused = true;
                Err(Fault::told(pin_refused(refusal)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pin_refused(refusal: RvError) -> &'static str {
    match refusal {
        RvError::PinLocked => {
            "the token is locked, after too many wrong PINs: its security officer unlocks it"
        }
        RvError::PinExpired => "the token's PIN has expired: set a new one with the token's own tools",
        _ => {
            "the token refuses the PIN; look at pin-source before you try again: a few wrong PINs lock a token"
        }
    }
}

/// The PIN: of its file, else of the person at the terminal; none where the token has a keypad of its own.
fn pin(uri: &Pkcs11Uri, info: &TokenInfo, secrets: &mut Secrets) -> Result<Option<Secret>, Fault> {
    if let Some(path) = &uri.pin_source {
        return Secret::read(&secret_file(path))
            .map(Some)
            .map_err(|error| Fault::told(format!("pin-source: {error}")));
    }
    if info.protected_authentication_path() {
        return Ok(None);
    }
    match secrets.pin(&format!("token {}", info.label())) {
        Some(asked) => {
            asked.map(Some).map_err(|error| Fault::told(format!("the PIN cannot be asked for: {error}")))
        }
        None => Err(Fault::told(
            "no PIN is at hand: put it into a file of mode 0600 and add pin-source=FILE to the URI",
        )),
    }
}

fn module(name: &TokenName) -> Result<Pkcs11, Fault> {
    let unnamed = "say which module speaks to the token: ?module-path=/usr/lib/…/libsofthsm2.so";
    let path = name.module_path.as_deref().ok_or_else(|| Fault::told(unnamed))?;
    // One file under two names is one module.
    let real = std::fs::canonicalize(path).map_err(|error| not_a_module(path, &error))?;
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&real) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&real).map_err(|error| not_a_module(path, &error))?;
    initialise(&module)?;
    modules.insert(real, module.clone());
    Ok(module)
}

fn not_a_module(path: &Path, error: &dyn Display) -> Fault {
    Fault::told(format!("module-path {}: {error}; name the token's PKCS #11 library", path.display()))
}

fn initialise(module: &Pkcs11) -> Result<(), Fault> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(Fault::told(format!("the module does not start: {error}"))),
    }
}

/// The one token of this name.
fn find(module: &Pkcs11, name: &TokenName) -> Result<(Slot, TokenInfo), Fault> {
    let matches =
        |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let mut found = Vec::new();
    for slot in module.get_slots_with_token()? {
        // One that cannot be asked is not the one.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if info.token_initialized()
            && name.slot_id.is_none_or(|id| id == slot.id())
            && matches(&name.token, info.label())
            && matches(&name.manufacturer, info.manufacturer_id())
            && matches(&name.serial, info.serial_number())
            && matches(&name.model, info.model())
        {
            found.push((slot, info));
        }
    }
    match found.len() {
        1 => found.pop().ok_or_else(|| Fault::told("the token is gone")),
        0 => Err(Fault::Lost(
            "the module has no such token: see that it is plugged in and named so".to_owned(),
        )),
        more => Err(Fault::told(format!("{more} tokens fit: say which with token= or serial="))),
    }
}
