use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// What the reader makes of a text, as a tree.
fn tree(json: &mut Json<'_>) -> Result<Value, JsonFault> {
    let text = |json: &Json<'_>, string: JsonString<'_>| {
        let spelled = string.spelled(LoneSurrogates::Refused, &mut Vec::new()).map(<[u8]>::to_vec);
        Ok(String::from_utf8(spelled.map_err(|what| json.fault(what))?).unwrap())
    };
    Ok(match json.peek() {
        Some(b'{') => {
            let mut map = serde_json::Map::new();
            json.object(|json, name| {
                let name = text(json, name)?;
                map.insert(name, tree(json)?);
                Ok::<_, JsonFault>(())
            })?;
            Value::Object(map)
        }
        Some(b'[') => {
            let mut list = Vec::new();
            json.array(|json| {
                list.push(tree(json)?);
                Ok::<_, JsonFault>(())
            })?;
            Value::Array(list)
        }
        Some(b'"') => {
            let string = json.string()?;
            Value::String(text(json, string)?)
        }
        Some(b't') if json.take_word(b"true") => Value::Bool(true),
        Some(b'f') if json.take_word(b"false") => Value::Bool(false),
        Some(b'n') if json.take_word(b"null") => Value::Null,
        _ => {
            let number = json.number()?;
            match (number.u64(), number.i64()) {
                (Some(whole), _) => whole.into(),
                (_, Some(whole)) if number.text() != b"-0" => whole.into(),
                _ => {
                    let float = number.f64();
                    serde_json::Number::from_f64(float)
                        .map_or_else(|| Err(json.fault("out of range")), |n| Ok(n.into()))?
                }
            }
        }
    })
}

fn read(text: &[u8]) -> Result<Value, JsonFault> {
    let mut json = Json::new(text, 0);
    let value = tree(&mut json)?;
    json.end()?;
    Ok(value)
}

fn skipped(text: &[u8]) -> bool {
    let mut json = Json::new(text, 0);
    json.skip().is_ok() && json.end().is_ok()
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (text, at) in [
        ("", 0),
        ("{", 1),
        ("[1,]", 3),
        ("{\"a\":1,}", 7),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("[1 2]", 3),
        ("01", 0),
        ("1.", 0),
        ("-", 0),
        ("1e", 0),
        ("+1", 0),
        (".5", 0),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 1),
        ("\"\\u12g4\"", 1),
        ("\"abcdefghijkl", 13),
        ("1 1", 2),
        ("nul", 0),
        ("[]]", 2),
    ] {
        assert_eq!(read(text.as_bytes()).map_err(|fault| fault.at), Err(at), "{text}");
        assert!(!skipped(text.as_bytes()), "{text}");
    }
}

#[test]
fn lone_surrogates_are_bytes_or_refused() {
    let spelled = |text: &[u8], lone| {
        let string = Json::new(text, 0).string().unwrap();
        string.spelled(lone, &mut Vec::new()).map(<[u8]>::to_vec)
    };
    let text = br#""a\udcff\udc80\ud83c\udf0a\u00e9""#;
    assert_eq!(spelled(text, LoneSurrogates::Bytes).unwrap(), b"a\xff\x80\xf0\x9f\x8c\x8a\xc3\xa9");
    assert!(spelled(text, LoneSurrogates::Refused).is_err());
    for text in [&br#""\ud800""#[..], br#""\udc7f""#, br#""\ud83c\u0041""#, br#""\udbff\ud800""#] {
        assert!(spelled(text, LoneSurrogates::Bytes).is_err());
    }
}

