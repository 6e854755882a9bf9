//! The way into the dashboard: a link that opens one session, for whoever's certificate this is (AU-1).

use clap::{Args, Subcommand};

use crate::connect::ConnectArgs;
use crate::{Failure, Output};

/// The dashboard, for a browser.
#[derive(Args, Clone, Debug)]
pub struct DashboardArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: DashboardCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DashboardCommand {
    /// Gives a link that signs in to the dashboard once, within five minutes, as whoever's certificate is used.
    Link,
}

/// `fedplane dashboard`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: DashboardArgs, out: &Output) -> Result<(), Failure> {
    let DashboardCommand::Link = args.command;
    let link = args.connect.client()?.dashboard_link().await?;
    out.show(&link, || {
        let pairs = [
            ("open in a browser", link.url.clone()),
            ("works once, until", out.time(link.expires)),
            ("certificate shown", spelled(&link.certificate)),
        ];
        let note = "A browser that does not know the certificate asks whether to go on: do so only where the SHA-256 fingerprint \
                    that it shows is the one above.";
        format!("{}\n{note}", Output::pairs(&pairs))
    })
}

/// A fingerprint as browsers write it.
fn spelled(hex: &str) -> String {
    let bytes: Vec<String> =
        hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fingerprint_is_spelled_as_browsers_do() {
        assert_eq!(super::spelled("0aff"), "0A:FF");
    }
}
