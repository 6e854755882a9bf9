//! The sessions with a token: a few, shared by all its keys, opened anew when they are lost.
//!
//! A module is loaded once a process and never unloaded. Whoever waits here for a session, or for the module to start anew, gives
//! up after a while; a call that hangs in the module ends for signatures alone ([`super::patience`]). Opening a key, making one
//! and taking one away wait for the module, and for the person who types a PIN, as long as they take.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::patience::Patience;
use super::uri::{Pkcs11Uri, TokenName};
use crate::secret::{Secret, Secrets, secret_file};

/// The most sessions with one token, and so the most signatures it makes at once.
pub const SESSIONS_MAX: usize = 4;
/// How long a signature waits for others to be done.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why a token did not do what it was asked.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Whatever was open is closed: worth opening anew.
    Lost(String),
    /// The module does not see the token any more: worth starting the module anew, since some look but once.
    Gone(String),
    /// It stays so.
    Stays(String),
}

impl Fault {
    /// The same, of something that was there before.
    pub(super) fn gone(self) -> Self {
        match self {
            Self::Stays(why) => Self::Gone(why),
            other => other,
        }
    }

    pub(super) fn told(why: impl Display) -> Self {
        Self::Stays(why.to_string())
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Lost(why) | Self::Gone(why) | Self::Stays(why)) = self;
        f.write_str(why)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let told = told(&error);
        match error {
            Error::Pkcs11(
                RvError::SessionHandleInvalid
                | RvError::SessionClosed
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
            Error::Pkcs11(RvError::CryptokiNotInitialized, _) => Self::Gone(told),
            _ => Self::Stays(told),
        }
    }
}

/// What the library said: short, and as the standard calls it.
fn told(error: &Error) -> String {
    match error {
        Error::Pkcs11(answer, function) => format!("the token answers {answer:?} to {function:?}"),
        other => other.to_string(),
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
    module: Arc<Module>,
    pin: Option<Secret>,
    sessions_max: usize,
    sessions: Mutex<Sessions>,
    freed: Condvar,
    /// How long signatures wait.
    pub(super) patience: Arc<Patience>,
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
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A token's library.
struct Module {
    library: Pkcs11,
    /// Whose sessions end when it is shut down.
    tokens: Mutex<Vec<Weak<Token>>>,
    gate: Mutex<Gate>,
    changed: Condvar,
}

/// Keeps whoever starts a module anew apart from those who call it: no call may run meanwhile (PKCS #11 §5.4, C_Finalize).
#[derive(Default)]
struct Gate {
    calls: usize,
    restarting: bool,
    /// How often it was started anew.
    restarts: u64,
}

/// Calls to a module may be made for as long as this lives.
struct Calling<'a>(&'a Module);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        let mut gate = self.0.lock();
        gate.calls = gate.calls.saturating_sub(1);
        drop(gate);
        self.0.changed.notify_all();
    }
}

impl Module {
    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until calls may be made; says how often the module was started anew before.
    fn calling(&self) -> Result<(Calling<'_>, u64), Fault> {
        let waited = self.changed.wait_timeout_while(self.lock(), ANSWER_WITHIN, |gate| gate.restarting);
        let (mut gate, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(silent());
        }
        gate.calls += 1;
        Ok((Calling(self), gate.restarts))
    }

