//! Path patterns of delegations (§4.5): shell wildcards that never cross a `/`.

use alloc::vec::Vec;

/// Whether a path matches a pattern: as many parts between slashes, each matching its own. `*` is any text, `?` one
/// letter, `[abc]`, `[a-z]` and `[!abc]` one letter of a set; a `[` that no `]` closes is itself.
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// One step of a pattern.
enum Step {
    Any,
    One,
    Letter(char),
    Set { ranges: Vec<(char, char)>, negated: bool },
}

impl Step {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Letter(own) => *own == letter,
            Self::Set { ranges, negated } => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&&letter)) != *negated
            }
        }
    }
}

fn steps(pattern: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        let (step, left) = match letter {
            '*' => (Step::Any, after),
            '?' => (Step::One, after),
            '[' => set(after).unwrap_or((Step::Letter('['), after)),
            letter => (Step::Letter(letter), after),
        };
        steps.push(step);
        rest = left;
    }
    steps
}

/// What stands behind a `[`, up to its `]`; the first letter of a set may be a `]` itself.
fn set(text: &str) -> Option<(Step, &str)> {
    let (negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
    let first = text.chars().next()?.len_utf8();
    let end = text.get(first..)?.find(']')?.checked_add(first)?;
    let (inside, left) = (text.get(..end)?, text.get(end.checked_add(1)?..)?);
    let mut ranges = Vec::new();
    let mut letters = inside.chars();
    while let Some(low) = letters.next() {
        let mut ahead = letters.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                ranges.push((low, high));
                letters = ahead;
            }
            _ => ranges.push((low, low)),
        }
    }
    Some((Step::Set { ranges, negated }, left))
}

/// Each `*` is widened only when what follows it fails: never more than pattern times text steps.
fn part_matches(pattern: &str, text: &str) -> bool {
    let (steps, letters) = (steps(pattern), text.chars().collect::<Vec<char>>());
    let (mut step, mut letter) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(next) = letters.get(letter) {
        match steps.get(step) {
            Some(Step::Any) => {
                star = Some((step, letter));
                step += 1;
            }
            Some(one) if one.takes(*next) => {
                step += 1;
                letter += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                step = at + 1;
                letter = from + 1;
            }
        }
    }
    steps.iter().skip(step).all(|left| matches!(left, Step::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_the_shell_means_and_never_crosses_a_slash() {
        #[rustfmt::skip]
        let rows = [
            // pattern            path                   matches
            ("*",                 "a",                   true),
            ("*",                 "",                    true),
            ("*",                 "a/b",                 false),
            ("*/*",               "a/b",                 true),
            ("targets/*.tgz",     "targets/foo.tgz",     true),
            ("targets/*.tgz",     "targets/foo.txt",     false),
            ("foo-version-?.tgz", "foo-version-2.tgz",   true),
            ("foo-version-?.tgz", "foo-version-alpha.tgz", false),
            ("*.tgz",             "targets/foo.tgz",     false),
            ("foo.tgz",           "foo.tgz",             true),
            ("foo.tgz",           "fooxtgz",             false),
            ("a*b*c",             "aXbYbZc",             true),
            ("a*b*c",             "aXbYbZ",              false),
            ("**a",               "bca",                 true),
            ("[ab]c",             "bc",                  true),
            ("[!ab]c",            "bc",                  false),
            ("[a-f]*",            "deep",                true),
            ("[a-f]*",            "green",               false),
            ("[]]",               "]",                   true),
            ("[a",                "[a",                  true),
            ("é?",                "éü",                  true),
            ("?",                 "/",                   false),
            ("",                  "",                    true),
            ("",                  "a",                   false),
        ];
        for (pattern, path, matches) in rows {
            assert_eq!(path_matches(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let (pattern, path) = ("*a".repeat(500), "a".repeat(400));
        assert!(!path_matches(&pattern, &path));
    }
}
