//! Arguments that the new era mirrors into headers ("Custom Headers from Tool Parameters").

use http::HeaderMap;
use portcullis_catalogue::Tool;
use portcullis_wire::{decode_value, encode_value, member, text};

/// The headers that belong to a call's arguments: name in lower case, value encoded.
pub(crate) fn mirrored(tool: &Tool, arguments: &str) -> Vec<(String, String)> {
    tool.headers
        .iter()
        .filter_map(|param| {
            let value = plain_value(argument(arguments, &param.path)?)?;
            Some((param.header.clone(), encode_value(&value).into_owned()))
        })
        .collect()
}

/// Checks the client's own headers against the arguments.
///
/// # Errors
/// What does not match.
pub(crate) fn check(tool: &Tool, arguments: &str, headers: &HeaderMap) -> Result<(), String> {
    for param in &tool.headers {
        let expected = argument(arguments, &param.path).and_then(plain_value);
        let mut values = headers.get_all(&param.header).iter();
        let found = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let decoded = value.to_str().ok().and_then(decode_value);
                Some(decoded.ok_or_else(|| format!("{} is not a valid header value", param.header))?)
            }
            _ => return Err(format!("{} stands more than once", param.header)),
        };
        match (expected, found) {
            (None, None) => {}
            (Some(expected), Some(found)) if same(&expected, &found) => {}
            (Some(expected), Some(found)) => {
                let (found, name) = (found.escape_default(), &param.header);
                return Err(format!("{name} header `{found}` does not match the argument `{expected}`"));
            }
            (Some(_), None) => return Err(format!("{} header is missing", param.header)),
            (None, Some(_)) => return Err(format!("{} header is there without its argument", param.header)),
        }
    }
    Ok(())
}

/// The client's headers that mirror arguments of a tool, as they came. Others carry what nobody judged, and stay behind.
pub(crate) fn forwarded(tool: &Tool, headers: &HeaderMap) -> Vec<(String, String)> {
    let sent = |name: &String| Some((name.clone(), headers.get(name)?.to_str().ok()?.to_owned()));
    tool.headers.iter().filter_map(|param| sent(&param.header)).collect()
}

fn argument<'a>(arguments: &'a str, path: &[String]) -> Option<&'a str> {
    path.iter().try_fold(arguments, |json, name| member(json, name))
}

/// A primitive as header text; `None` for null and everything that cannot be mirrored.
fn plain_value(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => text(json).map(std::borrow::Cow::into_owned),
        b'n' | b'{' | b'[' => None,
        _ => Some(json.to_owned()),
    }
}

/// Integers are compared as numbers: `42.0` and `42` are equal (specification, "Server Validation").
fn same(expected: &str, found: &str) -> bool {
    let whole = |text: &str| {
        text.split_once('.')
            .map_or(Some(text), |(whole, rest)| rest.bytes().all(|b| b == b'0').then_some(whole))
            .and_then(|whole| whole.parse::<i64>().ok())
    };
    expected == found || whole(expected).is_some_and(|number| Some(number) == whole(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Tool {
        Tool::read(
            r#"{"name":"t","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "n":{"type":"integer","x-mcp-header":"N"}}}}"#,
            &Default::default(),
        )
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn headers_are_made_of_arguments_and_checked_against_them() {
        let arguments = r#"{"region":"süd","n":42}"#;
        let made = mirrored(&tool(), arguments);
        let made: Vec<_> = made.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(made, [("mcp-param-n", "42"), ("mcp-param-region", "=?base64?c8O8ZA==?=")]);
        assert!(check(&tool(), arguments, &headers(&made)).is_ok());
        assert!(check(&tool(), r#"{"n":42.0,"region":null}"#, &headers(&[("mcp-param-n", "42")])).is_ok());
    }

    #[test]
    fn every_way_to_disagree_is_found() {
        for (arguments, pairs) in [
            (r#"{"region":"a"}"#, vec![]),
            (r#"{"region":"a"}"#, vec![("mcp-param-region", "b")]),
            (r#"{"region":"a"}"#, vec![("mcp-param-region", "a"), ("mcp-param-region", "a")]),
            (r#"{"region":"a"}"#, vec![("mcp-param-region", "=?base64?%%?=")]),
            ("{}", vec![("mcp-param-region", "a")]),
            (r#"{"n":42}"#, vec![("mcp-param-n", "43")]),
        ] {
            assert!(check(&tool(), arguments, &headers(&pairs)).is_err(), "{arguments} {pairs:?}");
        }
    }
}
