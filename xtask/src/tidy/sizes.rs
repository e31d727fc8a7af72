//! Lengths of files and functions, as far as lines tell them. Reported, never an error: a reader decides.

use std::path::Path;

use super::sources::SourceFile;

/// Lines beyond which something is reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of a file, without its tests.
    file: usize,
    /// Of a function.
    function: usize,
}

/// What the style aims at.
pub(super) const AIM: Limits = Limits {
    file: 400,
    function: 60,
};

/// What is hard to read whatever the reason.
pub(super) const SMELL: Limits = Limits {
    file: 800,
    function: 100,
};

/// What is longer than `limits` in one file.
pub(super) fn beyond(file: &SourceFile, limits: Limits) -> Vec<String> {
    if is_test(&file.path) {
        return Vec::new();
    }
    let path = file.path.display();
    let lines: Vec<&str> = file.text.lines().collect();
    // Other items of tests, such as an import, may stand anywhere.
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    let code = &lines[..tests.unwrap_or(lines.len())];
    let mut long = Vec::new();
    if code.len() > limits.file {
        long.push(format!("{path}: {} lines", code.len()));
    }
    for (index, line) in code.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        // rustfmt puts the closing brace of a body under the start of its function.
        let length = code[index..]
            .iter()
            .take_while(|line| **line != end)
            .count()
            + 1;
        if length > limits.function && index + length <= code.len() {
            long.push(format!("{path}:{}: fn {name}, {length} lines", index + 1));
        }
    }
    long
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The name of the function that starts on this line, when it has a body that is not on the same line.
fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let before = code.find("fn ").filter(|at| {
        code[..*at]
            .split_whitespace()
            .all(|word| word.starts_with("pub") || ["async", "const", "unsafe"].contains(&word))
    })?;
    let rest = &code[before + 3..];
    let name = rest
        .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .next()?;
    (!name.is_empty() && !code.ends_with('}') && !code.ends_with(';')).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn check(path: &str, text: String) -> Vec<String> {
        beyond(
            &SourceFile {
                path: PathBuf::from(path),
                text,
            },
            Limits {
                file: 20,
                function: 5,
            },
        )
    }

    #[test]
    fn a_long_function_is_measured_to_its_own_brace() {
        let body = "        if a {\n        }\n".repeat(3);
        let text = format!(
            "impl A {{\n    pub(crate) async fn long(&self) {{\n{body}    }}\n\n    fn short() {{}}\n}}\n"
        );
        assert_eq!(check("a.rs", text), ["a.rs:2: fn long, 8 lines"]);
    }

    #[test]
    fn tests_may_be_long() {
        assert!(
            check(
                "a.rs",
                format!("//! X\n#[cfg(test)]\nmod tests {{\n{}", "line\n".repeat(50))
            )
            .is_empty()
        );
        assert_eq!(
            check(
                "a.rs",
                format!("#[cfg(test)]\nuse a::b;\n{}", "line\n".repeat(50))
            ),
            ["a.rs: 52 lines"]
        );
        assert!(check("a/tests/b.rs", "line\n".repeat(50)).is_empty());
        assert_eq!(check("a.rs", "line\n".repeat(50)), ["a.rs: 50 lines"]);
    }
}
