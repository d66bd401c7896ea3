//! The subjects of this crate, one file each.

mod api_floor;
mod floor;
#[cfg(feature = "towpath")]
mod towpath;

use crate::Entry;

/// The subjects that this build has.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries = vec![floor_entry(), Entry::new::<api_floor::ApiFloor>()];
    #[cfg(feature = "towpath")]
    entries.extend(towpath::entries());
    entries.shrink_to_fit();
    entries
}

/// The floor, for programs that measure something else beside it.
#[must_use]
pub fn floor_entry() -> Entry {
    Entry::new::<floor::Floor>()
}
