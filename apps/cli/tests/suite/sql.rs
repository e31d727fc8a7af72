//! `flowlake sql`: questions of files on this machine and on S3, without an action.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use flowlake_aws_access::StaticCredentials;
use flowlake_data_action::{Config, ProcessEnvironment, worker};
use flowlake_dev_stack::generated_cases;
use serde_json::{Value, json};

use crate::{
    desk::Desk,
    support::{House, READER, output_of, record},
};

#[tokio::test]
async fn a_file_of_this_machine_is_asked_with_nothing_configured() {
    let desk = Desk::new();
    let sql = "SELECT queue, sum(ms) AS ms FROM 'data/calls.csv' WHERE ani <> '+12025550143' GROUP BY queue";
    let (out, told) = desk.asked(&["sql", sql], 0).await;
    assert_eq!(
        out,
        "┌───────┬──────┐\n\
         │ queue ┆   ms │\n\
         ╞═══════╪══════╡\n\
         │ Sales ┆ 2100 │\n\
         └───────┴──────┘\n"
    );
    assert!(told.contains("1 rows, 96 B read"), "{told}");
    let records = desk.records().await;
    let record = &records[0];
    let file = desk.path("data/calls.csv").canonicalize().unwrap();
    let key = file.to_str().unwrap().trim_start_matches('/');
    assert_eq!(record["objects"][0]["bucket"], "(local files)");
    assert_eq!(record["objects"][0]["key"], key);
    assert_eq!(
        (&record["action"], &record["caller"]),
        (&json!("(sql)"), &json!("cli:tester"))
    );
    // Constants may be personal data.
    assert_eq!(
        record["sql"],
        "SELECT queue, sum(ms) AS ms FROM \"calls\" WHERE ani <> ? GROUP BY queue"
    );
    assert_eq!(
        (&record["rows"], &record["bytes_transferred"]),
        (&json!(1), &json!(0))
    );
    assert!(record.get("principal").is_none(), "{record}");
}

#[tokio::test]
async fn rows_come_in_every_format_to_standard_output_or_a_file() {
    let desk = Desk::new();
    let sql = "SELECT id, queue FROM 'data/calls.csv' WHERE id < 3 ORDER BY id";
    let expected = json!([{ "id": 1, "queue": "Sales" }, { "id": 2, "queue": "Support" }]);
    assert_eq!(desk.rows(sql, &[]).await, expected);
    let (out, _) = desk.asked(&["sql", sql, "--format", "ndjson"], 0).await;
    assert_eq!(
        out,
        "{\"id\":1,\"queue\":\"Sales\"}\n{\"id\":2,\"queue\":\"Support\"}\n"
    );
    let (out, told) = desk.asked(&["sql", sql, "--format", "csv"], 0).await;
    assert_eq!(
        (out.as_str(), told.as_str()),
        ("id,queue\n1,Sales\n2,Support\n", "")
    );
    for file in [
        "out.json",
        "out.ndjson",
        "out.csv",
        "out.parquet",
        "out.arrow",
        "out.arrows",
        "out.tsv",
        "out.csv.gz",
        "out.tsv.GZ",
        "out.json.gz",
        "out.ndjson.gz",
    ] {
        let (out, told) = desk.asked(&["sql", sql, "-o", file], 0).await;
        assert_eq!(out, "", "{file}");
        assert!(told.contains(&format!("written to {file}")), "{told}");
        let read = format!("SELECT id, queue FROM '{file}' ORDER BY id");
        assert_eq!(desk.rows(&read, &[]).await, expected, "{file}");
    }
    let told = desk.refused(&["sql", sql, "-o", "out.xyz"], 2).await;
    assert!(told.contains("does not say a format"), "{told}");
    assert!(!desk.path("out.xyz").exists());
}

/// Files are what their names say to other programs.
#[tokio::test]
async fn files_are_in_the_form_that_their_names_say() {
    let desk = Desk::new();
    let sql = "SELECT id, NULL AS n, 'a\tb' AS t FROM 'data/calls.csv' WHERE id < 3 ORDER BY id";
    let (out, _) = desk.asked(&["sql", sql, "--format", "tsv"], 0).await;
    assert_eq!(out, "id\tn\tt\n1\t\t\"a\tb\"\n2\t\t\"a\tb\"\n");
    let sql = "SELECT id FROM 'data/calls.csv' ORDER BY id";
    desk.asked(&["sql", sql, "-o", "out.arrow"], 0).await;
    desk.asked(&["sql", sql, "-o", "out.arrows"], 0).await;
    desk.asked(&["sql", sql, "-o", "out.csv.gz"], 0).await;
    let begin = |name: &str| std::fs::read(desk.path(name)).unwrap()[..6].to_vec();
    assert_eq!(begin("out.arrow"), b"ARROW1");
    assert_eq!(begin("out.arrows")[..4], [0xff; 4]);
    let file = std::fs::File::open(desk.path("out.csv.gz")).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    assert_eq!(text, "id\n1\n2\n3\n");
    for name in ["out.parquet.gz", "out.arrow.gz", "out.xlsx.gz"] {
        let told = desk.refused(&["sql", sql, "-o", name], 2).await;
        assert!(told.contains("not written inside gzip"), "{told}");
        assert!(!desk.path(name).exists());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let desk = Desk::new();
    let told = desk
        .refused(&["sql", "SELECT 1", "-o", "nosuch/x.csv"], 6)
        .await;
    assert!(
        told.contains("there is no folder nosuch") && told.contains("Make the folder"),
        "{told}"
    );
}

/// What a pipe gives is read as a file, twice where the SQL does so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn standard_input_is_a_file() {
    let desk = Desk::new();
    let piped = |arguments: &[&str], input: Vec<u8>| {
        let mut command = desk.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &input).ok());
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            told,
            output.status.code(),
        )
    };
    // More than a pipe holds.
    let mut text = "id,name\n".to_owned();
    for id in 0..20_000 {
        text += &format!("{id},name of {id}\n");
    }
    for sql in [
        "SELECT count(*) AS n, count(DISTINCT stdin.name) AS m FROM '-'",
        "SELECT count(*) AS n, max(a.id) + 1 AS m FROM '/dev/stdin' a JOIN '/dev/stdin' b ON a.id = b.id",
    ] {
        let (out, told, code) = piped(&["sql", sql, "--format", "csv"], text.clone().into_bytes());
        assert_eq!(
            (out.as_str(), code),
            ("n,m\n20000,20000\n", Some(0)),
            "{told}"
        );
    }
    let parquet = {
        let sql = "SELECT id FROM 'data/calls.csv'";
        desk.asked(&["sql", sql, "-o", "out.parquet"], 0).await;
        std::fs::read(desk.path("out.parquet")).unwrap()
    };
    let (out, told, _) = piped(
        &["sql", "SELECT sum(id) AS s FROM '-'", "--format", "csv"],
        parquet,
    );
    assert_eq!(out, "s\n6\n", "{told}");
    let options = [
        "sql",
        "-t",
        "t=-,format=csv,header=false,delimiter=;",
        "SELECT column_2 FROM t",
        "--format",
        "csv",
    ];
    let (out, told, _) = piped(&options, b"1;x\n2;y\n".to_vec());
    assert_eq!(out, "column_2\nx\ny\n", "{told}");
    let (_, told, code) = piped(&["sql", "SELECT * FROM '-'"], Vec::new());
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("it is empty"), "{told}");
    let (out, told, _) = piped(&["inspect", "-", "--toml"], b"id,name\n1,Ana\n".to_vec());
    assert!(
        out.contains("[tables.stdin]") && out.contains("format = \"csv\""),
        "{out}{told}"
    );
    desk.lay("-", "n,m\n7,8\n");
    assert_eq!(
        desk.rows("FROM './-'", &[]).await,
        json!([{ "n": 7, "m": 8 }])
    );
}

