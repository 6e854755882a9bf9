//! Instances: which there are, where each stands, and what an operator may do about it.

use clap::{Args, Subcommand};
use client::{Client, InstanceQuery};
use governance::{InstanceId, Kind, State, Tier, Version};
use wire::{ChallengeOutcome, InstanceView};

use crate::connect::ConnectArgs;
use crate::table::{Column, folded};
use crate::{Failure, Output, values};

/// Instances asked for at a time.
const PAGE: u32 = 500;
/// Columns before the words of an explanation: those of the rule.
const EXPLAINED_INDENT: usize = 9;

/// Instances: which there are, where each stands, and what is found against it.
#[derive(Args, Clone, Debug)]
pub struct InstanceArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: InstanceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum InstanceCommand {
    /// Lists instances.
    List(ListArgs),
    /// Shows one instance with its findings and what clears them.
    Show {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
    },
    /// Says why an instance has not got a release yet, from when on it may, and what would have to change.
    Explain {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
        /// The release; otherwise every release that is newer than what the instance runs.
        release: Option<Version>,
    },
    /// Challenges an instance to show its last version statement under its key, at its endpoint or with its next check-in (HS-8).
    Challenge {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
    },
    /// Suspends an instance for its subscription (LC-8, LC-15).
    Suspend {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
    },
    /// Reactivates a suspended instance whose subscription and audit are in order (LC-9).
    Reactivate {
        /// The instance's id.
        #[arg(value_parser = values::instance)]
        id: InstanceId,
    },
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Only in this state, as `active` or `out-of-compliance`.
    #[arg(long)]
    state: Option<State>,
    /// Only with this platform version.
    #[arg(long, value_name = "VERSION")]
    platform: Option<Version>,
    /// Only of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only of this tier.
    #[arg(long)]
    tier: Option<Tier>,
    /// At most so many.
    #[arg(long, value_name = "N", value_parser = values::number::<usize>, default_value_t = 10_000)]
    limit: usize,
}

/// `fedplane instance`.
///
/// # Errors
/// When the plane refuses or cannot be reached.
pub async fn run(args: InstanceArgs, out: &Output) -> Result<(), Failure> {
    let client = args.connect.client()?;
    carry_out(&client, args.command, out).await.map_err(|mut failure| {
        let unknown = failure.reasons.iter_mut().filter(|reason| reason.code == "not-found");
        unknown.for_each(|reason| reason.hint = "`fedplane instance list` shows the ids".to_owned());
        failure
    })
}

async fn carry_out(client: &Client, command: InstanceCommand, out: &Output) -> Result<(), Failure> {
    let view = match command {
        InstanceCommand::List(filter) => {
            let items = list(client, &filter).await?;
            return out.show(&items, || listing(&items, out));
        }
        InstanceCommand::Show { id } => client.instance(id).await?,
        InstanceCommand::Explain { id, release } => {
            let told = client.instance_explain(id, release).await?;
            return out.show(&told, || explained(&told, out));
        }
        InstanceCommand::Challenge { id } => {
            let view = client.instance_challenge(id).await?;
            return out.show(&view, || challenged(&view));
        }
        InstanceCommand::Suspend { id } => client.instance_suspend(id).await?,
        InstanceCommand::Reactivate { id } => client.instance_reactivate(id).await?,
    };
    out.show(&view, || shown(&view, out))
}

async fn list(client: &Client, filter: &ListArgs) -> Result<Vec<InstanceView>, Failure> {
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string);
    let mut query = InstanceQuery {
        state: text(filter.state.as_ref().map(|value| value as _)),
        platform: text(filter.platform.as_ref().map(|value| value as _)),
        kind: text(filter.kind.as_ref().map(|value| value as _)),
        tier: text(filter.tier.as_ref().map(|value| value as _)),
        limit: Some(PAGE),
        ..InstanceQuery::default()
    };
    let mut items = Vec::new();
    while items.len() < filter.limit {
        let page = client.instances(&query).await?;
        items.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    items.truncate(filter.limit);
    Ok(items)
}

fn listing(items: &[InstanceView], out: &Output) -> String {
    let row = |view: &InstanceView| {
        let offer = view.offer.as_ref();
        vec![
            view.id.to_string(),
            labels(view),
            view.kind.to_string(),
            view.tier.to_string(),
            view.state.to_string(),
            out.time(view.since),
            view.platform.to_string(),
            offer.map_or_else(|| "-".to_owned(), |offer| format!("{} {}", offer.action, offer.release)),
            if view.findings.is_empty() {
                "-".to_owned()
            } else {
                view.findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>().join(" ")
            },
        ]
    };
    let header = [
        Column::new("instance"),
        Column::text("labels"),
        Column::new("kind").spare(6),
        Column::new("tier").spare(5),
        Column::new("state"),
        Column::new("since").spare(3),
        Column::new("platform").spare(1),
        Column::new("offer").spare(4),
        Column::text("findings").spare(2),
    ];
    let table = out.table(&header, items.iter().map(row));
    match items {
        [] => "No instance.".to_owned(),
        [_] => format!("{table}\n\n1 instance"),
        _ => format!("{table}\n\n{} instances", items.len()),
    }
}

