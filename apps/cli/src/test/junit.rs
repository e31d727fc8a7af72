//! The report that build servers read: the XML of `JUnit`, one suite for each test file.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::{
    outcome::{Outcome, Verdict},
    report::detail,
};
use crate::colour::Colour;

/// The whole report.
pub(super) fn report(outcomes: &[Outcome]) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites = BytesStart::new("testsuites");
    counts(&mut suites, outcomes);
    writer.write_event(Event::Start(suites))?;
    for suite in outcomes.chunk_by(|a, b| a.action == b.action) {
        let mut element = BytesStart::new("testsuite");
        element.push_attribute(("name", suite[0].action.as_str()));
        counts(&mut element, suite);
        writer.write_event(Event::Start(element))?;
        for outcome in suite {
            case(&mut writer, outcome)?;
        }
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut report = writer.into_inner();
    report.push(b'\n');
    Ok(report)
}

/// Tests, failures, errors and seconds.
fn counts(element: &mut BytesStart<'_>, outcomes: &[Outcome]) {
    let count = |is: fn(&Verdict) -> bool| {
        let found = outcomes.iter().filter(|outcome| is(&outcome.verdict));
        found.count().to_string()
    };
    let errors = count(|verdict| matches!(verdict, Verdict::Fault(_)));
    let failures = count(|verdict| !verdict.is_good() && !matches!(verdict, Verdict::Fault(_)));
    let seconds: f64 = outcomes.iter().map(Outcome::milliseconds).sum::<f64>() / 1e3;
    element.push_attribute(("tests", outcomes.len().to_string().as_str()));
    element.push_attribute(("failures", failures.as_str()));
    element.push_attribute(("errors", errors.as_str()));
    element.push_attribute(("time", format!("{seconds:.3}").as_str()));
}

fn case(writer: &mut Writer<Vec<u8>>, outcome: &Outcome) -> io::Result<()> {
    let mut element = BytesStart::new("testcase");
    element.push_attribute(("classname", outcome.action.as_str()));
    element.push_attribute(("name", outcome.case.as_str()));
    element.push_attribute(("file", outcome.path.to_string_lossy().as_ref()));
    element.push_attribute(("line", outcome.line.to_string().as_str()));
    let seconds = outcome.milliseconds() / 1e3;
    element.push_attribute(("time", format!("{seconds:.3}").as_str()));
    if outcome.verdict.is_good() {
        return writer.write_event(Event::Empty(element));
    }
    let kind = match outcome.verdict {
        Verdict::Fault(_) => "error",
        _ => "failure",
    };
    let detail = permitted(&detail(&outcome.verdict, Colour::NONE));
    let mut failure = BytesStart::new(kind);
    failure.push_attribute(("message", detail.lines().next().unwrap_or_default()));
    writer.write_event(Event::Start(element))?;
    writer.write_event(Event::Start(failure))?;
    writer.write_event(Event::Text(BytesText::new(&detail)))?;
    writer.write_event(Event::End(BytesEnd::new(kind)))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// XML 1.0 has no place for most control characters.
fn permitted(text: &str) -> String {
    text.replace(
        |c: char| c.is_control() && !matches!(c, '\n' | '\t'),
        "\u{fffd}",
    )
}
