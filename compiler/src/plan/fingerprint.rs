//! What tells one plan from another.

use sha2::{Digest, Sha256};

use super::Plan;

impl Plan {
    /// SHA-256, in hex, of the plan as JSON: two plans with the same one do the same.
    pub fn fingerprint(&self) -> String {
        // INVARIANT: a plan is data with names for keys, which can always be written.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let digest = Sha256::digest(&text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
