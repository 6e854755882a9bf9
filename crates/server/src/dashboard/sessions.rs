//! The ways into the dashboard and who is in: links that open one session each, and sessions that end (AU-1, AU-2).
//!
//! Keeps digests of what links and cookies hold, never those themselves. In the memory of one server: whoever restarts it signs
//! everybody out. Time is an argument.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governance::{Digest, Person, Span, Timestamp};
use plane::Entropy;

/// How long a link is good.
pub(crate) const LINK_LIFETIME: Span = Span::from_millis(5 * 60_000);
/// A session that nobody uses ends after this.
pub(crate) const IDLE_MAX: Span = Span::from_millis(30 * 60_000);
/// Any session ends after this.
pub(crate) const WHOLE_MAX: Span = Span::hours(8);
/// Sessions of one person at once: the one that was used least lately gives way.
const SESSIONS_EACH: usize = 8;
/// Links of one person at once: the oldest gives way.
const LINKS_EACH: usize = 8;
/// What is set apart from a session's own secret to become the token of its forms.
const FORMS: &[u8] = b"fedplane dashboard forms";

/// Who somebody is, by the certificate that he showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) person: Person,
    /// The certificate's serial number.
    pub(crate) serial: String,
    /// Its last instant.
    pub(crate) not_after: Timestamp,
}

struct Link {
    who: Arc<Identity>,
    expires: Timestamp,
}

struct Session {
    who: Arc<Identity>,
    began: Timestamp,
    used: Timestamp,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.began) > WHOLE_MAX || now.since(self.used) > IDLE_MAX || now > self.who.not_after
    }
}

#[derive(Default)]
struct Kept {
    links: HashMap<Digest, Link>,
    sessions: HashMap<Digest, Session>,
}

/// A request of a session.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) who: Arc<Identity>,
    /// What each form of the session carries.
    pub(crate) token: String,
    session: Digest,
}

impl Visit {
    pub(crate) fn person(&self) -> &Person {
        &self.who.person
    }
}

/// That there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The links and sessions of one server.
pub(crate) struct Sessions {
    most: usize,
    kept: Mutex<Kept>,
}

