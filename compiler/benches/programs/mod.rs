//! The programs that are measured.

use std::fmt::Write;

/// A file, and the guide of it that is planned.
pub struct Subject {
    pub name: String,
    pub path: String,
    pub text: String,
    pub guide: String,
}

/// Every rule of the library; the guide of a file has the file's name.
pub fn library() -> Vec<Subject> {
    let rules = guide_stdlib::files()
        .iter()
        .filter(|(path, _)| path.starts_with("rules/"));
    rules
        .map(|(path, text)| {
            let name = path.trim_end_matches(".guide");
            Subject {
                name: name.to_owned(),
                path: format!("stdlib/{path}"),
                text: (*text).to_owned(),
                guide: name.trim_start_matches("rules/").to_owned(),
            }
        })
        .collect()
}

/// Programs of a given size.
pub fn generated() -> Vec<Subject> {
    let mut all = vec![lines(1000)];
    all.extend([1000, 5000, 10_000].map(nodes));
    all
}

/// Functions of ten lines each, all called by one guide.
fn lines(count: usize) -> Subject {
    let mut text = String::new();
    let functions = count / 10;
    for f in 0..functions {
        let _ = write!(
            text,
            "/// Part {f} of the sum.\n\
             fn part_{f}<S>(d: Direction<S>, p: Prediction<S>, weight: Scalar = {f}) -> Direction<S> {{\n\
             \x20   // The share along the prediction, and the rest.\n\
             \x20   let axis = unit(p)\n\
             \x20   let along = dot(d, axis) * axis\n\
             \x20   let rest = d - along\n\
             \x20   let strength = if progress in 0.0..0.5 {{ weight * sigma }} else {{ 1 + {f} }}\n\
             \x20   strength * rest + 0.5 * (along - min(norm(d), 2) * axis)\n\
             }}\n\n"
        );
    }
    text.push_str("guide lines(scale: Scalar = 5) {\n    let c = x0(predict(cond))\n");
    text.push_str("    let d = c - x0(predict(uncond))\n    c");
    for f in 0..functions {
        let _ = write!(text, " + scale * part_{f}(d, c)");
    }
    text.push_str("\n}\n");
    Subject {
        name: format!("lines/{count}"),
        path: "lines.guide".to_owned(),
        text,
        guide: "lines".to_owned(),
    }
}

/// A chain of directions and the numbers that they are weighed with, about nine nodes a pair.
fn nodes(count: usize) -> Subject {
    let mut text = String::from(
        "guide nodes(scale: Scalar = 5) {\n    let c = x0(predict(cond))\n    \
         let u = x0(predict(uncond))\n    let v0 = c - u\n    let s0 = norm(v0)\n",
    );
    let pairs = count / 9;
    for i in 1..=pairs {
        let (last, older) = (i - 1, i.saturating_sub(3));
        let _ = write!(
            text,
            "    let v{i} = v{last} * (1 + {i} / sigma) - s{last} * v{older}\n    \
             let s{i} = dot(v{i}, v{last}) / (1 + norm(v{i}))\n"
        );
    }
    let _ = write!(text, "    c + scale * v{pairs}\n}}\n");
    Subject {
        name: format!("nodes/{count}"),
        path: "nodes.guide".to_owned(),
        text,
        guide: "nodes".to_owned(),
    }
}
