//! The standard library: `.guide` files under `ops/`, `rules/`, `objectives/`, `directions/` and
//! `schedules/`, embedded as text, and under `dialects/` the variants by which other tools differ from the
//! rules. The mathematics of every rule stands in these files and nowhere else.
//!
//! A file holds one item of its own name, so that `std::ops::momentum` is `ops/momentum.guide` and
//! `std::dialects::diffusers::apg` is `dialects/diffusers/apg.guide`.

macro_rules! embed {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = embed![
    "dialects/a1111/cfg.guide",
    "dialects/a1111/cfg_rescale.guide",
    "dialects/a1111/composed.guide",
    "dialects/comfyui/apg.guide",
    "dialects/comfyui/cfg_norm.guide",
    "dialects/comfyui/cfg_zero_star.guide",
    "dialects/comfyui/dual_cfg.guide",
    "dialects/comfyui/dynamic_thresholding.guide",
    "dialects/comfyui/euler_cfg_pp.guide",
    "dialects/comfyui/free_u.guide",
    "dialects/comfyui/mahiro.guide",
    "dialects/comfyui/negative_attention.guide",
    "dialects/comfyui/perp_neg.guide",
    "dialects/comfyui/ranged.guide",
    "dialects/comfyui/rescale_cfg.guide",
    "dialects/comfyui/slg.guide",
    "dialects/comfyui/slg_simple.guide",
    "dialects/comfyui/tangential.guide",
    "dialects/comfyui/within.guide",
    "dialects/diffusers/apg.guide",
    "dialects/diffusers/apg_mix.guide",
    "dialects/diffusers/autoguidance.guide",
    "dialects/diffusers/away_from.guide",
    "dialects/diffusers/cfg.guide",
    "dialects/diffusers/cfg_zero_star.guide",
    "dialects/diffusers/dynamic_threshold.guide",
    "dialects/diffusers/frequency_decoupled.guide",
    "dialects/diffusers/magnitude_aware.guide",
    "dialects/diffusers/negative_attention.guide",
    "dialects/diffusers/pag.guide",
    "dialects/diffusers/pag_pipeline.guide",
    "dialects/diffusers/seg.guide",
    "dialects/diffusers/slg.guide",
    "dialects/diffusers/tangential.guide",
    "dialects/sd_cpp/apg.guide",
    "dialects/sd_cpp/slg.guide",
    "directions/self_attention.guide",
    "directions/semantic_gap.guide",
    "directions/skip.guide",
    "directions/smooth.guide",
    "directions/structure.guide",
    "directions/weaker.guide",
    "objectives/csd.guide",
    "objectives/domain_score.guide",
    "objectives/sds.guide",
    "ops/blend.guide",
    "ops/clip_pixels.guide",
    "ops/clip_quantile.guide",
    "ops/damp_tangential.guide",
    "ops/during.guide",
    "ops/friction.guide",
    "ops/highpass.guide",
    "ops/inside.guide",
    "ops/limit_norm.guide",
    "ops/match_std.guide",
    "ops/momentum.guide",
    "ops/orthogonal_to.guide",
    "ops/project.guide",
    "ops/reject.guide",
    "ops/rescale.guide",
    "ops/top_k.guide",
    "ops/with_rescale.guide",
    "rules/adaptive.guide",
    "rules/apg.guide",
    "rules/autoguidance.guide",
    "rules/calibrated_classifier.guide",
    "rules/calibrated_edm.guide",
    "rules/cfg.guide",
    "rules/cfg_interval.guide",
    "rules/cfg_pag.guide",
    "rules/cfg_plus_plus.guide",
    "rules/cfg_rescale.guide",
    "rules/cfg_scheduled.guide",
    "rules/cfg_zero_star.guide",
    "rules/classifier_guidance.guide",
    "rules/composed.guide",
    "rules/dynamic_threshold.guide",
    "rules/experts.guide",
    "rules/feedback.guide",
    "rules/frequency_band.guide",
    "rules/frequency_decoupled.guide",
    "rules/gradient_free.guide",
    "rules/gradient_free_auto.guide",
    "rules/independent.guide",
    "rules/inject.guide",
    "rules/limited_interval.guide",
    "rules/linear_adaptive.guide",
    "rules/magnitude_aware.guide",
    "rules/mimic.guide",
    "rules/momentum_cfg.guide",
    "rules/negative_attention.guide",
    "rules/pag.guide",
    "rules/perp_neg.guide",
    "rules/push_apart.guide",
    "rules/rectified_cfg_pp.guide",
    "rules/sag.guide",
    "rules/seg.guide",
    "rules/semantic.guide",
    "rules/sine_edit.guide",
    "rules/slg.guide",
    "rules/steer_away.guide",
    "rules/tangential.guide",
    "rules/time_step.guide",
    "rules/universal.guide",
    "schedules/bell.guide",
    "schedules/cosine_ramp.guide",
    "schedules/linear.guide",
    "schedules/piecewise.guide",
    "schedules/power.guide",
    "schedules/sine_bump.guide",
    "schedules/warmup.guide",
];

/// Every file in order of its path: the path from this folder (`rules/apg.guide`) and the text.
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The text of a file by its path without the ending: `rules/apg`.
pub fn text(module: &str) -> Option<&'static str> {
    FILES
        .iter()
        .find(|(path, _)| path.strip_suffix(".guide") == Some(module))
        .map(|(_, text)| *text)
}