#[test]
fn skipping_knows_non_numbers_and_bounds_the_depth() {
    assert!(skipped(b" [NaN, -Infinity ,Infinity,{\"a\":[{}]},\"]\"] "));
    assert!(!skipped(b"[-NaN]") && !skipped(b"[Inf]"));
    let deep = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
    assert!(skipped(&deep(128)) && !skipped(&deep(129)));
    for inside in ["", "1", r#"{},"x",null"#] {
        let mixed = [br#"{"a":["#.repeat(63), inside.into(), br#"]}"#.repeat(63)].concat();
        assert!(skipped(&mixed), "{inside}");
        let mixed = [br#"{"a":["#.repeat(64), inside.replace("{},", "").into(), br#"]}"#.repeat(64)].concat();
        assert!(skipped(&mixed), "{inside}");
    }
    assert_eq!(Json::new(b"[ 1 , {} ] x", 0).skip(), Ok(&b"[ 1 , {} ]"[..]));
}

#[test]
fn integers_keep_64_bits_and_floats_the_sign_of_zero() {
    let number = |text: &'static [u8]| Json::new(text, 0).number().unwrap();
    assert_eq!(number(b"-9223372036854775808").i64(), Some(i64::MIN));
    assert_eq!(number(b"-9223372036854775809").i64(), None);
    assert_eq!(number(b"9223372036854775808").i64(), None);
    assert_eq!(number(b"18446744073709551615").u64(), Some(u64::MAX));
    assert_eq!(number(b"18446744073709551616").u64(), None);
    assert_eq!(number(b"-1").u64(), None);
    assert_eq!(number(b"1.0").i64(), None);
    assert_eq!(number(b"1e0").i64(), None);
    assert_eq!(number(b"-0").f64().to_bits(), (-0.0f64).to_bits());
    assert_eq!(number(b"1e999").f64(), f64::INFINITY);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,9}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn objects_of_strings_end_where_they_end(
        members in prop::collection::vec((".{0,9}", ".{0,9}"), 0..5), behind in "[,}\"{].{0,9}",
    ) {
        let members: Vec<_> = members.iter().map(|(n, v)| format!("{}:{}", Value::from(&**n), Value::from(&**v))).collect();
        let object = format!("{{{}}}", members.join(","));
        prop_assert_eq!(strings_object_len(format!("{object}{behind}").as_bytes()), Some(object.len()));
        for cut in 0..object.len() {
            prop_assert_eq!(strings_object_len(&object.as_bytes()[..cut]), None);
        }
    }

    #[test]
    fn what_others_print_is_read(value in values()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(read(text.as_bytes()), Ok(value.clone()));
            prop_assert!(skipped(text.as_bytes()));
        }
    }

    /// Near misses of JSON are taken and refused as another reader does.
    #[test]
    fn damaged_text_is_judged_as_by_another_reader(
        value in values(), at: usize, byte in "[\\[\\]{},:\"0-9eE+.\\\\ -]",
    ) {
        let mut text = value.to_string().into_bytes();
        let at = at % text.len();
        text[at] = byte.as_bytes()[0];
        // Numbers out of range are for the decoder to refuse, and two members of one name.
        if let Ok(text) = std::str::from_utf8(&text) {
            let theirs = serde_json::from_str::<Value>(text);
            let ours = read(text.as_bytes());
            prop_assert_eq!(ours.ok(), theirs.ok(), "{}", text);
        }
    }

    #[test]
    fn any_bytes_end_somewhere(text: Vec<u8>) {
        if std::str::from_utf8(&text).is_ok() && read(&text).is_ok() {
            prop_assert!(skipped(&text));
        }
    }

    #[test]
    fn digits_are_counted_and_read_wherever_they_end(value: u64, shift in 0u32..64, behind in "[^0-9.eE]?.{0,9}") {
        prop_assume!(!behind.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E')));
        let digits = (value >> shift).to_string();
        let text = format!("{digits}{behind}");
        let number = Json::new(text.as_bytes(), 0).number().unwrap();
        prop_assert_eq!((number.u64(), number.text()), (Some(value >> shift), digits.as_bytes()));
    }

    #[test]
    fn decimals_are_the_standard_librarys(mantissa: u64, shift in 0u32..64, places in 0usize..25, negative: bool) {
        let digits = format!("{:0>width$}", mantissa >> shift, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if negative { "-" } else { "" };
        let text = if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
        let number = Json::new(text.as_bytes(), 0).number().unwrap();
        prop_assert_eq!(number.text(), text.as_bytes());
        prop_assert_eq!(number.f64().to_bits(), text.parse::<f64>().unwrap().to_bits());
    }
}
