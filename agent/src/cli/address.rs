//! An address to serve on, as it is given on the command line.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// An address and port. A name such as `localhost` is resolved once, to its first address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut addresses = text
            .to_socket_addrs()
            .map_err(|error| format!("{error}; give an address and a port such as 127.0.0.1:9464"))?;
        addresses.next().map(Self).ok_or_else(|| "the name has no address".to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_name_with_a_port_is_an_address() {
        for (text, port) in [("127.0.0.1:9464", 9464), ("[::1]:80", 80), ("localhost:0", 0)] {
            assert_eq!(text.parse::<Address>().unwrap().0.port(), port, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in ["9464", "127.0.0.1", "", "127.0.0.1:99999"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("127.0.0.1:9464"), "{text}: {error}");
        }
    }
}
