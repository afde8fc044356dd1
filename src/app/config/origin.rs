//! Where settings stand that only a start takes over: a reload that changes one is refused, and says where.

use super::document::Document;
use super::lines::is_lines;
use super::setting::Setting;
use super::{Config, ConfigError, Listener, Place};

/// Where the file has them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Origins {
    /// `workers` and the keys of `data`, those that are there.
    settings: Vec<Origin>,
    /// The addresses for HTTP, in the order of [`Config::listen`].
    listen: Vec<Origin>,
    /// Those for lines, in the order of [`Config::lines`].
    lines: Vec<Origin>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Origin {
    key: String,
    place: Place,
}

impl Origins {
    pub(super) fn read(document: &Document) -> Origins {
        let data = &document.data;
        let settings = [
            &data.directory,
            &data.retention,
            &data.retention_size,
            &data.free_space_min,
            &data.cursor_size_max,
            &data.commit_linger,
            &data.commit_interval,
            &data.commits_per_second_max,
            &data.disk,
            &document.workers,
        ];
        let mut origins = Origins {
            settings: settings.into_iter().flatten().map(Origin::new).collect(),
            ..Origins::default()
        };
        let sections = document.listen.iter().flat_map(|list| &list.sections);
        for (index, section) in sections.enumerate() {
            let origin = Origin { key: format!("listen[{index}]"), place: section.address.place.clone() };
            if is_lines(section) { origins.lines.push(origin) } else { origins.listen.push(origin) }
        }
        origins
    }
}

impl Origin {
    fn new(setting: &Setting) -> Origin {
        Origin { key: setting.key.clone(), place: setting.place.clone() }
    }
}

impl Config {
    /// Says of a key in which `next` [differs](Config::changes) that it needs a restart: where it stands, and of
    /// listeners which one.
    pub fn refuse_change(&self, next: &Config, key: &str) -> ConfigError {
        let file = || next.file.clone().map_or(Place::Default, Place::File);
        let gone = |origin: &Origin| Origin { key: origin.key.clone(), place: file() };
        let (now, then) = (&self.origins, &next.origins);
        let element = |index: usize, now: &[Origin], then: &[Origin]| {
            then.get(index).cloned().or_else(|| now.get(index).map(gone))
        };
        let bound = |listener: &Listener| (listener.address, listener.protocol);
        let origin = if key == "listen" {
            let http = difference(self.listen.iter().map(bound), next.listen.iter().map(bound));
            let lines = difference(self.lines.iter(), next.lines.iter());
            http.and_then(|index| element(index, &now.listen, &then.listen))
                .or_else(|| lines.and_then(|index| element(index, &now.lines, &then.lines)))
        } else {
            then.settings.iter().find(|origin| origin.key == key).cloned()
        };
        let Origin { key, place } = origin.unwrap_or_else(|| Origin { key: key.into(), place: file() });
        ConfigError { place, key: String::new(), message: format!("{key} needs a restart") }
    }
}

/// The first place in which two lists differ.
fn difference<T: PartialEq>(
    mut now: impl Iterator<Item = T>,
    mut next: impl Iterator<Item = T>,
) -> Option<usize> {
    let mut index = 0;
    loop {
        match (now.next(), next.next()) {
            (None, None) => return None,
            (now, next) if now != next => return Some(index),
            _ => index += 1,
        }
    }
}
