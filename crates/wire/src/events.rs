//! Events that the plane sends to an instance that listens: server-sent events (WHATWG HTML §9.2), of which there is one kind.
//!
//! An event is unsigned and tells nothing but that a check-in may bring something: whoever forged one would cause a check-in.

use core::str;

use serde::{Deserialize, Serialize};

/// The media type of a stream of events.
pub const MEDIA: &str = "text/event-stream";
/// Bytes of one event as it is read.
pub const EVENT_BYTES_MAX: usize = 1_024;
/// What is said while there is nothing to say, so that both ends know that the other is there.
pub const HEARTBEAT: &str = ":\n\n";
/// The kind of event that [`Look`] is.
const LOOK: &str = "look";

/// Tells an instance to check in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Why, in a word: `security`, `red-switch`, `challenge`, `offer`, `standing`, `law`, `freeze`, `opened`; others may come.
    pub why: String,
    /// Within how many milliseconds, at an instant of the instance's own choice; 0: now.
    pub within_ms: u64,
}

impl Look {
    /// As it is sent.
    #[must_use]
    pub fn to_event(&self) -> String {
        // A word and a number: nothing in them ends a line.
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("event: {LOOK}\ndata: {data}\n\n")
    }
}

/// Why a stream is read no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event without an end.
    #[error("an event has more than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// A line that is not text.
    #[error("a line of it is not UTF-8")]
    Text,
    /// What it says is not understood.
    #[error("what it says is not understood: {0}")]
    Data(String),
}

/// Reads events from pieces of a stream, however it was cut.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    /// Whether the last byte was a carriage return: a line feed behind it ends no further line.
    returned: bool,
    kind: String,
    data: String,
}

impl EventReader {
    /// Reads one more piece; gives what it completes. Kinds of events that are not known are passed over.
    ///
    /// # Errors
    /// [`EventError`]: then nothing behind it counts.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Look>, EventError> {
        let mut found = Vec::new();
        for byte in piece {
            let again = core::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if again => {}
                b'\n' | b'\r' => {
                    let line = core::mem::take(&mut self.line);
                    let line = str::from_utf8(&line).map_err(|_| EventError::Text)?;
                    found.extend(self.line(line)?);
                }
                _ if self.line.len() + self.data.len() + self.kind.len() >= EVENT_BYTES_MAX => {
                    return Err(EventError::TooLong);
                }
                _ => self.line.push(*byte),
            }
        }
        Ok(found)
    }

    fn line(&mut self, line: &str) -> Result<Option<Look>, EventError> {
        if line.is_empty() {
            let (kind, data) = (core::mem::take(&mut self.kind), core::mem::take(&mut self.data));
            if kind != LOOK || data.is_empty() {
                return Ok(None);
            }
            return serde_json::from_str(&data)
                .map(Some)
                .map_err(|error| EventError::Data(error.to_string()));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment, as heartbeats are, or what there is no use for here.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(why: &str, within_ms: u64) -> Look {
        Look { why: why.to_owned(), within_ms }
    }

    #[test]
    fn events_are_read_as_they_are_sent_however_they_are_cut() {
        let looks = [look("security", 0), look("offer", 15_000)];
        let sent = format!(
            "{HEARTBEAT}{}: a comment\nretry: 5\nevent: other\ndata: {{}}\n\n{HEARTBEAT}{}",
            looks[0].to_event(),
            looks[1].to_event().replace('\n', "\r\n")
        );
        for size in 1..sent.len() {
            let mut reader = EventReader::default();
            let read = sent.as_bytes().chunks(size).flat_map(|piece| reader.push(piece).unwrap());
            assert_eq!(read.collect::<Vec<_>>(), looks, "{size}");
        }
        // As others write it: carriage returns alone, no space, data in two lines, a field more than is known here.
        let mut reader = EventReader::default();
        let other = b"event:look\rdata:{\"why\":\"new\",\rdata:\"within_ms\":1,\"more\":2}\r\r";
        assert_eq!(reader.push(other).unwrap(), [look("new", 1)]);
    }

    #[test]
    fn what_is_no_event_is_refused_and_nothing_grows_without_end() {
        let check = |text: &[u8], expected: EventError| {
            assert_eq!(EventReader::default().push(text), Err(expected), "{text:?}");
        };
        check(&[b'x'; EVENT_BYTES_MAX + 1], EventError::TooLong);
        check("data: 12345678\n".repeat(EVENT_BYTES_MAX / 8).as_bytes(), EventError::TooLong);
        check(b"data: \xff\n", EventError::Text);
        let error = EventReader::default().push(b"event: look\ndata: 7\n\n").unwrap_err();
        assert!(matches!(error, EventError::Data(_)), "{error}");
        let mut reader = EventReader::default();
        for _ in 0..100_000 {
            assert_eq!(reader.push(HEARTBEAT.as_bytes()), Ok(Vec::new()), "heartbeats weigh nothing");
        }
    }
}
