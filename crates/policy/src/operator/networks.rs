//! Whether an address is in a network.

use crate::literal::Equal;
use crate::truth::Why;
use ipnet::IpNet;
use std::net::IpAddr;

/// Networks.
#[derive(Debug)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// Those that are written so, as `10.0.0.0/8` or an address alone; the error is one that is none, with what may be meant.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, (&'a str, Option<String>)> {
        let network = |text: &'a str| {
            if let Ok(address) = text.parse::<IpAddr>() {
                return Ok(IpNet::from(address));
            }
            let network: IpNet = text.parse().map_err(|_| (text, None))?;
            // Bits behind the prefix would be ignored, and were hardly meant to be.
            match network.trunc() == network {
                true => Ok(network),
                false => Err((text, Some(network.trunc().to_string()))),
            }
        };
        texts.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a text is an address in one of them. An IPv4 address in the form of IPv6 counts as what it is.
    pub(crate) fn hold(&self, text: &str) -> Equal {
        let address: IpAddr = text.parse().map_err(|_| Why::Form("it is no IP address in its usual form"))?;
        let address = address.to_canonical();
        Ok(self.0.iter().any(|network| network.contains(&address)))
    }
}
