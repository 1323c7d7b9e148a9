//! The user of a rule: by number, or by name.

use std::{fmt, fs};

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Where names are looked up: a static program has no other directory of users.
const PASSWD: &str = "/etc/passwd";

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// As the kernel knows it.
    pub(super) number: u32,
    /// As the rule calls it, if it does not by the number.
    name: Option<String>,
}

impl User {
    fn named(name: &str) -> Result<Self, String> {
        // A number in quotes is a number.
        if let Ok(number) = name.parse() {
            return Ok(Self { number, name: None });
        }
        let passwd =
            fs::read(PASSWD).map_err(|error| format!("user {name:?}: {PASSWD} cannot be read: {error}"))?;
        let number = number_of(name, &String::from_utf8_lossy(&passwd));
        let number = number.ok_or_else(|| {
            format!(
                "{PASSWD} has no user {name:?}; of a user from elsewhere, such as LDAP or a container, give the number"
            )
        })?;
        Ok(Self { number, name: Some(name.to_owned()) })
    }
}

/// The number of a user: the third field of its line.
fn number_of(name: &str, passwd: &str) -> Option<u32> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| if fields.next()? == name { fields.nth(1)?.parse().ok() } else { None })
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrName)
    }
}

struct NumberOrName;

impl Visitor<'_> for NumberOrName {
    type Value = User;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number or the name of a user")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<User, E> {
        let number =
            u32::try_from(number).map_err(|_| E::custom(format!("{number} is no number of a user")))?;
        Ok(User { number, name: None })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<User, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(-1))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<User, E> {
        User::named(name).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_whole() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\nshop:x:1001:100::/:/bin/sh\nlate:x\n";
        assert_eq!(number_of("root", passwd), Some(0));
        assert_eq!(number_of("shop", passwd), Some(1001));
        for absent in ["sho", "shopp", "", "x", "broken", "late", "1001"] {
            assert_eq!(number_of(absent, passwd), None, "{absent}");
        }
    }
}