impl Sessions {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a link for whoever showed this certificate; gives its secret and its last instant.
    pub(crate) fn link(
        &self,
        who: Identity,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Full> {
        let mut kept = self.kept();
        kept.links.retain(|_, link| now <= link.expires);
        let own = |link: &Link| link.who.person == who.person;
        if kept.links.values().filter(|link| own(link)).count() >= LINKS_EACH {
            let oldest = kept.links.iter().filter(|(_, link)| own(link)).min_by_key(|(_, link)| link.expires);
            if let Some(oldest) = oldest.map(|(mark, _)| *mark) {
                kept.links.remove(&oldest);
            }
        }
        if kept.links.len() >= self.most {
            return Err(Full);
        }
        let (secret, expires) = (secret(entropy), now + LINK_LIFETIME);
        kept.links.insert(mark(&secret), Link { who: Arc::new(who), expires });
        Ok((secret, expires))
    }

    /// Whose link it is, while it is good. It stays so.
    pub(crate) fn peek(&self, link: &str, now: Timestamp) -> Option<Arc<Identity>> {
        let kept = self.kept();
        let found = kept.links.get(&mark(link)).filter(|link| now <= link.expires)?;
        Some(Arc::clone(&found.who))
    }

    /// Spends a link: gives the secret of the session that it opened, and whose that is; none where the link is no good.
    pub(crate) fn enter(
        &self,
        link: &str,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Option<(String, Arc<Identity>)>, Full> {
        let mut kept = self.kept();
        kept.sessions.retain(|_, session| !session.is_over(now));
        let Some(spent) = kept.links.remove(&mark(link)).filter(|link| now <= link.expires) else {
            return Ok(None);
        };
        let who = spent.who;
        let own = |session: &Session| session.who.person == who.person;
        if kept.sessions.values().filter(|session| own(session)).count() >= SESSIONS_EACH {
            let idle =
                kept.sessions.iter().filter(|(_, session)| own(session)).min_by_key(|(_, one)| one.used);
            if let Some(idle) = idle.map(|(mark, _)| *mark) {
                kept.sessions.remove(&idle);
            }
        }
        if kept.sessions.len() >= self.most {
            return Err(Full);
        }
        let secret = secret(entropy);
        let session = Session { who: Arc::clone(&who), began: now, used: now };
        kept.sessions.insert(mark(&secret), session);
        Ok(Some((secret, who)))
    }

    /// The session of a cookie, if it lasts; what a page fetches by itself is no use of it.
    pub(crate) fn visit(&self, cookie: &str, is_used: bool, now: Timestamp) -> Option<Visit> {
        let mut kept = self.kept();
        let key = mark(cookie);
        let session = kept.sessions.get_mut(&key)?;
        if session.is_over(now) {
            kept.sessions.remove(&key);
            return None;
        }
        if is_used {
            session.used = session.used.max(now);
        }
        Some(Visit { who: Arc::clone(&session.who), token: token(cookie), session: key })
    }

    /// Whether the session of this request lasts still.
    pub(crate) fn lasts(&self, visit: &Visit, now: Timestamp) -> bool {
        self.kept().sessions.get(&visit.session).is_some_and(|session| !session.is_over(now))
    }

    /// Ends a session.
    pub(crate) fn leave(&self, visit: &Visit) {
        self.kept().sessions.remove(&visit.session);
    }

    /// How many last.
    pub(crate) fn len(&self) -> usize {
        self.kept().sessions.len()
    }
}

fn secret(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(entropy.bytes())
}

fn mark(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

/// The token of a session's forms: nobody makes it but from the cookie, and it does not give that away.
fn token(cookie: &str) -> String {
    Digest::of_parts(&[FORMS, cookie.as_bytes()]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn bytes(&self) -> [u8; 32] {
            [self.0.fetch_add(1, Ordering::Relaxed); 32]
        }
    }

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn who(path: &str) -> Identity {
        let person = Person::from_path(path).unwrap();
        Identity { person, serial: "0a".into(), not_after: START + Span::hours(100) }
    }

    fn sessions() -> (Sessions, Counting) {
        (Sessions::new(16), Counting(AtomicU8::new(1)))
    }

    fn session(sessions: &Sessions, entropy: &Counting, path: &str, now: Timestamp) -> String {
        let (link, _) = sessions.link(who(path), entropy, now).unwrap();
        sessions.enter(&link, entropy, now).unwrap().unwrap().0
    }

    #[test]
    fn au_1_a_link_opens_one_session_within_its_time_and_looking_spends_nothing() {
        let (sessions, entropy) = sessions();
        let (link, expires) = sessions.link(who("operator/admin"), &entropy, START).unwrap();
        assert_eq!(expires, START + LINK_LIFETIME);
        for _ in 0..3 {
            assert_eq!(sessions.peek(&link, expires).unwrap().person.to_string(), "operator/admin");
        }
        let late = expires + Span::from_millis(1);
        assert!(sessions.peek(&link, late).is_none());
        let (cookie, _) = sessions.enter(&link, &entropy, expires).unwrap().unwrap();
        assert!(sessions.enter(&link, &entropy, expires).unwrap().is_none());
        assert!(sessions.peek(&link, expires).is_none());
        let visit = sessions.visit(&cookie, true, expires).unwrap();
        assert_eq!(visit.person().to_string(), "operator/admin");
        assert!(visit.token != cookie && !visit.token.contains(&cookie));
        let (link, expires) = sessions.link(who("operator/admin"), &entropy, START).unwrap();
        assert!(sessions.enter(&link, &entropy, expires + Span::from_millis(1)).unwrap().is_none());
        assert!(sessions.visit("made-up", true, START).is_none());
    }

    #[test]
    fn au_2_a_session_ends_when_idle_when_old_when_left_and_with_its_certificate() {
        let (sessions, entropy) = sessions();
        let minute = Span::from_millis(60_000);
        let cookie = session(&sessions, &entropy, "operator/a", START);
        assert!(sessions.visit(&cookie, true, START + IDLE_MAX).is_some());
        // Fetched by the page itself: no use.
        let then = START + IDLE_MAX + IDLE_MAX;
        assert!(sessions.visit(&cookie, false, then).is_some());
        assert!(sessions.visit(&cookie, false, then + minute).is_none());
        assert!(sessions.visit(&cookie, true, START).is_none(), "what is over stays over");

        let cookie = session(&sessions, &entropy, "operator/b", START);
        let mut now = START;
        while now <= START + WHOLE_MAX {
            assert!(sessions.visit(&cookie, true, now).is_some());
            now = now + IDLE_MAX;
        }
        assert!(sessions.visit(&cookie, true, now).is_none());

        let short = Identity { not_after: START + minute, ..who("operator/c") };
        let (link, _) = sessions.link(short, &entropy, START).unwrap();
        let (cookie, _) = sessions.enter(&link, &entropy, START).unwrap().unwrap();
        assert!(sessions.visit(&cookie, true, START + minute).is_some());
        assert!(sessions.visit(&cookie, true, START + minute + minute).is_none());

        let cookie = session(&sessions, &entropy, "operator/d", START);
        let visit = sessions.visit(&cookie, true, START).unwrap();
        sessions.leave(&visit);
        assert!(sessions.visit(&cookie, true, START).is_none() && !sessions.lasts(&visit, START));
    }

    #[test]
    fn hs_7_nobody_holds_more_than_his_share() {
        let (sessions, entropy) = sessions();
        let first = session(&sessions, &entropy, "operator/a", START);
        for minute in 1..=SESSIONS_EACH {
            let now = START + Span::from_millis(minute as i64 * 1_000);
            session(&sessions, &entropy, "operator/a", now);
        }
        assert_eq!(sessions.len(), SESSIONS_EACH);
        assert!(sessions.visit(&first, true, START).is_none());
        let links: Vec<_> = (0..=LINKS_EACH)
            .map(|at| {
                sessions.link(who("auditor/e"), &entropy, START + Span::from_millis(at as i64)).unwrap().0
            })
            .collect();
        assert!(sessions.peek(&links[0], START).is_none() && sessions.peek(&links[1], START).is_some());
        for at in 0..8 {
            let _ = sessions.link(who(&format!("operator/o{at}")), &entropy, START);
        }
        assert_eq!(sessions.link(who("operator/z"), &entropy, START), Err(Full));
    }
}
