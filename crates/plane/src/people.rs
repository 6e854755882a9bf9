//! People's certificates that are taken back (AU-2).
//!
//! Never makes one: the root CA does, offline.

use governance::Person;
use governance::decide::WorldCommand;

use crate::decision::By;
use crate::ports::Store;
use crate::{Plane, PlaneError, Rejection};

/// The longest serial number of a certificate, in hexadecimal characters (RFC 5280 §4.1.2.2, and room).
const SERIAL_CHARS_MAX: usize = 64;

impl<S: Store> Plane<S> {
    /// A person's certificate counts no more, from now on and on open connections too (AU-2).
    ///
    /// # Errors
    /// When the serial number is none, or is the caller's own.
    pub async fn revoke_person(
        &self,
        person: &Person,
        own_serial: &str,
        request: &wire::RevokePerson,
    ) -> Result<(), PlaneError> {
        let wire::RevokePerson { person: whose, serial } = request.clone();
        let serial = serial.to_ascii_lowercase();
        let is_serial = (1..=SERIAL_CHARS_MAX).contains(&serial.len())
            && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_serial || Person::from_path(&whose).is_none() {
            let detail = format!("`{whose}` with `{serial}` is no person and serial number");
            let hint = "write them as operator/admin and the certificate's serial number in hexadecimal";
            return Err(Rejection::new("person-malformed", "AU-2", detail, hint).into());
        }
        if serial == own_serial {
            let hint = "have another operator do it, with a certificate of his own";
            return Err(
                Rejection::new("person-own", "AU-2", "this is the caller's own certificate", hint).into()
            );
        }
        let command = WorldCommand::RevokePerson { person: whose, serial };
        self.decide_world(&[command], &By::Person(person.clone()), Vec::new()).await
    }

    /// Whether a person's certificate counts no more (AU-2).
    pub fn is_revoked(&self, serial: &str) -> bool {
        self.seen().world.revoked_people.contains(serial)
    }

    /// The serial numbers of certificates that count no more, in order.
    pub fn revoked_people(&self) -> Vec<String> {
        self.seen().world.revoked_people.iter().cloned().collect()
    }
}