#[tokio::test]
async fn columns_without_a_name_are_headed_as_they_are_typed() {
    let desk = Desk::new();
    let sql = "SELECT 1, 'x', COUNT(*), sum(calls.ms), try_cast(queue as int), round(avg(ms) / 1000, 1) FROM 'data/calls.csv' GROUP BY queue ORDER BY sum(calls.ms) LIMIT 1";
    assert_eq!(
        desk.rows(sql, &[]).await,
        json!([{ "1": 1, "'x'": "x", "count(*)": 2, "sum(calls.ms)": 2100, "TRY_CAST(queue AS INT)": null, "round(avg(ms) / 1000, 1)": 1.1 }])
    );
    for (sql, rows) in [
        (
            "SELECT DISTINCT lower(queue) FROM 'data/calls.csv' ORDER BY lower(queue)",
            json!([{ "lower(queue)": "sales" }, { "lower(queue)": "support" }]),
        ),
        (
            "SELECT CAST(id AS VARCHAR) || '0' FROM 'data/calls.csv' ORDER BY id DESC LIMIT 1",
            json!([{ "CAST(id AS VARCHAR) || '0'": "30" }]),
        ),
        (
            "SELECT id, CAST(id AS VARCHAR) FROM 'data/calls.csv' ORDER BY 1 LIMIT 1",
            json!([{ "id": 1, "CAST(id AS VARCHAR)": "1" }]),
        ),
        (
            "SELECT max(ms) FROM 'data/calls.csv' UNION ALL SELECT 5 ORDER BY 1",
            json!([{ "max(ms)": 5 }, { "max(ms)": 34000 }]),
        ),
        (
            "SELECT id + $n FROM 'data/calls.csv' WHERE id = 2 GROUP BY id + $n HAVING count(*) = 1",
            json!([{ "id + $n": 3 }]),
        ),
        (
            "SELECT count(*) FROM (SELECT count(*) FROM 'data/calls.csv' GROUP BY queue)",
            json!([{ "count(*)": 2 }]),
        ),
    ] {
        let with: &[&str] = if sql.contains("$n") {
            &["--param", "n=1"]
        } else {
            &[]
        };
        assert_eq!(desk.rows(sql, with).await, rows, "{sql}");
    }
    // Constants are in no record, in the name of a column neither.
    let records = desk.records().await;
    assert!(
        !records
            .iter()
            .any(|record| record["sql"].to_string().contains("'x'"))
    );
}

