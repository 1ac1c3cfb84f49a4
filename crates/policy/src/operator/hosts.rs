//! Which host a URL leads to. Programs disagree on odd URLs, so only plain ones are judged; no name is resolved.

use crate::literal::Equal;
use crate::truth::Why;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts by name, by address, or all below a name.
#[derive(Debug)]
pub(crate) struct Hosts(Vec<Named>);

#[derive(Debug)]
enum Named {
    Name(Box<str>),
    /// All names that end with this, which begins with a dot.
    Below(Box<str>),
    Address(IpAddr),
}

enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl Hosts {
    /// Those that are called so; the error is the one that is no host.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, &'a str> {
        let named = |name: &'a str| {
            let below = name.strip_prefix("*.");
            match (below, host(below.unwrap_or(name))) {
                (None, Ok(Host::Address(address))) => Ok(Named::Address(address)),
                (None, Ok(Host::Name(name))) => Ok(Named::Name(name.into())),
                (Some(_), Ok(Host::Name(below))) => Ok(Named::Below(format!(".{below}").into())),
                (Some(_), Ok(Host::Address(_))) | (_, Err(_)) => Err(name),
            }
        };
        names.map(named).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a URL leads to one of them.
    pub(crate) fn hold(&self, url: &str) -> Equal {
        let found = host_of(url).map_err(Why::Form)?;
        Ok(self.0.iter().any(|named| match (named, &found) {
            (Named::Name(name), Host::Name(found)) => name.eq_ignore_ascii_case(found),
            (Named::Below(end), Host::Name(found)) => {
                let begin = found.len().checked_sub(end.len()).filter(|begin| *begin > 0);
                begin.and_then(|begin| found.get(begin..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }
            (Named::Address(address), Host::Address(found)) => address == found,
            _ => false,
        }))
    }
}

fn host_of(url: &str) -> Result<Host<'_>, &'static str> {
    if url.contains(|sign: char| sign.is_whitespace() || sign.is_control() || sign == '\\') {
        return Err("it has a blank, a backslash or a character that is not seen in it");
    }
    let rest = match url.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            rest
        }
        _ => return Err("it is no http:// or https:// address"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it names a user before its host");
    }
    let end = match authority.find(']') {
        Some(end) if authority.starts_with('[') => end + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, port) = authority.split_at_checked(end).unwrap_or((authority, ""));
    let is_number =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_number) {
        return Err("its port is no number");
    }
    host(name)
}

/// A name, or an address in its usual form.
fn host(name: &str) -> Result<Host<'_>, &'static str> {
    if let Some(inside) = name.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) {
        let address: Ipv6Addr = inside.parse().map_err(|_| "its host is no address")?;
        return Ok(Host::Address(IpAddr::V6(address).to_canonical()));
    }
    if let Ok(address) = name.parse::<Ipv6Addr>() {
        return Ok(Host::Address(IpAddr::V6(address).to_canonical()));
    }
    // A dot at the end says that the name is whole.
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_plain = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !name.split('.').all(is_plain) {
        return Err("its host is not a name of plain letters, digits and hyphens");
    }
    // Whatever ends with a number is an address (WHATWG URL, "ends in a number"), of which there are odd forms.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number =
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if !is_number {
        return Ok(Host::Name(name));
    }
    let address: Ipv4Addr = name.parse().map_err(|_| "its host is an address in an odd form")?;
    Ok(Host::Address(IpAddr::V4(address)))
}
