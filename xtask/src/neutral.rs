//! Holds HS-9: what ships names no vendor of clouds, databases, brokers, logging or monitoring; adapters do that.
//!
//! Goes by the words of the sources and of the settings' defaults, which are sources too: a guard, not a proof.

use crate::Report;
use crate::tree::{SourceFile, files, shipped_part};

/// Vendors whose names may stand nowhere.
#[rustfmt::skip]
const NOBODY: &[&str] = &[
    "amazon", "aws", "azure", "bigquery", "cloudflare", "cloudfront", "digitalocean", "dynamodb", "ec2", "firebase", "gcp",
    "googleapis", "hetzner", "heroku", "kubernetes", "lambda", "openshift", "openstack", "s3",
    "activemq", "eventbridge", "kafka", "kinesis", "mosquitto", "nats", "pubsub", "pulsar", "rabbitmq", "redis", "sqs",
    "cassandra", "clickhouse", "cockroach", "couchdb", "mariadb", "mongodb", "mssql", "mysql", "oracle", "postgres",
    "cloudwatch", "datadog", "dynatrace", "elastic", "grafana", "graylog", "honeycomb", "jaeger", "kibana", "logstash",
    "loki", "newrelic", "pagerduty", "prometheus", "sentry", "splunk", "stackdriver", "zipkin",
];

/// Databases that the adapter may name, and the two crates that choose the adapter.
const DATABASES: &[&str] = &["sqlite", "postgres"];
/// The adapter, and those who choose it.
const MAY_NAME_A_DATABASE: &[&str] = &["store", "server", "fedplane"];

/// Names of libraries that begin like a vendor: a crypto library, and the encoder of the OpenMetrics text format.
const LIBRARIES: &[&str] = &["aws_lc_rs", "aws-lc", "aws_lc", "prometheus_client"];

/// A name as short as this counts only as a whole word, one longer than that at the head of a word: `KafkaProducer`.
const WORD_MAX: usize = 4;
/// A name longer than this counts anywhere.
const HEAD_MAX: usize = 6;

/// Judges what ships.
pub(crate) fn check() -> anyhow::Result<Report> {
    let sources = files("crates", &[".rs"])?;
    let problems = sources.iter().flat_map(judge).collect();
    Ok(Report { notes: vec![format!("{} source files", sources.len())], problems })
}

fn judge(file: &SourceFile) -> Vec<String> {
    let crate_name = file.path.split('/').nth(1).unwrap_or("");
    let mut problems = Vec::new();
    for (at, line) in shipped_part(file).lines().enumerate() {
        let line = LIBRARIES.iter().fold(line.to_lowercase(), |line, library| line.replace(library, ""));
        for vendor in NOBODY.iter().chain(DATABASES).filter(|vendor| names(&line, vendor)) {
            if !(DATABASES.contains(vendor) && MAY_NAME_A_DATABASE.contains(&crate_name)) {
                problems.push(format!("{}:{} names {vendor} (HS-9)", file.path, at + 1));
            }
        }
    }
    problems.dedup();
    problems
}

fn names(line: &str, vendor: &str) -> bool {
    if vendor.len() > HEAD_MAX {
        return line.contains(vendor);
    }
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| word == vendor || (vendor.len() > WORD_MAX && word.starts_with(vendor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs_9_what_ships_names_no_vendor() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn hs_9_vendors_are_found_and_libraries_are_not() {
        let check = |path: &str, text: &str, count: usize| {
            let file = SourceFile { path: path.into(), text: text.into() };
            assert_eq!(judge(&file).len(), count, "{path}: {text}");
        };
        check("crates/plane/src/a.rs", "let bucket = \"s3://packages\";", 1);
        check("crates/plane/src/a.rs", "const URL: &str = \"https://sqs.amazonaws.com\";", 2);
        check("crates/plane/src/a.rs", "use store::SqliteStore;", 1);
        check("crates/server/src/a.rs", "use store::SqliteStore;", 0);
        check("crates/server/src/a.rs", "let broker = KafkaProducer::new();", 1);
        check("crates/server/src/a.rs", "let broker = \"kafka:9092\";", 1);
        check("crates/trust/src/a.rs", "use aws_lc_rs::signature;", 0);
        check("crates/server/src/a.rs", "use prometheus_client::registry::Registry;", 0);
        check("crates/agent/src/a.rs", "// It withdraws and alternates.", 0);
        check("crates/agent/src/a.rs", "#[cfg(test)] mod tests { /* grafana */ }", 0);
    }
}