/// The names directly under a folder (`""` is the root), files without endings and folders, sorted.
pub fn names(folder: &str) -> Vec<&'static str> {
    let inside = |path: &'static str| {
        let rest = match folder {
            "" => path,
            _ => path.strip_prefix(folder)?.strip_prefix('/')?,
        };
        let name = rest.split_once('/').map_or(rest, |(name, _)| name);
        Some(name.strip_suffix(".guide").unwrap_or(name))
    };
    let mut names: Vec<&str> = FILES.iter().filter_map(|(path, _)| inside(path)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|ending| ending == "guide") {
                let relative = path
                    .strip_prefix(root)
                    .expect("the file lies under the root");
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_in_order() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        walk(root, root, &mut found);
        found.sort();
        let embedded: Vec<&str> = files().iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, found);
    }

    #[test]
    fn every_file_names_its_paper_or_purpose_and_holds_the_item_of_its_name() {
        for (path, text) in files() {
            assert!(text.starts_with("//! "), "{path} opens with a `//!` line");
            let name = path
                .rsplit('/')
                .next()
                .and_then(|file| file.strip_suffix(".guide"));
            let name = name.expect("the path ends in .guide");
            let keywords: &[&str] = match path.split('/').next() {
                Some("rules") => &["guide"],
                Some("objectives") => &["objective"],
                Some("dialects") => &["guide", "fn"],
                _ => &["fn"],
            };
            let holds = |keyword: &&str| text.contains(&format!("\n{keyword} {name}"));
            assert!(
                keywords.iter().any(holds),
                "{path} holds a {keywords:?} `{name}`"
            );
            assert!(
                text.ends_with("}\n") && !text.contains('\t'),
                "{path} ends in one line break"
            );
        }
    }

    #[test]
    fn every_rule_documents_every_parameter() {
        for (path, text) in files() {
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let parameter =
                    line.starts_with("    ") && line.ends_with(',') && line.contains(": ");
                let documented = at > 0 && lines[at - 1].trim_start().starts_with("///");
                let inside = lines[..at].iter().all(|earlier| !earlier.starts_with(')'));
                if parameter && inside && !line.trim_start().starts_with("//") {
                    assert!(documented, "{path}: `{}` has no doc comment", line.trim());
                }
            }
        }
    }

    #[test]
    fn every_dialect_says_what_differs_from_the_rules() {
        let dialects = || files().iter().filter(|(p, _)| p.starts_with("dialects/"));
        assert!(dialects().count() >= 30);
        for (path, text) in dialects() {
            let docs = |line: &&str| line.starts_with("///");
            let docs: Vec<&str> = text.lines().filter(docs).collect();
            let docs = docs.join(" ").replace("///", "");
            assert!(
                docs.contains("`std::rules::") || docs.contains("`std::rules`"),
                "{path}"
            );
            let says = ["iffer", "nothing like it"];
            assert!(says.iter().any(|word| docs.contains(word)), "{path}");
        }
    }

    #[test]
    fn folders_and_files_are_found_by_name() {
        let roots = [
            "dialects",
            "directions",
            "objectives",
            "ops",
            "rules",
            "schedules",
        ];
        assert_eq!(names(""), roots);
        let tools = ["a1111", "comfyui", "diffusers", "sd_cpp"];
        assert_eq!(names("dialects"), tools);
        assert!(names("dialects/diffusers").contains(&"apg"));
        assert!(names("rules").contains(&"apg"));
        assert!(names("rule").is_empty());
        assert!(text("rules/apg").is_some_and(|text| text.contains("guide apg(")));
        assert_eq!(text("rules/absent"), None);
    }
}
