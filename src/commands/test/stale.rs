//! Snapshots whose guide is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Tested;
use super::find::{Plans, shown};

/// The snapshots that no tested guide has. Which those are is not known of a file that is broken, nor of
/// one that is not tested; and a file that is no plan of a guide beside it is none of ours.
pub fn find(plans: &[Plans], tested: &[Tested]) -> Vec<String> {
    let claimed: BTreeSet<&PathBuf> = tested
        .iter()
        .flat_map(|file| file.snapshots.iter().map(|snapshot| &snapshot.place))
        .collect();
    let mut stale = Vec::new();
    for folder in plans {
        for plan in folder.files.iter().filter(|plan| !claimed.contains(plan)) {
            let Some(guide) = guide_of(plan) else {
                continue;
            };
            let owner = tested.iter().find(|file| file.place == guide);
            if owner.map_or(folder.whole, |file| file.is_whole) {
                stale.push(shown(plan));
            }
        }
    }
    stale
}

/// The file, beside the plan, that a plan's head names: `plan apg (apg.guide) for …`.
fn guide_of(plan: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(plan).ok()?;
    let head = text.lines().next()?.strip_prefix("plan ")?;
    let (_, rest) = head.split_once(" (")?;
    let (file, _) = rest.rsplit_once(") for ")?;
    let is_beside = file.ends_with(".guide") && !file.contains(['/', '\\']);
    is_beside.then(|| plan.with_file_name(file))
}
