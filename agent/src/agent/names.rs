//! By which names a scrape tells what is measured.

use std::str::FromStr;

/// The names of a scrape's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The catalogue's.
    Loopscope,
    /// Those of prom-client's default metrics, of Node.js processes.
    PromClient,
    /// Both; what has the same name in both is told once.
    Both,
}

impl Names {
    /// Whether the catalogue's names are among them.
    pub(crate) fn has_loopscope(self) -> bool {
        self != Self::PromClient
    }

    /// Whether prom-client's names are among them.
    pub(crate) fn has_prom_client(self) -> bool {
        self != Self::Loopscope
    }

    /// What the query of a request asks for, in a parameter `names`; `None` where it has none.
    ///
    /// # Errors
    /// Where there are no such names, with what to write instead.
    pub(super) fn asked(query: Option<&str>) -> Result<Option<Self>, &'static str> {
        let pairs = query.unwrap_or_default().split('&');
        let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == "names");
        value.map(|(_, value)| value.replace("%2C", ",").replace("%2c", ",").parse()).transpose()
    }
}

impl FromStr for Names {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut loopscope, mut prom_client) = (false, false);
        for name in text.split(',') {
            match name.trim() {
                "loopscope" => loopscope = true,
                "prom-client" => prom_client = true,
                _ => {
                    return Err(
                        "there are no such names; names is loopscope, prom-client, or loopscope,prom-client\n",
                    );
                }
            }
        }
        Ok(match (loopscope, prom_client) {
            (_, false) => Self::Loopscope,
            (false, true) => Self::PromClient,
            (true, true) => Self::Both,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_may_ask_for_names() {
        for (query, names) in [
            ("names=prom-client", Names::PromClient),
            ("x=1&names=loopscope", Names::Loopscope),
            ("names=prom-client,loopscope", Names::Both),
            ("names=loopscope%2Cprom-client&y", Names::Both),
        ] {
            assert_eq!(Names::asked(Some(query)), Ok(Some(names)), "{query}");
        }
        for query in [None, Some(""), Some("collect[]=x"), Some("names")] {
            assert_eq!(Names::asked(query), Ok(None), "{query:?}");
        }
        for query in ["names=", "names=prom_client", "names=loopscope,x"] {
            assert!(Names::asked(Some(query)).is_err(), "{query}");
        }
    }
}
