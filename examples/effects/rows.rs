//! The rules of the table.

/// A line of the table.
pub struct Row {
    pub label: &'static str,
    /// A file with a guide `row`.
    pub guide: &'static str,
    /// Whether the pictures are asked for by name.
    pub prompted: bool,
}

const fn named(label: &'static str, guide: &'static str) -> Row {
    Row {
        label,
        guide,
        prompted: true,
    }
}

const fn nameless(label: &'static str, guide: &'static str) -> Row {
    Row {
        label,
        guide,
        prompted: false,
    }
}

/// In the order of the table.
pub const ROWS: &[Row] = &[
    named("no guidance", "guide row() { predict(cond) }"),
    named(
        "cfg, 3",
        "use std::rules::cfg\nguide row() { cfg(scale: 3) }",
    ),
    named(
        "cfg, 15",
        "use std::rules::cfg\nguide row() { cfg(scale: 15) }",
    ),
    named(
        "apg, 15, radius 0.5",
        "use std::rules::apg\nguide row() { apg(scale: 15, radius: 0.5) }",
    ),
    named(
        "pag, 3",
        "use std::rules::pag\nguide row() { pag(scale: 3) }",
    ),
    named(
        "autoguidance, 2",
        "use std::rules::autoguidance\nguide row() { autoguidance(scale: 2) }",
    ),
    named(
        "gradient_free",
        "use std::rules::gradient_free\nguide row() { gradient_free() }",
    ),
    named(
        "cfg, 3, with gradient_free",
        "use std::rules::{cfg, gradient_free}\n\
         guide row() { cfg(scale: 3) + (denoise(gradient_free()) - predict(cond)) }",
    ),
    named(
        "cfg, 15, with gradient_free",
        "use std::rules::{cfg, gradient_free}\n\
         guide row() { cfg(scale: 15) + (denoise(gradient_free()) - predict(cond)) }",
    ),
    named(
        "cfg, 3, push_apart",
        "guide row() {\n    let c = predict(cond, with: push_apart(batch))\n    \
         let u = predict(uncond)\n    u + 3 * (c - u)\n}",
    ),
    nameless("no prompt, no guidance", "guide row() { predict(null) }"),
    nameless(
        "no prompt, pag, 3",
        "guide row() {\n    let p = predict(null)\n    \
         p + 3 * (p - predict(null, with: identity_attention(mid)))\n}",
    ),
    nameless(
        "no prompt, autoguidance, 2",
        "model weak\nguide row() {\n    let w = predict(null, model: weak)\n    \
         w + 2 * (predict(null) - w)\n}",
    ),
];
