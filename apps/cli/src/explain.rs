//! `flowlake explain`.

use std::{fmt::Write, path::Path};

use flowlake_data_action::{
    ActionExplanation, Answer, Pipeline, ProcessEnvironment, Project, ScanExplanation, Step,
    TableInfo,
};
use serde_json::json;

use crate::{
    arguments::{DoctorFormat, Explain},
    check::detected,
    failure::Failure,
    output,
    parameter::parameters,
    run::request,
    text,
};

pub(crate) async fn explain(config: &Path, arguments: &Explain) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let inspector = Pipeline::builder(project.clone())
        .inspect(&ProcessEnvironment)
        .await?;
    let params = parameters(&arguments.params)?;
    let told = Box::pin(inspector.explain(&arguments.action, &params)).await?;
    let answer = if arguments.run {
        let mut request = request(&arguments.action, params);
        request.explain = true;
        let pipeline = Pipeline::builder(project)
            .with_broken_actions(true)
            .build(&ProcessEnvironment)
            .await?;
        Some(pipeline.run(request).await?)
    } else {
        None
    };
    let text = match arguments.format {
        DoctorFormat::Text => lines(&told, answer.as_ref()),
        DoctorFormat::Json => output::json(&json!({
            "explanation": told,
            "run": answer.as_ref().map(|answer| json!({
                "stats": answer.run,
                "steps": answer.steps,
                "duration_ms": answer.duration_ms,
                "audit_id": answer.audit_log.id,
            })),
        }))?,
    };
    Ok(output::print(&text)?)
}

fn lines(told: &ActionExplanation, answer: Option<&Answer>) -> String {
    let mut out = format!("{}: {}\n\nTables\n", told.action, told.description);
    for (table, location) in &told.locations {
        let _ = writeln!(out, "  {table} = {location}");
    }
    let plan = &told.explanation;
    for info in &plan.tables {
        let _ = writeln!(out, "  {}: {}", info.table, detected(info));
    }
    out += "\nReads\n";
    for scan in &plan.scans {
        let info = plan.tables.iter().find(|info| info.table == scan.table);
        read(&mut out, scan, info);
    }
    if plan.scans.len() > 1 {
        let _ = writeln!(out, "  together {}", text::bytes(plan.bytes_to_read()));
    }
    if !told.stages.is_empty() {
        out += "\nStages, which workers do\n";
        for stage in &told.stages {
            let files: Vec<String> = stage.files.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                out,
                "  {}: {} tasks, which read {} files",
                stage.number,
                stage.tasks,
                files.join(", "),
            );
        }
    }
    // The run's plan is the one that was explained, unless a file has changed in between: then the run's own steps are shown.
    let ran = answer.map(|answer| answer.steps.as_slice());
    let same = ran.filter(|ran| ran.len() == plan.steps.len());
    out += "\nSteps, the last one first\n";
    for (place, step) in plan.steps.iter().enumerate() {
        describe(&mut out, step, same.and_then(|ran| ran.get(place)));
    }
    let _ = writeln!(
        out,
        "\nMemory\n  steps keep at most about {}, readers about {}; the pool of all runs has {}\n  what does not fit is written to disk where a step says so, and else ends with limit.memory",
        text::bytes(plan.estimated_memory_bytes),
        text::bytes(plan.reader_memory_bytes),
        text::bytes(plan.pool_bytes),
    );
    let _ = writeln!(
        out,
        "\nAnswers at most {} rows, within {} ms",
        told.max_rows, told.timeout_ms
    );
    for (name, kind) in &plan.columns {
        let _ = writeln!(out, "  {name} {kind}");
    }
    if let Some(answer) = answer {
        run(&mut out, answer, same.is_none());
    }
    out
}

fn read(out: &mut String, scan: &ScanExplanation, info: Option<&TableInfo>) {
    let all = info.map_or(scan.files, |info| info.files);
    let _ = writeln!(
        out,
        "  {}: {} of {all} files, {}, about {} rows, {} side by side",
        scan.table,
        scan.files,
        bytes_of(scan),
        scan.estimated_rows,
        scan.threads,
    );
    for (what, names) in [
        ("columns", &scan.columns),
        ("files chosen by conditions on", &scan.conditions_on_files),
        (
            "rows left out while files are read: conditions on",
            &scan.conditions_pushed_down,
        ),
    ] {
        if !names.is_empty() {
            let _ = writeln!(out, "    {what} {}", names.join(", "));
        }
    }
    if let Some(limit) = scan.limit {
        let _ = writeln!(out, "    ends after {limit} rows");
    }
    for file in scan.first_files.iter().take(5) {
        let _ = writeln!(out, "    {file}");
    }
    if scan.files > 5 {
        let _ = writeln!(out, "    and {} more", scan.files - 5);
    }
}

/// What is read of the files: Parquet has columns that are not.
fn bytes_of(scan: &ScanExplanation) -> String {
    let all = text::bytes(scan.bytes_of_files);
    match scan.bytes_to_read == scan.bytes_of_files {
        true => format!("all of their {all}"),
        false => format!("at most {} of their {all}", text::bytes(scan.bytes_to_read)),
    }
}

fn describe(out: &mut String, step: &Step, ran: Option<&Step>) {
    let _ = write!(out, "  {}{}", "  ".repeat(step.depth), step.text);
    if let Some(bytes) = step.keeps_bytes {
        let spills = if step.spills { ", spills" } else { "" };
        let _ = write!(out, " (keeps at most about {}{spills})", text::bytes(bytes));
    }
    if let Some(ran) = ran.and_then(|step| step.run) {
        let _ = write!(out, " → {} rows, {} µs", ran.rows, ran.compute_us);
        if ran.spilled_bytes > 0 {
            let _ = write!(out, ", {} spilled", text::bytes(ran.spilled_bytes));
        }
        if let Some(bytes) = ran.read_bytes.filter(|bytes| *bytes > 0) {
            let _ = write!(out, ", {} read", text::bytes(bytes));
        }
        if let Some(pruned) = ran.pruned_row_groups.filter(|pruned| *pruned > 0) {
            let _ = write!(out, ", {pruned} row groups left out");
        }
    }
    out.push('\n');
}

fn run(out: &mut String, answer: &Answer, alone: bool) {
    let stats = &answer.run;
    let _ = writeln!(
        out,
        "\nRan: {} rows of {} that were decoded, {} taken from the store, {} spilled, {} rows left out, {} values made null{}\n  {}",
        stats.rows_out,
        stats.rows_scanned,
        text::bytes(stats.bytes_scanned),
        text::bytes(stats.spilled_bytes),
        stats.skipped_rows,
        stats.nulled_values,
        if stats.truncated {
            ", cut off at max_rows"
        } else {
            ""
        },
        text::summary(answer),
    );
    if alone {
        *out += "  the files have changed since they were looked at; the steps were\n";
        for step in &answer.steps {
            describe(out, step, Some(step));
        }
    }
}
