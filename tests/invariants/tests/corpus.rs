//! The inputs that have been awkward: `corpus/`, a folder for each module.

use std::{fs, path::Path};

use towpath_invariants::{envelope, event, header, line, memory};
use towpath_testkit::leak::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

type Invariant = fn(&[u8]);

/// Each in order. One test, so that nothing else allocates in this process meanwhile.
#[test]
fn awkward_inputs_stay_harmless() {
    let folders: [(&str, &[Invariant]); 4] = [
        ("line", &[line::holds, memory::is_bounded]),
        ("event", &[event::holds, memory::is_bounded]),
        ("envelope", &[envelope::holds]),
        ("header", &[header::holds]),
    ];
    assert!(CountingAllocator::is_installed());
    for (folder, invariants) in folders {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            println!("{}", path.display());
            invariants.iter().for_each(|holds| holds(&input));
            count += 1;
        }
        assert!(count >= 8, "{count} inputs in {}", folder.display());
    }
}