fn challenged(view: &wire::ChallengeView) -> String {
    let told = match (view.outcome, view.sequence) {
        (ChallengeOutcome::Confirmed, Some(number)) => {
            format!("confirmed: its last statement is number {number}, as on record")
        }
        (ChallengeOutcome::Confirmed, None) => {
            "confirmed: it signed no statement yet, as on record".to_owned()
        }
        (ChallengeOutcome::Ahead, number) => {
            format!(
                "ahead: it signed statement {} already, whose report is on its way",
                number.unwrap_or_default()
            )
        }
        (ChallengeOutcome::Broken, _) => {
            "broken: the finding `version-chain-broken` is open (CO-9)".to_owned()
        }
        (ChallengeOutcome::OtherLedger, _) => {
            "other-ledger: it was shown another ledger than this one, which is before the Founder (LG-2)"
                .to_owned()
        }
        (ChallengeOutcome::Waiting, _) => "waiting: it is asked with its next check-in".to_owned(),
        (ChallengeOutcome::Unanswered, _) => "unanswered: ask again later".to_owned(),
    };
    let mut pairs = vec![("instance", view.instance.to_string()), ("challenge", told)];
    pairs.extend(view.detail.as_ref().map(|detail| ("because", detail.clone())));
    Output::pairs(&pairs)
}

/// What operators call it by.
fn labels(view: &InstanceView) -> String {
    let labels = view.labels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if labels.is_empty() { "-".to_owned() } else { labels }
}

/// Line by line, each folded under itself where a terminal is too narrow.
fn explained(told: &wire::Explanation, out: &Output) -> String {
    let text = told.to_string();
    let Some(columns) = out.columns() else { return text };
    let fold = |line: &str| folded(line, columns, if line.starts_with(' ') { EXPLAINED_INDENT } else { 0 });
    text.lines().flat_map(fold).collect::<Vec<_>>().join("\n")
}

/// Words with commas between, or a dash for none.
fn words<T: ToString>(items: &[T]) -> String {
    let words = items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if words.is_empty() { "-".to_owned() } else { words }
}

fn shown(view: &InstanceView, out: &Output) -> String {
    let none = || "-".to_owned();
    let offer = view.offer.as_ref().map_or_else(none, |offer| {
        let deadline = offer.deadline.map_or_else(String::new, |at| format!(", due {at}"));
        format!("{} {} since {}{deadline}", offer.action, offer.release, offer.phase)
    });
    let warnings: Vec<String> =
        view.warnings.iter().map(|warning| format!("{} ({})", warning.window, warning.point)).collect();
    let silenced = |given: &wire::OverrideView| format!("{} until {}", given.finding, given.until);
    let overrides: Vec<String> = view.overrides.iter().map(silenced).collect();
    let pairs = Output::pairs(&[
        ("instance", view.id.to_string()),
        ("kind", view.kind.to_string()),
        ("tier", view.tier.to_string()),
        ("subscription", view.subscription.to_string()),
        ("provider", view.provider.as_ref().map_or_else(none, ToString::to_string)),
        ("labels", labels(view)),
        ("state", format!("{} since {}", view.state, view.since)),
        ("platform", view.platform.to_string()),
        ("runtime", view.runtime.to_string()),
        ("endpoint", view.endpoint.as_ref().map_or_else(none, ToString::to_string)),
        ("reported", view.reported.to_string()),
        ("offer", offer),
        ("domains", words(&view.domains)),
        ("warned of", words(&warnings)),
        ("overrides", words(&overrides)),
        ("installing", view.installing.map_or_else(none, |version| version.to_string())),
    ]);
    let row = |finding: &wire::FindingView| {
        let wire::FindingView { code, rule, since, cleared_by } = finding.clone();
        vec![code, rule, out.time(since), cleared_by]
    };
    let header =
        [Column::new("finding"), Column::new("rule"), Column::new("since"), Column::text("cleared by")];
    let findings = out.table(&header, view.findings.iter().map(row));
    let row = |notice: &wire::NoticeView| {
        vec![notice.domain.to_string(), out.time(notice.since), out.time(notice.until)]
    };
    let header = [Column::new("to be switched off"), Column::new("since"), Column::new("until")];
    let notices = if view.notices.is_empty() {
        String::new()
    } else {
        out.table(&header, view.notices.iter().map(row))
    };
    Output::parts(&[pairs, findings, notices, super::federation::escalation_table(&view.escalations, out)])
}
