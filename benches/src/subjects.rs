//! The subjects of this crate, one file each.

mod api_floor;
mod bare_server;
mod bridge_floor;
mod floor;
mod http_client_floor;
mod http_floor;
#[cfg(feature = "towpath")]
mod towpath;

use crate::Entry;

/// The subjects that this build has.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries = floor_entries();
    entries.push(Entry::new::<api_floor::ApiFloor>());
    #[cfg(feature = "towpath")]
    entries.extend(towpath::entries());
    entries
}

/// The floors, for programs that measure something else beside them.
#[must_use]
pub fn floor_entries() -> Vec<Entry> {
    vec![
        Entry::new::<floor::Floor>(),
        Entry::new::<http_floor::HttpFloor>(),
        Entry::new::<http_client_floor::HttpClientFloor>(),
        Entry::new::<bare_server::BareServer>(),
        Entry::new::<bridge_floor::BridgeFloor>(),
    ]
}
