//! The Velocity templates of data actions: the part of the language that exported actions use. What is not understood
//! is an error, as a template that the platform cannot render is.

mod evaluate;
mod parse;
mod scope;
mod tools;

pub(crate) use self::scope::{Rendered, Scope};

/// Renders a template. The error says what is not understood.
pub(crate) fn render(template: &str, scope: &Scope) -> Result<Rendered, String> {
    let nodes = parse::template(template)?;
    evaluate::render(&nodes, scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        Scope::default()
            .with(
                "input",
                json!({"a": "say \"hi\" & go", "n": 7, "none": null, "with-dash": "d", "empty": "",
                       "money": "$5 #if ${x} \\u0041\n😀"}),
            )
            .with("list", json!("[\"x\", {\"y\": 1}]"))
            .with("empty_list", json!("[]"))
            .with("map", json!("{\"k1\": {\"v\": 1}, \"k2\": {\"v\": 2}}"))
            .with("items", json!([{"id": 1}, {"id": 2}]))
    }

    #[test]
    fn what_exported_actions_use() {
        for (template, expected) in [
            (
                "{\"a\":\"$esc.jsonString($!{input.a})\"}",
                "{\"a\":\"say \\\"hi\\\" & go\"}",
            ),
            ("$esc.jsonEncode(\"$!{input.a}\")", "say \\\"hi\\\" & go"),
            (
                "$esc.jsonString($input.money)",
                "$5 #if ${x} \\\\u0041\\n😀",
            ),
            (
                "?q=$esc.url($input.a)&n=${input.n}",
                "?q=say+%22hi%22+%26+go&n=7",
            ),
            ("${esc.url(\"${input.n}\")}", "7"),
            (
                "${input.none}|$!{input.none}|$!input.none|",
                "${input.none}|||",
            ),
            ("${input.with-dash}", "d"),
            (
                "$input.a.length() $input.a.toUpperCase()",
                "13 SAY \"HI\" & GO",
            ),
            ("$input.a.replace(\"hi\", 'ho').substring(4)", "\"ho\" & go"),
            ("#if(\"$!{input.n}\" != \"\"),n=${input.n}#end!", ",n=7!"),
            ("#if(\"$!{input.x}\" != \"\")x#{else}y#end", "y"),
            ("#if($input.n > 9)a#elseif($input.n == 7)b#{else}c#end", "b"),
            ("#if($input.none)a#else b#end", " b"),
            (
                "#if(!$input.none && ($input.n == 7 || $input.n == 8))a#end",
                "a",
            ),
            ("#if($input.a == 'x' or not $input.none)a#end", "a"),
            ("#if($input.a.contains(\"hi\"))a#end", "a"),
            ("#set($x = $input.n + 1)$x", "8"),
            ("#set($x = \"n is $input.n\")$x", "n is 7"),
            ("#set($x = '$input.n')$x", "$input.n"),
            (
                "#foreach($i in $items)$i.id#if($foreach.hasNext),#end#end",
                "1,2",
            ),
            ("## a comment\nx#* block *#y", "xy"),
            ("#[[ $input.a ]]#", " $input.a "),
            (
                "100 $ and #1 #hash \\$x a@b.c $5",
                "100 $ and #1 #hash \\$x a@b.c $5",
            ),
            // Two backslashes are one, and one that is left over makes text of what it is before.
            (
                "\\$input.n \\\\$input.n \\\\\\${input.n}",
                "$input.n \\7 \\${input.n}",
            ),
            (
                "\\$nothing \\\\$nothing \\$5 \\#1",
                "\\$nothing \\\\$nothing \\$5 \\#1",
            ),
            ("\\#if(1)x\\#end", "#if(1)x#end"),
            ("#if($input.n == 7)\\\\#{else}b\\\\#end|", "\\|"),
            ("\\#set($y = $input.n)\\#parse", "#set($y = 7)#parse"),
            (
                "${successTemplateUtils.firstFromArray(\"${list}\")}",
                "\"x\"",
            ),
            (
                "${successTemplateUtils.firstFromArray(\"${empty_list}\", \"$esc.quote$esc.quote\")}",
                "\"\"",
            ),
            (
                "$successTemplateUtils.firstFromArray($empty_list, '0')",
                "0",
            ),
            ("$salesforce.escReserved(\"Bo 42\")", "Bo 42"),
            ("$encoding.base64(\"${input.n}:x\")", "Nzp4"),
            (
                "/x?$!urlTool.optionalQueryParam(\"q\", $input.a)",
                "/x?q=say+%22hi%22+%26+go",
            ),
            ("/x?$!urlTool.optionalQueryParam(\"q\", $input.none)", "/x?"),
            (
                "$math.add(1, 2) $math.sub($input.n, 2) $math.mul(2, 3) $math.div(7, 2)",
                "3 5 6 3.5",
            ),
            ("$math.round(2.5) $math.max(1, 3)", "3 3"),
            ("$!{input.missing.deeper}", ""),
            ("${input.missing.deeper}", "${input.missing.deeper}"),
        ] {
            match render(template, &scope()) {
                Ok(rendered) => assert_eq!(rendered.text, expected, "{template}"),
                Err(error) => panic!("{template}: {error}"),
            }
        }
    }

    #[test]
    fn what_has_no_value_is_named() {
        let rendered = render("${input.none} $!{input.none} $nothing $esc.none", &scope()).unwrap();
        assert_eq!(
            rendered.unresolved,
            ["${input.none}", "$nothing", "$esc.none"]
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for template in [
            "#if(\"a\" != \"\")",
            "a#end",
            "#else",
            "${input.a",
            "#if()a#end",
            "#foreach($i of $items)#end",
            "#parse(\"x\")",
            "#macro(x)#end",
            "$input.a.explode()",
            "$esc.sparkle('a')",
            "\\$!{input.none}",
            "\\## a comment",
            // Velocity 1 and 2 disagree on these.
            "#if($input.empty)a#end",
            // No public example shows what these make of the value.
            "$salesforce.escReserved(\"+1 (2)\")",
            "${successTemplateUtils.moveKeysIntoArrayOfObjects(\"${map}\", \"id\")}",
            // A list prints as a Java object.
            "$items",
        ] {
            assert!(render(template, &scope()).is_err(), "{template}");
        }
    }
}
