//! The memory budget: who wants bytes reserves them first, and is refused before memory grows.

use std::sync::Arc;

use crate::sync::SharedCount;

/// `limits.memory`, shared by all workers. Tables and batches report what they hold; bodies and connections reserve.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    max: Arc<SharedCount>,
    reserved: Arc<SharedCount>,
}

impl MemoryBudget {
    /// A budget of which nothing is taken.
    pub fn new(max: u64) -> MemoryBudget {
        let budget = MemoryBudget { max: Arc::default(), reserved: Arc::default() };
        budget.set_max(max);
        budget
    }

    /// The whole of it.
    pub fn max(&self) -> u64 {
        self.max.value()
    }

    /// Changes the budget. What is taken stays taken.
    pub fn set_max(&self, max: u64) {
        self.max.set(max);
    }

    /// Takes bytes out of the budget, if they are there. `held` is what tables and batches hold at present.
    pub fn reserve(&self, bytes: u64, held: u64) -> Option<Reservation> {
        // Two workers may both see room for their last reservation: the budget can be passed by one body a worker.
        if self.reserved.value() + held + bytes > self.max.value() {
            return None;
        }
        self.reserved.add(bytes);
        Some(Reservation { bytes, budget: self.clone() })
    }

    /// Connections held `before` bytes when last counted, and hold `after` now.
    pub fn recount(&self, before: u64, after: u64) {
        self.reserved.add(after);
        self.reserved.subtract(before);
    }

    /// Whether tables and batches alone leave no room.
    pub fn exhausted(&self, held: u64) -> bool {
        self.reserved.value() + held > self.max.value()
    }
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    budget: MemoryBudget,
}

impl Reservation {
    /// How many bytes are reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes more, if they are there; `held` as for [`MemoryBudget::reserve`].
    pub fn grow(&mut self, bytes: u64, held: u64) -> bool {
        let Some(mut more) = self.budget.reserve(bytes, held) else { return false };
        self.bytes += std::mem::take(&mut more.bytes);
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.reserved.subtract(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_refused_past_the_budget_and_given_back() {
        let budget = MemoryBudget::new(100);
        let first = budget.reserve(60, 10).unwrap();
        assert!(budget.reserve(31, 10).is_none());
        drop(first);
        let mut second = budget.reserve(80, 10).unwrap();
        assert!(!second.grow(11, 10) && second.grow(10, 10) && second.bytes() == 90);
        drop(second);
        assert_eq!(budget.reserved.value(), 0);
        assert!(budget.exhausted(101));
    }
}
