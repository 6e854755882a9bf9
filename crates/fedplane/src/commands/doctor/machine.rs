//! The machine: room on its disks, and who listens where the server should.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use server::Settings;
use tokio::net::TcpStream;

use super::{Findings, Level};

/// With less room than this, the next commits will fail.
const ROOM_LEAST: u64 = 256 << 20;
/// With less room than this, it is time to make some.
const ROOM_SHORT: u64 = 2 << 30;
/// The share of a disk's files that should be left, one in so many.
const FILES_SHORT: u64 = 100;
/// How long a listener may take to accept.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(2);

/// Whether there is room where the server writes.
pub(super) fn disk(settings: &Settings, findings: &mut Findings) {
    findings.about("disk");
    let paths = &settings.paths;
    let database = settings.path(&paths.database);
    let database = database.parent().map(Path::to_path_buf).unwrap_or_default();
    let folders = [database, settings.path(&paths.ledger), settings.path(&paths.tuf)];
    // Each disk once.
    let mut seen = BTreeSet::new();
    for folder in folders.iter().map(|path| existing(path)) {
        if fs::metadata(&folder).is_ok_and(|found| !seen.insert(found.dev())) {
            continue;
        }
        match rustix::fs::statvfs(&folder) {
            Ok(disk) => {
                let (level, found) =
                    room(disk.f_bavail.saturating_mul(disk.f_frsize), (disk.f_favail, disk.f_files));
                let found = format!("{}: {found}", folder.display());
                let mend = match level {
                    Level::Ok => String::new(),
                    _ => format!(
                        "make room there, as `df -h {}` shows it, or move the folder",
                        folder.display()
                    ),
                };
                findings.add(level, found, mend);
            }
            Err(error) => {
                let mend = format!("`ls -ld {}`: let the server's user in", folder.display());
                findings.error(format!("{}: {error}", folder.display()), mend);
            }
        }
    }
}

/// The folder, or the nearest above it that is there: the server makes what is missing.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    found.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// How much room there is: so many bytes, and so many of so many files.
fn room(bytes: u64, (files, files_max): (u64, u64)) -> (Level, String) {
    let free = format!("{} free", size(bytes));
    if bytes < ROOM_LEAST {
        return (Level::Error, format!("{free}: commits are about to fail"));
    }
    // Some file systems count no files.
    if files_max > 0 && files < files_max / FILES_SHORT {
        return (Level::Warning, format!("{free}, and room for {files} more files alone"));
    }
    let level = if bytes < ROOM_SHORT { Level::Warning } else { Level::Ok };
    (level, free)
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// Whether a server runs and does its work; answers whether one runs.
pub(super) async fn listeners(settings: &Settings, config: &Path, findings: &mut Findings) -> bool {
    findings.about("listeners");
    let listen = &settings.listen;
    if listen.metrics.port() == 0 {
        findings.ok("listen.metrics takes any free port: whether a server runs cannot be asked");
        return false;
    }
    let runs = match client::readiness(listen.metrics).await {
        Ok(told) if told.ready => {
            findings.ok(format!("a server runs, and {} says that it is ready", listen.metrics));
            true
        }
        Ok(told) if told.told.contains(": failed") => {
            let failed: Vec<&str> =
                told.told.lines().filter_map(|line| line.strip_suffix(": failed")).collect();
            let found = format!("a server runs, and is not ready: {}", failed.join(", "));
            findings.error(found, "its log says why; one that began just now is ready within a minute");
            true
        }
        Ok(_) => {
            let found = format!("{} is taken by another program", listen.metrics);
            findings.error(found, "end that program, or set another port in listen.metrics");
            false
        }
        Err(_) => {
            let serve = format!("`fedplane serve --config {}`", config.display());
            findings.warning(format!("no server runs: nobody answers at {}", listen.metrics), serve);
            false
        }
    };
    for (key, address) in [
        ("listen.instances", listen.instances),
        ("listen.public", listen.public),
        ("listen.dashboard", listen.dashboard),
    ] {
        if address.port() == 0 {
            continue;
        }
        match (runs, accepts(address).await) {
            (true, true) => findings.ok(format!("{key} accepts at {address}")),
            (true, false) => {
                findings
                    .error(format!("{key}: nobody accepts at {address}"), "its log says why; start it again");
            }
            (false, true) => {
                let mend = format!("end it, as `ss -ltnp` shows it, or set another port in {key}");
                findings.error(format!("{key}: another program listens at {address}"), mend);
            }
            (false, false) => {}
        }
    }
    runs
}

async fn accepts(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let connected = TcpStream::connect(SocketAddr::new(ip, address.port()));
    matches!(tokio::time::timeout(ACCEPTS_WITHIN, connected).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_bytes_and_files() {
        for (bytes, files, level, word) in [
            (100 << 30, (500, 1_000), Level::Ok, "100 GiB free"),
            (100 << 30, (0, 0), Level::Ok, "100 GiB"),
            (100 << 30, (9, 1_000), Level::Warning, "9 more files"),
            (1 << 30, (500, 1_000), Level::Warning, "1024 MiB"),
            (100 << 20, (500, 1_000), Level::Error, "about to fail"),
            (0, (0, 0), Level::Error, "0 MiB"),
        ] {
            let (found, said) = room(bytes, files);
            assert_eq!(found, level, "{said}");
            assert!(said.contains(word), "{said}");
        }
    }
}
