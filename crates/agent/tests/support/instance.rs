//! An instance of the plane under test: its folder, its hooks, and the agent's process.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use trust::SigningKey;

use super::{Plane, version};

/// How health is looked at.
pub const HEALTH: &str = "every = \"100ms\"\nstart_within = \"1s\"";

/// An instance: a folder, hooks, and the agent's process.
pub struct Instance {
    pub folder: PathBuf,
    pub config: PathBuf,
    process: Option<Child>,
}

impl Instance {
    pub fn new(plane: &Plane, extra: &str) -> Self {
        Self::with(plane, "", &format!("[health]\nstable_for = \"400ms\"\n{HEALTH}\n{extra}"))
    }

    /// With these keys before the hooks, and these tables after.
    pub fn with(plane: &Plane, top: &str, tables: &str) -> Self {
        let folder = plane.folder.join("instance");
        std::fs::create_dir_all(&folder).unwrap();
        let config = plane.folder.join("agent.toml");
        std::fs::write(folder.join("running"), version(0).to_string()).unwrap();
        // A package says what to run; binding takes a while, so that it can be cut short.
        let bind = "rm -f running; sleep 0.3; cp $FEDPLANE_PACKAGE running";
        let health = "test -f running && cat running";
        let rollback = "rm -f running; sleep 0.1; echo $FEDPLANE_PREVIOUS > running";
        let text = format!(
            r#"
plane = "https://localhost:{}"
public = "https://localhost:{}"
root = "founder.json"
folder = "instance"
enrolment = "secret"
platform = "0.1.0"
runtime = "0.1.0"
tier = "pro"
domains = ["COM"]
hook_timeout = "5s"
{top}
[hooks]
bind = ["sh", "-c", "{bind}"]
health = ["sh", "-c", "{health}"]
rollback = ["sh", "-c", "{rollback}"]
{tables}
"#,
            plane.main.port(),
            plane.public.port(),
        );
        std::fs::write(&config, text).unwrap();
        Self { folder, config, process: None }
    }

    pub fn start(&mut self) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.config.with_extension("log"));
        let child = Command::new(env!("CARGO_BIN_EXE_fedplane-agent"))
            .args(["run", "--config"])
            .arg(&self.config)
            .stderr(log.unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    /// Runs a command of the owner's; returns whether it went well, and all it said.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let run = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fedplane-agent"));
            command.args(arguments).arg("--config").arg(&self.config).output().unwrap()
        };
        let output = tokio::task::block_in_place(run);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; returns whether it ended well.
    pub fn stop(&mut self) -> bool {
        let mut child = self.process.take().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap().success()
    }

    /// Waits until its log says so.
    pub async fn said(&self, text: &str) {
        for _ in 0..600 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("`{text}` was not said");
    }

    /// Waits for it to end by itself; returns its exit code and all it said.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let mut child = self.process.take().unwrap();
        for _ in 0..600 {
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        child.kill().unwrap();
        panic!("it goes on: {}", self.log());
    }

    pub fn forget_log(&self) {
        std::fs::write(self.config.with_extension("log"), "").unwrap();
    }

    pub fn runs(&self) -> String {
        std::fs::read_to_string(self.folder.join("running")).unwrap_or_default().trim().to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        if let Some(mut child) = self.process.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// TLS that shows this chain and takes any server: an instance's endpoint is known by its answers.
pub fn any_server(
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: &SigningKey,
) -> rustls::ClientConfig {
    #[derive(Debug)]
    struct Any;
    impl rustls::client::danger::ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::General("TLS 1.2".to_owned()))
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::ED25519]
        }
    }
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(key.to_pem().as_bytes())
        .map(rustls::pki_types::PrivateKeyDer::Pkcs8)
        .unwrap();
    rustls::ClientConfig::builder_with_provider(trust::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any))
        .with_client_auth_cert(chain, key)
        .unwrap()
}