    /// Shuts it down and starts it anew, once nobody calls it; not if somebody has since `seen`.
    ///
    /// Nothing else starts it but its loading: modules do not bear being started by two at once.
    fn restart(&self, seen: u64) -> Result<(), Fault> {
        let mut gate = self.lock();
        if gate.restarting || gate.restarts != seen {
            return Ok(());
        }
        gate.restarting = true;
        let waited = self.changed.wait_timeout_while(gate, ANSWER_WITHIN, |gate| gate.calls > 0);
        let (gate, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(gate);
        let started = if timeout.timed_out() {
            Err(silent())
        } else {
            // While they still are what they were: a module gives the same numbers out again, to others.
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tokens.iter().filter_map(Weak::upgrade).for_each(|token| token.forget());
            let _ = self.library.clone().finalize();
            initialise(&self.library)
        };
        let mut gate = self.lock();
        gate.restarting = false;
        gate.restarts += 1;
        drop(gate);
        self.changed.notify_all();
        started
    }
}

fn silent() -> Fault {
    let seconds = ANSWER_WITHIN.as_secs();
    Fault::told(format!("the token has not answered for {seconds} s: see whether it is there"))
}

impl Token {
    /// The token of a URI, logged in to.
    pub(super) fn open(uri: &Pkcs11Uri, secrets: &mut Secrets) -> Result<Arc<Self>, Fault> {
        let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(&uri.token) {
            return Ok(Arc::clone(token));
        }
        let module = module(&uri.token)?;
        let (calling, _) = module.calling()?;
        let (slot, info) = find(&module.library, &uri.token)?;
        let most = match info.max_session_count() {
            Limit::Max(most) => usize::try_from(most).unwrap_or(SESSIONS_MAX).clamp(1, SESSIONS_MAX),
            Limit::Unavailable | Limit::Infinite => SESSIONS_MAX,
        };
        let pin = if info.login_required() { pin(uri, &info, secrets)? } else { None };
        let token = Self {
            name: uri.token.clone(),
            module: Arc::clone(&module),
            pin,
            sessions_max: most,
            sessions: Mutex::default(),
            freed: Condvar::new(),
            patience: Arc::default(),
        };
        // A PIN that is wrong is told now, and the token forgotten: the next one may have another.
        let session = token.log_in(slot, false)?;
        drop(calling);
        {
            let mut sessions = token.lock();
            sessions.idle.push(session);
            sessions.open = 1;
        }
        let token = Arc::new(token);
        module.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&token));
        tokens.insert(uri.token.clone(), Arc::clone(&token));
        Ok(token)
    }

    /// Does something in a session of its own; where all sessions were lost meanwhile, or the token, once more in a new one.
    pub(super) fn with<T>(
        &self,
        write: bool,
        work: impl Fn(&Session, u64) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let again = |then: u64| {
            let _calling = self.module.calling()?;
            self.forget_since(then);
            self.once(write, &work)
        };
        let (since, restarts, first) = {
            let (_calling, restarts) = self.module.calling()?;
            let since = self.lock().since;
            (since, restarts, self.once(write, &work))
        };
        let second = match first {
            Err(Fault::Lost(_)) => again(since),
            first => first,
        };
        match second {
            Err(Fault::Gone(_)) => {
                self.module.restart(restarts)?;
                let since = self.lock().since;
                again(since)
            }
            second => second,
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
        let waited = self.freed.wait_timeout_while(self.lock(), ANSWER_WITHIN, full);
        let (mut sessions, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(silent());
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
    fn forget_since(&self, then: u64) {
        if self.lock().since == then {
            self.forget();
        }
    }

    /// Whatever is open counts no more.
    fn forget(&self) {
        let mut sessions = self.lock();
        let lost = std::mem::take(&mut sessions.idle);
        sessions.open = 0;
        sessions.since += 1;
        drop(sessions);
        // Closing them asks the module, so not behind the lock.
        drop(lost);
        self.freed.notify_all();
    }

    /// The slot it is in now.
    fn find(&self) -> Result<(Slot, TokenInfo), Fault> {
        find(&self.module.library, &self.name)
    }

    fn log_in(&self, slot: Slot, write: bool) -> Result<Session, Fault> {
        let library = &self.module.library;
        let session = if write { library.open_rw_session(slot)? } else { library.open_ro_session(slot)? };
        if !library.get_token_info(slot)?.login_required() {
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

fn module(name: &TokenName) -> Result<Arc<Module>, Fault> {
    let unnamed = "say which module speaks to the token: ?module-path=/usr/lib/…/libsofthsm2.so";
    let path = name.module_path.as_deref().ok_or_else(|| Fault::told(unnamed))?;
    // One file under two names is one module.
    let real = std::fs::canonicalize(path).map_err(|error| not_a_module(path, &error))?;
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&real) {
        return Ok(Arc::clone(module));
    }
    let library = Pkcs11::new(&real).map_err(|error| not_a_module(path, &error))?;
    initialise(&library)?;
    let module = Arc::new(Module {
        library,
        tokens: Mutex::default(),
        gate: Mutex::default(),
        changed: Condvar::new(),
    });
    modules.insert(real, Arc::clone(&module));
    Ok(module)
}

fn not_a_module(path: &Path, error: &dyn Display) -> Fault {
    Fault::told(format!("module-path {}: {error}; name the token's PKCS #11 library", path.display()))
}

fn initialise(library: &Pkcs11) -> Result<(), Fault> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(Fault::Gone(format!("the module does not start: {}", told(&error)))),
    }
}

/// The one token of this name.
fn find(library: &Pkcs11, name: &TokenName) -> Result<(Slot, TokenInfo), Fault> {
    let matches =
        |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let mut found = Vec::new();
    for slot in library.get_slots_with_token()? {
        // One that cannot be asked is not the one.
        let Ok(info) = library.get_token_info(slot) else { continue };
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
        0 => Err(Fault::Gone(
            "the module has no such token: see that it is plugged in and named so".to_owned(),
        )),
        more => Err(Fault::told(format!("{more} tokens fit: say which with token= or serial="))),
    }
}
