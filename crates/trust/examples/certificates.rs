//! Writes a federation's certificates for other implementations to verify: `certificates DIR UNIX_SECONDS`.
//!
//! Keys are fresh; that of the instance is written beside its certificate. Never use them for anything.

use std::error::Error;
use std::fs;
use std::path::Path;

use governance::{InstanceId, Person, Span, Timestamp};
use proof::Sign as _;
use trust::ca::ServerHost;
use trust::{Issuer, RootCa, SigningKey, Validity, pem};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: certificates DIR UNIX_SECONDS";
    let folder = arguments.next().ok_or(usage)?;
    let folder = Path::new(&folder);
    let seconds: i64 = arguments.next().ok_or(usage)?.parse()?;
    let now = Timestamp::from_millis(seconds * 1_000);
    let validity = |hours| Validity { not_before: now - Span::hours(1), not_after: now + Span::hours(hours) };
    let write = |name: &str, text: String| fs::write(folder.join(name), text);

    let domain = "fed.example".parse()?;
    let root = Issuer::make_root(SigningKey::generate()?, &domain, validity(24 * 3_650))?;
    write("root.pem", root.certificate_pem())?;
    let root_ca = RootCa::from_pem(&root.certificate_pem())?;
    write("bundle.json", root_ca.to_spiffe_bundle(1, 3_600)?)?;

    let key = SigningKey::generate()?;
    let intermediate = root.issue_instance_ca(key.public_key(), validity(24 * 365))?.to_pem();
    write("intermediate.pem", intermediate.clone())?;
    let instances = Issuer::instances(&intermediate, key, &root_ca)?;
    let key = SigningKey::create(&folder.join("instance.key"))?;
    let id = InstanceId::from_random([1; 16]);
    let issued = instances.issue_instance(id, key.public_key(), validity(24))?;
    write("instance.pem", issued.to_pem())?;
    write(
        "instance-alone.pem",
        issued.chain.first().map(|leaf| pem::encode_certificates([leaf])).ok_or(usage)?,
    )?;
    write("instance.id", format!("spiffe://fed.example/instance/{id}"))?;
    let gone = [(issued.serial.clone(), now)];
    for (name, revoked) in [("none.crl", [].as_slice()), ("instance.crl", gone.as_slice())] {
        fs::write(folder.join(name), instances.revocation_list(revoked, now, now + Span::hours(24))?)?;
    }
    let key = SigningKey::generate()?;
    let person = Person::operator("admin".parse()?);
    write("operator.pem", root.issue_person(&person, key.public_key(), validity(24))?.to_pem())?;
    let hosts = [ServerHost::from("plane.example"), ServerHost::from("127.0.0.1")];
    let server = root.issue_server(&"plane".parse()?, &hosts, key.public_key(), validity(24))?;
    write("server.pem", server.to_pem())?;
    Ok(())
}
