//! What an option's value may be: whatever is written wrong is answered with an example.

use std::str::FromStr;

use governance::InstanceId;

/// Reads a whole number.
///
/// # Errors
/// With an example.
pub fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number in digits, as 42".to_owned())
}

/// Reads an instance's id.
///
/// # Errors
/// With an example, and where ids are listed.
pub fn instance(text: &str) -> Result<InstanceId, String> {
    text.parse().map_err(|_| {
        "write it as 2c5ea4c0-4067-4fe9-8bad-9b1deb4d3b7d; `fedplane instance list` shows the ids".to_owned()
    })
}