#[tokio::test]
async fn patterns_of_files_stay_in_their_folder_as_those_of_shells_do() {
    let desk = Desk::new();
    for (file, id) in [
        ("a", 1),
        ("b", 2),
        ("deep/c", 3),
        ("deep/er/d", 4),
        (".git/e", 5),
        ("_f", 6),
    ] {
        desk.lay(&format!("logs/{file}.csv"), &format!("id\n{id}\n"));
    }
    desk.lay("logs/year=2026/g.csv", "id\n7\n");
    let ids = async |files: &str| {
        let sql = format!("SELECT id FROM '{files}' ORDER BY id");
        let rows = desk.rows(&sql, &[]).await;
        let ids = rows.as_array().unwrap().iter();
        ids.map(|row| row["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("logs/*.csv").await, [1, 2]);
    assert_eq!(ids("./logs/../logs/[ab].csv").await, [1, 2]);
    assert_eq!(ids("logs/*/*.csv").await, [3, 7]);
    assert_eq!(ids("logs/deep/**.csv").await, [3, 4]);
    assert_eq!(ids("logs/deep/").await, [3, 4]);
    let absolute = desk.path("logs/deep/").display().to_string();
    assert_eq!(ids(&absolute).await, [3, 4]);
    assert_eq!(ids(&format!("file://{absolute}c.csv")).await, [3]);
    let rows = desk.rows("SELECT year FROM 'logs/year=*/*.csv'", &[]).await;
    assert_eq!(rows, json!([{ "year": 2026 }]));
    let told = desk
        .refused(&["sql", "SELECT 1 FROM 'logs/*.json'"], 4)
        .await;
    assert!(
        told.contains("data.no_files") && told.contains("/logs/*.json"),
        "{told}"
    );
    let told = desk
        .refused(&["sql", "SELECT 1 FROM 'logs/x.csv'"], 4)
        .await;
    assert!(
        told.contains("file.not_found") && told.contains("/logs/x.csv does not exist"),
        "{told}"
    );
    let told = desk.refused(&["sql", "SELECT 1 FROM 'logs'"], 3).await;
    assert!(
        told.contains("file.unreadable") && told.contains("is a folder"),
        "{told}"
    );
    let told = desk
        .refused(&["sql", "SELECT 1 FROM 'http://x/y.csv'"], 2)
        .await;
    assert!(
        told.contains("must be s3://bucket/key, or the path of a file"),
        "{told}"
    );
    // What could not be read is in the record too.
    let records = desk.records().await;
    let codes: Vec<_> = records
        .iter()
        .map(|record| record["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.ends_with(&["data.no_files", "file.not_found", "file.unreadable"]),
        "{codes:?}"
    );
}

#[tokio::test]
async fn what_an_answer_lacks_is_said_to_the_quiet_too() {
    let desk = Desk::new();
    desk.lay("data/odd.csv", "n,v\n1,2\nbroken\n3,4\n");
    let skip = "t=data/odd.csv,on_error=skip";
    let (_, told) = desk
        .asked(&["sql", "-q", "SELECT * FROM t", "-t", skip], 0)
        .await;
    assert_eq!(told, "note: 1 rows that did not fit were left out\n");
    let null = "t=data/odd.csv,on_error=null";
    let (_, told) = desk
        .asked(&["sql", "-q", "SELECT * FROM t", "-t", null], 0)
        .await;
    assert!(
        told.contains("values that did not fit were made null"),
        "{told}"
    );
    let sql = "SELECT id FROM 'data/calls.csv'";
    let (_, told) = desk.asked(&["sql", "-q", sql, "--rows", "2"], 0).await;
    assert!(told.starts_with("note: only the first 2 rows"), "{told}");
    let declared = "t=data/calls.csv,columns={id=\"integer\",nmae=\"string\"}";
    let (_, told) = desk
        .asked(&["sql", "-q", "SELECT * FROM t", "-t", declared], 0)
        .await;
    assert!(
        told.contains("`nmae` is declared under `columns`"),
        "{told}"
    );
    let (_, told) = desk.asked(&["sql", "-q", sql], 0).await;
    assert_eq!(told, "");
}

#[tokio::test]
async fn tables_have_names_and_options_and_the_sql_parameters() {
    let desk = Desk::new();
    desk.lay(
        "data/odd.txt",
        "1;x;2026-01-05\n2;\"y;z\";2026-02-05\nbroken\n",
    );
    let odd = "odd=data/odd.txt,format=csv,delimiter=;,header=false,on_error=skip,columns={n=\"integer\",t=\"string\",d=\"date\"}";
    let sql = "SELECT t FROM odd WHERE n = $n AND d = $d";
    let given = ["-t", odd, "--param", "n=2", "--param", "d=2026-02-05"];
    assert_eq!(desk.rows(sql, &given).await, json!([{ "t": "y;z" }]));
    // Of two tables and a file in one query, each has its name.
    let sql =
        "SELECT calls.queue, odd.t FROM 'data/calls.csv' JOIN odd ON odd.n = calls.id ORDER BY n";
    let rows = desk.rows(sql, &["-t", odd]).await;
    assert_eq!(
        rows,
        json!([{ "queue": "Sales", "t": "x" }, { "queue": "Support", "t": "y;z" }])
    );
    // A number that is an account's: text, where that is said.
    let sql = "SELECT count(*) AS calls FROM 'data/calls.csv' WHERE CAST(id AS VARCHAR) = $id";
    let rows = desk.rows(sql, &["--param", "id:string=3"]).await;
    assert_eq!(rows, json!([{ "calls": 1 }]));
    desk.lay(
        "q.sql",
        "-- a file\nSELECT count(*) AS calls FROM 'data/{name}.csv';\n",
    );
    let (out, _) = desk
        .asked(
            &[
                "sql",
                "-f",
                "q.sql",
                "--param",
                "name=calls",
                "--format",
                "csv",
            ],
            0,
        )
        .await;
    assert_eq!(out, "calls\n3\n");
    let told = desk
        .refused(&["sql", "SELECT $x FROM 'data/calls.csv'"], 2)
        .await;
    assert!(told.contains("the parameter `x` is used"), "{told}");
    let told = desk.refused(&["sql", "SELECT 1 FROM nowhere"], 2).await;
    assert!(
        told.contains("sql.unknown_table") && told.contains("-t NAME=FILE"),
        "{told}"
    );
    let told = desk
        .refused(&["sql", "SELECT 1", "-t", "t=a.csv,delimiters=;"], 2)
        .await;
    assert!(told.contains("delimiters"), "{told}");
    // A value of a parameter is recorded as a hash.
    let recorded = serde_json::to_string(&desk.records().await).unwrap();
    assert!(!recorded.contains("2026-02-05"), "{recorded}");
}

#[tokio::test]
async fn a_question_is_guarded_as_an_action_is() {
    let desk = Desk::new();
    for sql in [
        "DROP TABLE calls",
        "COPY (SELECT 1) TO 'x.csv'",
        "SELECT * FROM 'data/calls.csv'; SELECT 1",
        "WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r",
    ] {
        let told = desk.refused(&["sql", sql], 3).await;
        assert!(told.contains("sql.not_allowed"), "{sql}: {told}");
    }
    let told = desk.refused(&["sql", "SELEC 1"], 2).await;
    assert!(told.contains("sql.invalid"), "{told}");
    assert_eq!(
        desk.rows("SELECT 1 + 1 AS two", &[]).await,
        json!([{ "two": 2 }])
    );
    // An action, which a server may run, names no file of the machine.
    desk.lay(
        "project/flowlake.toml",
        "[audit.log]\ndirectory = \"audit\"\n",
    );
    desk.lay(
        "project/actions/here.toml",
        "name = \"here\"\n[tables.t]\nuri = \"data/calls.csv\"\n[query]\nsql = \"SELECT 1 FROM t\"\n",
    );
    let (out, told) = desk.asked(&["--config", "project", "check"], 2).await;
    assert!(out.contains("must begin with s3://"), "{out}{told}");
}

#[tokio::test]
async fn long_answers_are_cut_in_tables_alone_and_a_reader_may_stop() {
    let desk = Desk::new();
    let rows: String = (0..3000)
        .map(|n| format!("{n},a text of some length\n"))
        .collect();
    desk.lay("many.csv", &format!("n,text\n{rows}"));
    let all = "SELECT * FROM 'many.csv'";
    let (out, told) = desk.asked(&["sql", all, "--width", "20"], 0).await;
    assert_eq!(out.lines().count(), 1004, "{told}");
    assert!(out.contains("a text of…"), "{out}");
    assert!(told.contains("only the first 1000 rows: --rows"), "{told}");
    let (out, told) = desk.asked(&["sql", all, "--format", "csv"], 0).await;
    assert_eq!((out.lines().count(), told.as_str()), (3001, ""));
    let (out, _) = desk
        .asked(&["sql", all, "--rows", "2", "--format", "ndjson"], 0)
        .await;
    assert_eq!(out.lines().count(), 2);

    let series =
        "SELECT a.n, a.text, b.n AS m FROM 'many.csv' a JOIN 'many.csv' b ON a.n % 50 = b.n % 50";
    let mut command = desk.command(&["sql", series, "--format", "csv"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap().trim(), "n,text,m");
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[tokio::test]
async fn two_may_ask_at_the_same_time() {
    let desk = Desk::new();
    let ask = || desk.asked(&["sql", "SELECT count(*) FROM 'data/calls.csv'"], 0);
    tokio::join!(ask(), ask(), ask());
}

#[tokio::test]
async fn objects_of_s3_are_read_as_aws_tools_would_read_them() {
    let house = House::new().await;
    let desk = Desk::of(&house);
    desk.lay("vip.csv", "ani,vip\n+12025550142,yes\n");
    let sql = "SELECT customers.name, vip.vip FROM 's3://lake/exports/customers.csv' JOIN 'vip.csv' ON vip.ani = customers.ani";
    let (out, _) = desk.asked(&["sql", sql, "--format", "csv"], 0).await;
    assert_eq!(out, "name,vip\nAna,yes\n");
    let rows = desk
        .rows("SELECT count(*) AS n FROM 's3://lake/exports/*.csv'", &[])
        .await;
    assert_eq!(rows, json!([{ "n": 3 }]));
    let told = desk
        .refused(&["sql", "SELECT 1 FROM 's3://lake/exports/none.csv'"], 4)
        .await;
    assert!(told.contains("s3.no_such_key"), "{told}");
    let told = desk
        .refused(&["sql", "SELECT 1 FROM 's3://lake/secret/x.csv'"], 3)
        .await;
    assert!(
        told.contains("denied") || told.contains("refused"),
        "{told}"
    );
    let records = desk.records().await;
    let objects = records[0]["objects"].as_array().unwrap();
    let buckets: Vec<_> = objects
        .iter()
        .map(|object| object["bucket"].as_str().unwrap())
        .collect();
    assert_eq!(buckets, ["(local files)", "lake"]);
    assert_eq!(records[0]["principal"], crate::support::READER);
    assert!(records[0]["bytes_transferred"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn in_a_project_its_policy_and_its_audit_log_hold() {
    let house = House::new().await;
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let rows = house.json(&["sql", sql, "--format", "json"], 0).await;
    assert_eq!(rows, json!([{ "name": "Ana" }]));
    let told = house
        .told(&["sql", "SELECT 1 FROM 's3://lake/secret/x.csv'"], 3)
        .await;
    assert!(told.contains("policy.denied"), "{told}");
    let tail = house.told(&["audit", "tail", "--output", "jsonl"], 0).await;
    let records: Vec<_> = tail.lines().map(record).collect();
    assert_eq!(records.len(), 2);
    assert_eq!(
        records[0]["sql"],
        "SELECT name FROM \"customers\" WHERE calls = ?"
    );
    assert_eq!(records[1]["code"], "policy.denied");
}

/// A log has one writer, and an analyst several terminals.
#[tokio::test]
async fn beside_another_process_a_question_is_recorded_beside_its_log() {
    let mut house = House::new().await;
    house.serve().await;
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let told = house.told(&["sql", sql, "--format", "csv"], 0).await;
    assert!(told.starts_with("name\nAna\n"), "{told}");
    assert!(
        told.contains("another process writes the audit log"),
        "{told}"
    );
    assert!(told.contains("audit-questions/1"), "{told}");
    let log = [
        "audit",
        "tail",
        "--directory",
        "audit-questions",
        "--output",
        "jsonl",
    ];
    let tail = house.told(&log, 0).await;
    let records: Vec<_> = tail.lines().map(record).collect();
    assert_eq!((records.len(), &records[0]["code"]), (1, &json!("ok")));
    // An action is recorded in the log itself, and so is a question where there is a limit for all of them.
    let told = house.told(&["run", "all"], 6).await;
    assert!(told.contains("another process writes"), "{told}");
    house.more_config("[budget]\ntotal = { daily_usd = 1 }\n");
    let told = house.told(&["sql", sql], 6).await;
    assert!(told.contains("audit.unavailable"), "{told}");
}

/// What a file has in its names is shown, and does not drive the terminal.
#[tokio::test]
async fn names_in_a_file_do_not_drive_the_terminal() {
    let desk = Desk::new();
    desk.lay("data/head.csv", "\u{1b}]0;pwned\u{7},b\n1,2\n");
    desk.lay("data/keys.ndjson", "{\"\\u001b[31mk\":1}\n");
    for (sql, shown) in [
        (
            "SELECT nope FROM 'data/head.csv'",
            "columns: \\u{1b}]0;pwned\\u{7}, b",
        ),
        (
            "SELECT nope FROM 'data/keys.ndjson'",
            "columns: \\u{1b}[31mk",
        ),
    ] {
        let told = desk.refused(&["sql", sql], 4).await;
        assert!(!told.contains('\u{1b}') && told.contains(shown), "{told:?}");
    }
}

/// A file whose name cannot be read is counted, whatever named it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_is_no_utf_8_is_remarked_on() {
    use std::os::unix::ffi::OsStrExt;

    let desk = Desk::new();
    desk.lay("d/ok.csv", "a\n1\n");
    let name = std::ffi::OsStr::from_bytes(b"lat\xfc.csv");
    std::fs::write(desk.path("d").join(name), "a\n8\n").unwrap();
    for sql in ["FROM 'd/'", "FROM 'd/*.csv'"] {
        let output = desk.run(&["sql", sql]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("are left out: their names"), "{sql}: {told}");
    }
}

#[tokio::test]
async fn constants_of_a_question_that_fails_are_in_no_record() {
    let desk = Desk::new();
    let questions = [
        "SELECT CAST('491701234567 x' AS INTEGER)",
        "SELECT id FROM 'data/calls.csv' WHERE id = '491701234567 x'",
        "SELECT DATE '491701234567'",
        "SELECT CAST('491701234567x' AS BOOLEAN)",
        "SELECT INTERVAL '491701234567'",
        "SELECT 491701234567 / 0",
        "SELECT 1 AS a ORDER BY 491701234567",
        "SELECT arrow_cast(1, '491701234567')",
    ];
    for sql in questions {
        let output = desk.run(&["sql", sql]).await;
        assert!(!output.status.success(), "{sql}");
    }
    let records = desk.records().await;
    assert_eq!(records.len(), questions.len());
    for record in records {
        assert!(!record.to_string().contains("491701234567"), "{record}");
        assert_eq!(record["status"], "failed", "{record}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_not_replaced_and_a_file_keeps_its_rights() {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    let desk = Desk::new();
    let ask = |to: &'static str| ["sql", "SELECT 1 AS a", "--format", "csv", "-o", to];
    std::fs::create_dir(desk.path("folder")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(desk.path("socket")).unwrap();
    for to in ["folder", "socket"] {
        let told = desk.refused(&ask(to), 6).await;
        assert!(told.contains("it is no file"), "{told}");
    }
    assert!(!std::fs::metadata(desk.path("socket")).unwrap().is_file());
    // What stands in the file that standard output goes to stays there.
    let all = std::fs::File::create(desk.path("all.csv")).unwrap();
    (&all).write_all(b"header\n").unwrap();
    let mut command = desk.command(&ask("/dev/stdout"));
    command.stdout(all.try_clone().unwrap());
    assert!(command.status().unwrap().success());
    (&all).write_all(b"footer\n").unwrap();
    let kept = std::fs::read_to_string(desk.path("all.csv")).unwrap();
    assert_eq!(kept, "header\na\n1\nfooter\n");
    std::fs::write(desk.path("old.csv"), "old").unwrap();
    let rights = PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(desk.path("old.csv"), rights).unwrap();
    std::os::unix::fs::symlink("old.csv", desk.path("link.csv")).unwrap();
    desk.asked(&ask("link.csv"), 0).await;
    assert_eq!(
        std::fs::read_to_string(desk.path("old.csv")).unwrap(),
        "a\n1\n"
    );
    let mode = |file| {
        std::fs::metadata(desk.path(file))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("old.csv"), 0o640);
    assert!(desk.path("link.csv").is_symlink());
    desk.asked(&ask("new.csv"), 0).await;
    std::fs::write(desk.path("any"), "").unwrap();
    assert_eq!(mode("new.csv"), mode("any"));
}

#[tokio::test]
async fn an_error_of_the_sql_shows_its_place() {
    let desk = Desk::new();
    for (sql, line, marks, code) in [
        (
            "SELECT quue FROM 'data/calls.csv'",
            "1 | SELECT quue FROM",
            "    |        ^^^^\n",
            4,
        ),
        (
            "SELECT id\nFROM 'data/calls.csv'\nWHERE quee = 1",
            "3 | WHERE quee = 1",
            "    |       ^^^^\n",
            4,
        ),
        (
            "SELECT id FROM 'data/calls.csv' c WHERE d.id = 1",
            "1 | SELECT",
            "^^^^\n",
            4,
        ),
        (
            "SELECT lenn(queue) FROM 'data/calls.csv'",
            "1 | SELECT lenn",
            "    |        ^^^^",
            2,
        ),
        (
            "SELECT id FORM 'data/calls.csv'",
            "1 | SELECT id FORM",
            "    |                ^",
            2,
        ),
        ("SELECT id, FROM nowhere", "1 | SELECT id, FROM", "^", 2),
        // Of these the engine says no place: what the message quotes is looked for in the SQL.
        (
            "SELECT id FROM 'data/calls.csv' WHERE id = 'x'",
            "1 | SELECT id",
            "    |                                            ^^^\n",
            2,
        ),
        (
            "SELECT id,\n sum(queue) FROM 'data/calls.csv' GROUP BY id",
            "2 |  sum(queue)",
            "    |  ^^^\n",
            2,
        ),
        (
            "SELECT id FROM 'data/calls.csv' ORDER BY 9",
            "1 | SELECT id",
            "    |                                 ^^^^^^^^^^\n",
            2,
        ),
        ("SELECT 1/0", "1 | SELECT 1/0", "    |        ^^^\n", 2),
        (
            "SELECT CAST(queue AS int) FROM 'data/calls.csv'",
            "1 | SELECT CAST",
            "    |             ^^^^^\n",
            4,
        ),
        (
            "SELECT id INTO x FROM 'data/calls.csv'",
            "1 | SELECT id INTO x",
            "    |                ^\n",
            3,
        ),
    ] {
        let told = desk.refused(&["sql", sql], code).await;
        assert!(told.contains(line) && told.contains(marks), "{sql}\n{told}");
    }
    let told = desk
        .refused(
            &["--json", "sql", "SELECT 1,\n quue FROM 'data/calls.csv'"],
            4,
        )
        .await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["error"]["code"], "sql.unknown_column");
    assert_eq!(
        (&told["error"]["line"], &told["error"]["column"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(told["error"]["retryable"], false);
    assert!(told["audit_id"].is_string(), "{told}");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_nothing_but_the_error_is_printed() {
    let desk = Desk::new();
    let sql = "SELECT * FROM 'data/calls.csv'";
    desk.asked(&["sql", sql, "-o", "whole.parquet"], 0).await;
    desk.asked(&["sql", sql, "-o", "whole.arrow"], 0).await;
    let whole = std::fs::read(desk.path("whole.parquet")).unwrap();
    let path = |file: &str| desk.path(file).canonicalize().unwrap();
    // The length of the footer is beyond the file, the file is cut off, and bytes of all its parts are others in turn.
    let mut footer = whole.clone();
    let length = footer.len() - 8;
    footer[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(desk.path("footer.parquet"), footer).unwrap();
    std::fs::write(desk.path("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    for file in ["footer.parquet", "cut.parquet"] {
        let ask = ["--json", "sql", &format!("SELECT * FROM '{file}'")];
        let told = desk.refused(&ask, 4).await;
        let error: Value = serde_json::from_str(&told).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        let begin = format!("{} is not valid Parquet", path(file).display());
        assert!(message.starts_with(&begin), "{message}");
    }
    let places = (whole.len() - 4) / 29;
    let tried = usize::try_from(generated_cases(places as u64)).unwrap();
    for place in (4..whole.len()).step_by(29 * places.div_ceil(tried)) {
        let mut damaged = whole.clone();
        damaged[place] = !damaged[place];
        std::fs::write(desk.path("damaged.parquet"), damaged).unwrap();
        let ask = ["--json", "sql", "SELECT * FROM 'damaged.parquet'"];
        let output = desk.run(&ask).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("panicked"), "{place}: {told}");
        if !output.status.success() {
            assert_eq!(told.lines().count(), 1, "{place}: {told}");
            serde_json::from_str::<Value>(&told).unwrap();
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_leaves_no_file_behind_and_one_record() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("out")).unwrap();
    // A pipe that nobody writes to is no file, so the query waits on what takes long: a join of all with all.
    let rows: String = (0..60_000).map(|n| format!("{n}\n")).collect();
    desk.lay("many.csv", &format!("n\n{rows}"));
    let sql = "SELECT count(*) FROM 'many.csv' a JOIN 'many.csv' b ON a.n % 2 = b.n % 2 WHERE sqrt(a.n * b.n) < 0.5";
    for (number, signal) in ["TERM", "HUP", "INT"].into_iter().enumerate() {
        let mut command = desk.command(&["sql", sql, "-o", "out/rows.csv"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let files = || std::fs::read_dir(desk.path("out")).unwrap().count();
        while files() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let killed = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = ended.await.unwrap().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}: {told}");
        assert!(told.contains("request.cancelled"), "{told}");
        assert_eq!(files(), 0, "{signal}");
        let records = desk.records().await;
        assert_eq!(records.len(), number + 1);
        assert_eq!(records[number]["code"], "request.cancelled");
    }
}

#[tokio::test]
async fn text_is_not_compared_with_numbers() {
    let desk = Desk::new();
    desk.lay(
        "ids.csv",
        "ani,n,none\n0301234567,1,\nA12,2,\n301234567,3,\n",
    );
    for (condition, place) in [
        ("ani = 301234567", 31),
        ("ani <> 3", 31),
        ("n = 1 OR ani IN (1, 2)", 40),
        ("ani BETWEEN 1 AND 2", 31),
        ("n = ani", 35),
        ("CASE ani WHEN 1 THEN true END", 36),
        ("ani IN (SELECT n FROM 'ids.csv')", 31),
        ("n IN (SELECT ani FROM 'ids.csv')", 44),
        ("ani = $ani", 31),
    ] {
        let sql = format!("SELECT n FROM 'ids.csv' WHERE {condition}");
        let with = if condition.contains('$') {
            ["--param", "ani=301234567"].as_slice()
        } else {
            &[]
        };
        let told = desk
            .refused(&[["--json", "sql", &sql].as_slice(), with].concat(), 2)
            .await;
        let error: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(error["error"]["code"], "sql.invalid", "{condition}");
        assert!(
            told.contains("`ani` is text and is compared with a number")
                && told.contains("CAST(ani AS BIGINT)"),
            "{told}"
        );
        assert!(!told.contains("301234567"), "{told}");
        let column = error["error"]["column"].as_i64().unwrap_or_default();
        assert_eq!(column, place, "{condition}");
    }
    let joined =
        "SELECT a.n FROM 'ids.csv' a JOIN 'ids.csv' b USING (n) JOIN 'ids.csv' c ON c.ani = a.n";
    desk.refused(&["sql", joined], 2).await;
    for (condition, n) in [
        ("ani = '301234567'", 3),
        ("ani = $ani", 1),
        ("n = '2'", 2),
        ("TRY_CAST(ani AS BIGINT) = 301234567 AND n > 2", 3),
    ] {
        let sql = format!("SELECT n FROM 'ids.csv' WHERE {condition}");
        let with = if condition.contains('$') {
            ["--param", "ani:string=0301234567"].as_slice()
        } else {
            &[]
        };
        assert_eq!(desk.rows(&sql, with).await, json!([{ "n": n }]), "{sql}");
    }
    // A column of which nothing is known equals nothing.
    let sql = "SELECT n FROM 'ids.csv' WHERE none > 5 OR none = n";
    assert_eq!(desk.rows(sql, &[]).await, json!([]));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn rows_that_could_not_be_written_are_an_error_with_a_record() {
    let desk = Desk::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    for format in ["csv", "table"] {
        let ask = ["--json", "sql", "SELECT 1 AS a", "--format", format];
        let mut command = desk.command(&ask);
        command.stdout(full().unwrap());
        let output = output_of(command).await;
        assert_eq!(output.status.code(), Some(6));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "output.unwritable", "{error}");
        assert!(error["error"]["advice"].is_string(), "{error}");
    }
    let records = desk.records().await;
    let codes: Vec<_> = records.iter().map(|record| &record["code"]).collect();
    assert_eq!(
        codes,
        ["ok", "output.unwritable", "ok", "output.unwritable"]
    );
    assert_eq!(records[1]["correlation_id"], records[0]["id"]);
    assert_eq!(records[1]["status"], "failed");
    assert_eq!(records[1]["sql"], records[0]["sql"]);
}

#[tokio::test]
async fn sql_of_a_file_is_read_as_editors_write_it_and_no_further_than_sql_goes() {
    let desk = Desk::new();
    desk.lay("bom.sql", "\u{feff}SELECT 1 AS a");
    let (out, _) = desk
        .asked(&["sql", "-f", "bom.sql", "--format", "csv"], 0)
        .await;
    assert_eq!(out, "a\n1\n");
    std::fs::write(desk.path("latin.sql"), b"SELECT '\xe4'").unwrap();
    for (file, code, error, exit) in [
        ("none.sql", "file.not_found", "cannot read none.sql", 4),
        ("latin.sql", "file.unreadable", "it is not UTF-8", 3),
        ("data", "file.unreadable", "cannot read data", 3),
        ("/dev/zero", "sql.invalid", "longer than 256 KiB", 2),
    ] {
        let told = desk.refused(&["sql", "-f", file], exit).await;
        assert!(told.contains(code) && told.contains(error), "{told}");
    }
}

#[tokio::test]
async fn the_log_that_nobody_configured_is_found() {
    let desk = Desk::new();
    let told = desk.refused(&["audit", "verify"], 6).await;
    assert!(told.contains("there is no audit log in"), "{told}");
    desk.asked(&["sql", "SELECT 1"], 0).await;
    // What a program leaves that runs while another has the first log.
    let log = desk.path("home/.local/state/flowlake/audit");
    std::fs::rename(log.join("1"), log.join("2")).unwrap();
    desk.asked(&["sql", "SELECT 2 AS a, 3 AS b"], 0).await;
    let (out, _) = desk.asked(&["audit", "verify"], 0).await;
    assert_eq!(out.matches("the chain is whole").count(), 2, "{out}");
    for command in [
        ["audit", "tail", "--output", "jsonl"],
        ["audit", "search", "--output", "jsonl"],
        ["audit", "export", "--format", "jsonl"],
    ] {
        let (out, _) = desk.asked(&command, 0).await;
        let sql: Vec<Value> = out
            .lines()
            .map(|line| record(line)["sql"].clone())
            .collect();
        assert_eq!(sql, ["SELECT ?", "SELECT ? AS a, ? AS b"], "{command:?}");
    }
    let last = ["audit", "tail", "-n", "1", "--output", "jsonl"];
    let (out, _) = desk.asked(&last, 0).await;
    assert_eq!(out.lines().count(), 1);
    assert!(out.contains("AS b"), "{out}");
    let (out, _) = desk
        .asked(&["audit", "search", "--limit", "1", "--output", "jsonl"], 0)
        .await;
    assert_eq!(out.lines().count(), 1);
    let told = desk
        .refused(
            &[
                "audit",
                "verify",
                "--receipt",
                &format!("1:{}", "0".repeat(64)),
            ],
            2,
        )
        .await;
    assert!(told.contains("several"), "{told}");
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn errors_of_questions_do_not_speak_of_actions() {
    let desk = Desk::new();
    desk.lay("data/empty.csv", "");
    desk.lay("data/a[1].csv", "id\n5\n");
    for (sql, exit, message, advice) in [
        (
            "SELECT * FROM 'data/empty.csv'",
            4,
            "data/empty.csv: it is empty",
            "have at least a header",
        ),
        (
            "SELECT * FROM 'data/cals.csv'",
            4,
            "data/cals.csv does not exist; did you mean `calls.csv`?",
            "Correct the path",
        ),
        (
            "SELECT * FROM 'data/e*.csv'",
            4,
            "the one file there is empty",
            "have at least a header",
        ),
        (
            "SELECT * FROM 'data/a[1].csv'",
            4,
            "a file has this very name",
            "data/a[[]1].csv'",
        ),
        (
            "SELECT $x",
            2,
            "the parameter `x` is used and not declared",
            "--param NAME=VALUE",
        ),
        (
            "SELECT x FROM 'data/calls.csv', 'data/calls.csv' y WHERE $x",
            2,
            "is used and not declared",
            "--param",
        ),
        (
            "SELECT * FROM data/calls.csv",
            2,
            "end of statement is expected, and `/` stands there",
            "FROM 'data/calls.csv'",
        ),
        (
            "SELECT * FROM \"data/calls.csv\" c",
            3,
            "which is no name of a table",
            "FROM 'data/calls.csv'",
        ),
        (
            "SELECT * FROM calls.csv WHERE id = 1",
            3,
            "tables have one name and no schema",
            "FROM 'calls.csv'",
        ),
        (
            "SELECT * FROM read_csv('data/calls.csv', header = true)",
            3,
            "the table function `read_csv`",
            "single quotes: FROM 'data/calls.csv'",
        ),
        (
            "SELECT * FROM s3://lake/x.csv",
            2,
            "end of statement is expected",
            "FROM 's3://lake/x.csv'",
        ),
        (
            "DROP TABLE x",
            3,
            "not allowed: `DROP`",
            "Write one SELECT.",
        ),
        (
            "DESCRIBE 'data/calls.csv'",
            3,
            "`DESCRIBE` statements",
            "`flowlake inspect FILE` shows",
        ),
        (
            "SUMMARIZE 'data/calls.csv'",
            2,
            "an SQL statement is expected, and `SUMMARIZE` stands there",
            "`flowlake inspect FILE` shows",
        ),
        (
            "COPY (SELECT 1) TO 'x.parquet'",
            3,
            "`COPY` statements",
            "-o calls.parquet",
        ),
        (
            "SELCT 1",
            2,
            "`SELCT` stands there; did you mean SELECT?",
            "Correct the SQL.",
        ),
        (
            "SELECT id FROM 'data/calls.csv' TABLESAMPLE (10)",
            3,
            "leave rows out by a condition or LIMIT",
            "Correct the SQL.",
        ),
    ] {
        let told = desk.refused(&["sql", sql], exit).await;
        assert!(told.contains(message) && told.contains(advice), "{told}");
        assert!(
            !told.contains("action") && !told.contains("[tables]"),
            "{told}"
        );
    }
    let sql = "SELECT count(*) FROM 'data/*.csv' a, 'data/*.csv' b WHERE a.id > $x AND b.id > 1";
    let told = desk
        .refused(&["sql", sql, "--param", "x:date=maybe"], 2)
        .await;
    assert!(
        told.contains("param.invalid") && told.contains("--param NAME"),
        "{told}"
    );
    let told = desk
        .refused(&["sql", "SELECT $Ani", "--param", "Ani=1"], 2)
        .await;
    assert!(told.contains("--param NAME=VALUE for each"), "{told}");
    let told = desk
        .refused(
            &["sql", "-t", "t=data/*.csv,max_files=1", "SELECT 1 FROM t"],
            5,
        )
        .await;
    assert!(
        told.contains("limit.scan") && told.contains("max_files=COUNT"),
        "{told}"
    );
    assert_eq!(
        desk.rows("SELECT id FROM 'data/a[[]1].csv'", &[]).await,
        json!([{ "id": 5 }])
    );
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_an_error() {
    let desk = Desk::new();
    for more in [
        ["--param", "a=1", "--param", "a=2"],
        ["-t", "a=data/calls.csv", "-t", "a=other.csv"],
    ] {
        let told = desk
            .refused(&[["sql", "SELECT $a FROM a"].as_slice(), &more].concat(), 2)
            .await;
        assert!(told.contains("`a` is given twice"), "{told}");
    }
    let house = House::new().await;
    for command in ["run", "explain", "check"] {
        let twice = [command, "look-up", "--param", "ani=1", "--param", "ani=2"];
        let told = house.told(&twice, 2).await;
        assert!(
            told.contains("the parameter `ani` is given twice"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn from_may_come_first() {
    let desk = Desk::new();
    for (sql, count) in [
        ("FROM 'data/calls.csv'", 3),
        (
            "FROM 'data/calls.csv' WHERE ms > 1000 ORDER BY id LIMIT 1",
            1,
        ),
        ("FROM 'data/calls.csv' SELECT id", 3),
        ("WITH c AS (FROM 'data/calls.csv') FROM c", 3),
    ] {
        let rows = desk.rows(sql, &[]).await;
        assert_eq!(rows.as_array().unwrap().len(), count, "{sql}");
        assert_eq!(rows[0]["id"], 1, "{sql}");
    }
}

#[tokio::test]
async fn numbers_that_are_not_finite_are_shown() {
    let desk = Desk::new();
    let sql = "SELECT 1.0/0 AS a, -1.0/0 AS b, 0.0/0 AS c, CAST(NULL AS DOUBLE) AS d";
    let (out, _) = desk.asked(&["sql", sql], 0).await;
    assert!(out.contains("│ inf ┆ -inf ┆ NaN ┆   │"), "{out}");
    let (out, _) = desk.asked(&["sql", sql, "--format", "csv"], 0).await;
    assert_eq!(out, "a,b,c,d\ninf,-inf,NaN,\n");
    let rows = desk.rows(sql, &[]).await;
    assert_eq!(
        rows,
        json!([{ "a": null, "b": null, "c": null, "d": null }])
    );
    desk.asked(&["sql", sql, "-o", "x.parquet"], 0).await;
    let (out, _) = desk.asked(&["sql", "FROM 'x.parquet'"], 0).await;
    assert!(out.contains("│ inf ┆ -inf ┆ NaN ┆   │"), "{out}");
}

#[tokio::test]
async fn rows_alone_are_on_standard_output_and_remarks_can_be_silenced() {
    let house = House::new().await;
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let output = house.run(&["sql", sql]).await;
    let rows = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("note: 1 rows, ") && !told.contains("HEAD"),
        "{told}"
    );
    for (option, remarks) in [
        ("--quiet", false),
        ("--verbose", true),
        ("--no-color", true),
    ] {
        let output = house.run(&[option, "sql", sql]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), rows);
        assert_eq!(told.contains("note: "), remarks, "{told}");
        let requests = told.matches("a request to S3 was answered").count();
        assert_eq!(requests > 1, option == "--verbose", "{told}");
        if !remarks {
            assert_eq!(told, "");
        }
    }
    let told = house.told(&["--quiet", "run", "nothing"], 2).await;
    assert!(told.starts_with("error[action.unknown]: "), "{told}");
}

#[tokio::test]
async fn colours_can_be_forced_and_are_no_part_of_json() {
    let mut desk = Desk::new();
    desk.variables
        .push(("CLICOLOR_FORCE".to_owned(), "1".to_owned()));
    let wrong = "SELECT quue FROM 'data/calls.csv'";
    let told = desk.refused(&["sql", wrong], 4).await;
    assert!(
        told.starts_with("\u{1b}[1;31merror[sql.unknown_column]:\u{1b}[0m there"),
        "{told}"
    );
    assert!(told.contains("\u{1b}[31m^^^^\u{1b}[0m\n"), "{told}");
    let (out, told) = desk.asked(&["sql", "SELECT 1 AS a"], 0).await;
    assert!(!out.contains('\u{1b}'), "{out}");
    assert!(
        told.starts_with("\u{1b}[1;36mnote:\u{1b}[0m 1 rows"),
        "{told}"
    );
    let told = desk.refused(&["--json", "sql", wrong], 4).await;
    assert!(!told.contains('\u{1b}'), "{told}");
    let told = desk.refused(&["--no-color", "sql", wrong], 4).await;
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_terminal_a_line_says_how_far_a_question_has_come() {
    use std::io::{Read, Write};

    let desk = Desk::new();
    let rows: String = (0..60_000).map(|n| format!("{n}\n")).collect();
    desk.lay("many.csv", &format!("n\n{rows}"));
    let sql = "SELECT count(*) FROM 'many.csv' a JOIN 'many.csv' b ON a.n % 2 = b.n % 2 WHERE sqrt(a.n * b.n) < 0.5";
    let program = env!("CARGO_BIN_EXE_flowlake");
    // `script` of bsdutils, which every Debian has, runs it in a terminal of its own.
    let mut command = desk.command(&[]);
    let mut child = {
        let mut inside = Command::new("script");
        inside
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(format!("{program} sql \"{sql}\""))
            .arg("/dev/null")
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", "/usr/bin:/bin")
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .current_dir(desk.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        inside.spawn().unwrap()
    };
    command.env_clear();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let watched = tokio::task::spawn_blocking(move || {
        let mut seen = String::new();
        let mut piece = [0; 4096];
        let mut is_stopped = false;
        loop {
            let count = screen.read(&mut piece).unwrap();
            if count == 0 {
                break seen;
            }
            seen += &String::from_utf8_lossy(&piece[..count]);
            if seen.contains(" in 1 file") && !is_stopped {
                keyboard.write_all(b"\x03").unwrap();
                is_stopped = true;
            }
        }
    });
    let seen = watched.await.unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(130), "{seen:?}");
    assert!(seen.contains("\r\u{1b}[2K"), "{seen:?}");
    // The line is gone before the error comes.
    let (_, error) = seen.rsplit_once("\u{1b}[2K").unwrap();
    assert!(error.contains("request.cancelled"), "{error:?}");
}

#[tokio::test]
async fn a_large_read_is_confirmed_before_its_first_byte() {
    let house = House::new().await;
    house.more_config("[confirm]\nabove_requests = 2\n");
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let ask = ["sql", sql, "--format", "csv"];
    let told = house.told(&ask, 5).await;
    assert!(
        told.contains("limit.unconfirmed") && told.contains("takes 3 requests to S3"),
        "{told}"
    );
    assert!(told.contains("Say --yes"), "{told}");
    let told = house.told(&["run", "all", "--format", "csv"], 5).await;
    assert!(told.contains("limit.unconfirmed"), "{told}");
    let told = house.told(&[ask.as_slice(), &["--yes"]].concat(), 0).await;
    assert!(told.starts_with("name\nAna\n"), "{told}");
    house.told(&["run", "all", "--yes"], 0).await;
    let tail = house.told(&["audit", "tail", "--output", "jsonl"], 0).await;
    let records: Vec<_> = tail.lines().map(record).collect();
    let codes: Vec<_> = records.iter().map(|record| &record["code"]).collect();
    assert_eq!(
        codes,
        ["limit.unconfirmed", "limit.unconfirmed", "ok", "ok"]
    );
    assert_eq!(records[0]["bytes_transferred"], 0);
    assert!(records[2]["bytes_transferred"].as_u64().unwrap() > 0);
    // What is allowed without a question is not asked about.
    house.configure("http://127.0.0.1:9");
    house.told(&ask, 0).await;
}

#[tokio::test]
async fn limits_of_an_action_hold_before_its_first_byte() {
    let house = House::new().await;
    let action = |name: &str, limits: &str| {
        format!(
            "name = \"{name}\"\n[tables.t]\nuri = \"s3://lake/exports/customers.csv\"\n[limits]\n{limits}\n[query]\nsql = \"SELECT name FROM t\"\n"
        )
    };
    house.action(&action("few", "max_requests = 2"));
    house.action(&action("enough", "max_requests = 3\nmax_cost_usd = 0.1"));
    house.action(&action("cheap", "max_cost_usd = \"0.0000001\""));
    for (name, code, said) in [
        (
            "few",
            "limit.requests",
            "takes 3 requests to S3, and 2 are allowed",
        ),
        ("cheap", "limit.cost", "and 0.0000001 USD are allowed"),
    ] {
        let told = house.told(&["run", name], 5).await;
        assert!(told.contains(code) && told.contains(said), "{told}");
    }
    house.told(&["run", "enough"], 0).await;
    house.configure("http://127.0.0.1:9");
    let config = house.path().join("flowlake.toml");
    let elsewhere = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, elsewhere.replace("us-east-1", "xx-none-1")).unwrap();
    let told = house.told(&["run", "enough"], 5).await;
    assert!(
        told.contains("limit.cost") && told.contains("is not known"),
        "{told}"
    );
    let tail = house.told(&["audit", "tail", "--output", "jsonl"], 0).await;
    for record in tail.lines().map(record) {
        let is_refused = record["code"] != "ok";
        assert_eq!(record["bytes_transferred"] == 0, is_refused, "{record}");
    }
}

#[tokio::test]
async fn rows_are_written_to_s3_where_the_policy_says_so() {
    let house = House::build(
        &crate::support::reading_and("s3:PutObject", "exports/results/*"),
        |_| {},
    )
    .await;
    let sql = "SELECT name, calls FROM 's3://lake/exports/customers.csv' ORDER BY calls";
    let ask = |to: &'static str| ["sql", sql, "-o", to];
    let told = house
        .told(&ask("s3://lake/exports/results/a.parquet"), 3)
        .await;
    assert!(
        told.contains("policy.denied") && told.contains("`write` in [policy]"),
        "{told}"
    );
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let allowed = "allow = [\"s3://lake/exports/*\"]";
    let write = format!(
        "{allowed}\nwrite = [\"s3://lake/exports/results/*\", \"s3://lake/exports/other/*\"]"
    );
    std::fs::write(&config, text.replace(allowed, &write)).unwrap();
    for to in [
        "s3://lake/exports/results/a.parquet",
        "s3://lake/exports/results/a.csv",
    ] {
        let told = house.told(&ask(to), 0).await;
        assert!(told.contains(&format!("written to {to}")), "{told}");
        let read = format!("SELECT count(*) AS n, max(calls) AS most FROM '{to}'");
        let rows = house.json(&["sql", &read, "--format", "json"], 0).await;
        assert_eq!(rows, json!([{ "n": 3, "most": 7 }]));
    }
    // More than one part.
    let many = "SELECT a.value AS n, repeat('x', 1000) AS t FROM generate_series(1, 20000) a";
    let to = "s3://lake/exports/results/many.csv";
    house.told(&["sql", many, "-o", to], 0).await;
    let rows = house
        .json(
            &[
                "sql",
                &format!("SELECT count(*) AS n FROM '{to}'"),
                "--format",
                "json",
            ],
            0,
        )
        .await;
    assert_eq!(rows, json!([{ "n": 20_000 }]));
    house
        .told(
            &[
                "run",
                "all",
                "--format",
                "csv",
                "--output",
                "s3://lake/exports/results/b.csv",
            ],
            0,
        )
        .await;
    // The policy allows it, and S3 does not.
    let told = house.told(&ask("s3://lake/exports/other/a.csv"), 3).await;
    assert!(told.contains("s3.access_denied"), "{told}");
    let told = house.told(&ask("s3://lake/a//b.csv"), 2).await;
    assert!(told.contains("is no object that can be written"), "{told}");
    let tail = house
        .told(&["audit", "tail", "-n", "100", "--output", "jsonl"], 0)
        .await;
    let records: Vec<_> = tail.lines().map(record).collect();
    assert_eq!(records[0]["code"], "policy.denied");
    assert_eq!(
        records[0]["destination"],
        "s3://lake/exports/results/a.parquet"
    );
    assert_eq!(
        records[1]["destination"],
        "s3://lake/exports/results/a.parquet"
    );
    let [.., written, undelivered] = records.as_slice() else {
        panic!("{tail}");
    };
    assert_eq!(
        (&written["code"], &undelivered["code"]),
        (&json!("ok"), &json!("s3.access_denied"))
    );
    assert_eq!(undelivered["correlation_id"], written["id"]);
}

#[tokio::test]
async fn an_action_does_not_compare_text_with_numbers_either_in_memory_or_not() {
    let house = House::new().await;
    for (name, more) in [("cold", ""), ("hot", "hot = true\n")] {
        let action = format!(
            "name = \"{name}\"\n{more}[tables.c]\nuri = \"s3://lake/exports/customers.csv\"\n[params.n]\ntype = \"integer\"\n[query]\nsql = \"\"\"\nSELECT calls FROM c\nWHERE name = $n\"\"\"\n"
        );
        house.action(&action);
        let told = house.told(&["run", name, "--param", "n=3"], 2).await;
        assert!(
            told.contains("`name` is text and is compared with a number")
                && told.contains(&format!("actions/{name}.toml:"))
                && told.contains("| WHERE name = $n\"\"\"\n"),
            "{told}"
        );
        house.action(&action.replace("integer", "string"));
        let ask = ["run", name, "--param", "n=Ana", "--format", "csv"];
        let told = house.told(&ask, 0).await;
        assert!(told.starts_with("calls\n3\n"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_read_where_the_question_says_so() {
    let house = House::new().await;
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let ask = ["sql", sql, "--format", "csv", "--engine", "cluster"];
    let told = house.told(&ask, 2).await;
    assert!(told.contains("config.invalid"), "{told}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::fs::write(house.path().join("secret"), "known-to-these-nodes-only").unwrap();
    house.more_config(&format!(
        "[cluster]\nworkers = [\"{address}\"]\nsecret = {{ file = \"secret\" }}\n"
    ));
    let (_, mut config) = Config::load(house.path()).unwrap();
    let key = house.stack.access_key(READER);
    config.aws.credentials = Some(StaticCredentials::new(key.id, key.secret));
    let worker = Box::pin(worker(&config, None, &ProcessEnvironment)).await;
    let serving = tokio::spawn(worker.unwrap().serve(listener, std::future::pending()));
    let told = house.told(&ask, 0).await;
    assert!(told.starts_with("name\nAna\n"), "{told}");
    let tail = house.told(&["audit", "tail", "--output", "jsonl"], 0).await;
    let last = record(tail.lines().last().unwrap());
    assert_eq!(last["code"], "ok");
    assert_eq!(last["objects"][0]["key"], "exports/customers.csv");
    serving.abort();
    let _ = serving.await;
    let told = house.told(&ask, 6).await;
    assert!(told.contains("cluster.worker_lost"), "{told}");
}
