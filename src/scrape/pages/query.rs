//! The query of a request, and of links to the same page.

/// Names and values, decoded.
#[derive(Clone, Default, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(text: &str) -> Query {
        Query(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name; empty if there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The same page with another number.
    pub(super) fn with_page(&self, page: usize) -> String {
        let others = self.0.iter().filter(|(name, _)| name != "page");
        url::form_urlencoded::Serializer::new(String::from("?"))
            .extend_pairs(others)
            .append_pair("page", &page.to_string())
            .finish()
    }

    /// Which page is asked for, from 1.
    pub(super) fn page(&self) -> usize {
        self.value("page").parse().unwrap_or(1).max(1)
    }
}

/// A link with a query.
pub(super) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(format!("{path}?"));
    query.extend_pairs(pairs);
    query.finish()
}
