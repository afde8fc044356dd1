//! Values by number, for numbers that a file gives: a page exists once a number of it was set.

/// A sparse vector. What was never set is the type's default.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Option<Box<[T]>>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Pages<T> {
        Pages { pages: Vec::new() }
    }
}

impl<T: Copy + Default> Pages<T> {
    #[inline]
    pub(super) fn at(&self, number: u32) -> T {
        match self.pages.get(number as usize / PAGE) {
            Some(Some(page)) => page[number as usize % PAGE],
            _ => T::default(),
        }
    }

    #[inline]
    pub(super) fn set(&mut self, number: u32, value: T) {
        let index = number as usize / PAGE;
        if index >= self.pages.len() {
            self.pages.resize_with(index + 1, || None);
        }
        let page = self.pages[index].get_or_insert_with(|| vec![T::default(); PAGE].into_boxed_slice());
        page[number as usize % PAGE] = value;
    }

    /// The values of all pages, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        let pages = self.pages.iter().enumerate().filter_map(|(i, page)| Some((i, page.as_ref()?)));
        pages.flat_map(|(i, page)| (i * PAGE..).map(|n| n as u32).zip(page.iter().copied()))
    }

    pub(super) fn clear(&mut self) {
        self.pages.clear();
    }
}

/// A hostile number costs one page and 8 MiB of places for pages, not 4 billion values.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_found_and_the_rest_is_the_default() {
        let mut pages = Pages::default();
        for number in [0, 4095, 4096, 1_000_000, u32::MAX] {
            pages.set(number, number ^ 1);
        }
        assert_eq!((pages.at(0), pages.at(1), pages.at(5000), pages.at(u32::MAX)), (1, 0, 0, u32::MAX ^ 1));
        let set: Vec<_> = pages.iter().filter(|&(_, v)| v != 0).collect();
        assert_eq!(set.len(), 5);
        assert!(set.iter().all(|&(n, v)| v == n ^ 1));
    }
}
