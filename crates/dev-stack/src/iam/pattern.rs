//! `*` and `?` patterns and `${policy:variables}`.

use super::context::Context;

/// One piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Many,
    One,
    Char(char),
}

/// A pattern ready to be compared. Values put in for variables are never patterns themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// A pattern without variables.
    pub(crate) fn new(text: &str) -> Self {
        Self(pieces(text).collect())
    }

    /// A pattern whose `${…}` are replaced from the context; the error names the missing key.
    pub(crate) fn expand(text: &str, context: &Context) -> Result<Self, String> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            out.extend(pieces(&rest[..start]));
            let value = variable(&rest[start + 2..start + length], context)?;
            out.extend(value.chars().map(Piece::Char));
            rest = &rest[start + length + 1..];
        }
        out.extend(pieces(rest));
        Ok(Self(out))
    }

    /// Whether the whole text fits.
    pub(crate) fn matches(&self, text: &str) -> bool {
        fits(&self.0, text, |a, b| a == b)
    }

    /// Whether the whole text fits, upper and lower case being the same.
    pub(crate) fn matches_ignoring_case(&self, text: &str) -> bool {
        fits(&self.0, text, |a, b| {
            a == b || a.to_lowercase().eq(b.to_lowercase())
        })
    }
}

fn pieces(text: &str) -> impl Iterator<Item = Piece> + '_ {
    text.chars().map(|char| match char {
        '*' => Piece::Many,
        '?' => Piece::One,
        other => Piece::Char(other),
    })
}

/// `key`, `key, 'default'`, or one of the three escapes.
fn variable(body: &str, context: &Context) -> Result<String, String> {
    if matches!(body, "*" | "?" | "$") {
        return Ok(body.to_owned());
    }
    let (key, default) = match body.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (body.trim(), None),
    };
    match (context.get(key), default) {
        // A key of several values cannot stand in a text.
        (Some([value]), _) => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        _ => Err(key.to_owned()),
    }
}

/// The usual two-pointer walk: on a mismatch go back to the last `*` and let it take one more.
fn fits(pieces: &[Piece], text: &str, same: impl Fn(char, char) -> bool) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pieces.get(p) {
            Some(Piece::Many) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(Piece::One) => {
                p += 1;
                t += 1;
            }
            Some(Piece::Char(char)) if same(*char, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    p = star + 1;
                    t = taken + 1;
                    retry = Some((star, taken + 1));
                }
                None => return false,
            },
        }
    }
    pieces[p..].iter().all(|piece| *piece == Piece::Many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*", "s3:PutObject", false),
            ("s3:?etObject", "s3:GetObject", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("arn:aws:s3:::lake/*", "arn:aws:s3:::lake/a/b.csv", true),
            ("arn:aws:s3:::lake/*", "arn:aws:s3:::lake", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(Pattern::new("S3:getOBJECT").matches_ignoring_case("s3:GetObject"));
    }

    #[test]
    fn variables_are_values_never_patterns() {
        let context = Context::default().with("aws:username", ["a*"]);
        let pattern = Pattern::expand("home/${aws:username}/*", &context).unwrap();
        assert!(pattern.matches("home/a*/x"));
        assert!(!pattern.matches("home/abc/x"));
        assert_eq!(
            Pattern::expand("${aws:PrincipalTag/team}", &context),
            Err("aws:PrincipalTag/team".to_owned())
        );
        assert!(
            Pattern::expand("${aws:PrincipalTag/team, 'none'}", &context)
                .unwrap()
                .matches("none")
        );
        assert!(
            Pattern::expand("${*}", &context).unwrap().matches("*")
                && !Pattern::expand("${*}", &context).unwrap().matches("x")
        );
    }
}
