//! The names of a row's fields, some of which its sender chooses.

use crate::model::FieldText;

use super::decoder::Fault;

/// Finds out whether fields may stand in one row. Its memory is used again.
#[derive(Default, Debug)]
pub(super) struct NameCheck(Vec<u32>);

impl NameCheck {
    /// No two fields may have one name and type. By sorting: an attacker chooses how many there are.
    pub(super) fn check(&mut self, fields: &[FieldText<'_>]) -> Result<(), Fault> {
        let order = &mut self.0;
        order.clear();
        order.extend(0..fields.len() as u32);
        let key = |i: u32| (fields[i as usize].name, fields[i as usize].kind);
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
        let has_twins = order.windows(2).any(|pair| key(pair[0]) == key(pair[1]));
        if has_twins { Err(Fault::DuplicateField) } else { Ok(()) }
    }
}
