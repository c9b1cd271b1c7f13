//! Functions over addresses.

use arrow::array::{Array, AsArray, BooleanArray};
use datafusion::common::Result;
use std::net::IpAddr;
use std::sync::Arc;

/// `cidr_contains('10.0.0.0/8', ip)`; NULL where one of them is no network or address.
pub fn cidr_contains(arguments: &[Arc<dyn Array>]) -> Result<Arc<dyn Array>> {
    let (networks, addresses) = (arguments[0].as_string_view(), arguments[1].as_string_view());
    let contains: BooleanArray =
        networks.iter().zip(addresses).map(|(network, address)| inside(network?, address?)).collect();
    Ok(Arc::new(contains))
}

fn inside(network: &str, address: &str) -> Option<bool> {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base.parse().ok()?, Some(bits.parse::<u32>().ok()?)),
        None => (network.parse().ok()?, None),
    };
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((base, longest), (address, other)) = (wide(base), wide(address.parse().ok()?));
    let bits = bits.unwrap_or(longest);
    if longest != other {
        return Some(false);
    }
    (bits <= longest).then(|| (base ^ address).checked_shr(128 - bits).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn networks_of_both_versions() {
        for (network, address, want) in [
            ("10.0.0.0/8", "10.9.9.9", Some(true)),
            ("10.0.0.0/8", "11.0.0.0", Some(false)),
            ("0.0.0.0/0", "1.2.3.4", Some(true)),
            ("1.2.3.4", "1.2.3.4", Some(true)),
            ("2001:db8::/32", "2001:db8::1", Some(true)),
            ("2001:db8::/32", "10.0.0.1", Some(false)),
            ("10.0.0.0/33", "10.0.0.1", None),
            ("x", "10.0.0.1", None),
        ] {
            assert_eq!(super::inside(network, address), want, "{network} {address}");
        }
    }
}
