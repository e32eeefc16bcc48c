//! Parts of a run: however a rule says when, its plan says in which steps.

use crate::sandbox::Sandbox;

/// The steps of each section of a plan in 20 steps of ddim, with the number of evaluations there.
fn sections(condition: &str) -> Vec<(String, usize)> {
    let text = format!(
        "guide g() {{\n    let c = predict(cond)\n    let u = predict(uncond)\n    if {condition} {{ u + 3 * (c - u) }} else {{ c }}\n}}\n"
    );
    let sandbox = Sandbox::new().with("g.guide", text);
    let plan = sandbox.run(&["plan", "g.guide"]).with(0).stdout;
    let mut sections = Vec::new();
    for line in plan.lines() {
        if let Some(steps) = line.strip_prefix("steps ").or(line.strip_prefix("step ")) {
            sections.push((steps.to_owned(), 0));
        } else if let Some((_, count)) = sections.last_mut()
            && line.trim_start().starts_with('[')
        {
            *count += line.split(']').next().unwrap_or("").split(',').count();
        }
    }
    sections
}

#[track_caller]
fn guided_in(condition: &str, wanted: &[(&str, usize)]) {
    let found = sections(condition);
    let found: Vec<(&str, usize)> = found.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    assert_eq!(found, wanted, "{condition}");
}

#[test]
fn by_step() {
    let wanted = [("0..5", 1), ("5..12", 2), ("12..20", 1)];
    guided_in("step in 5..12", &wanted);
    guided_in("step in 5..=11", &wanted);
    guided_in("step >= 5 and step < 12", &wanted);
}

#[test]
fn by_progress_as_int_of_the_share_times_the_steps() {
    let wanted = [("0..5", 1), ("5..12", 2), ("12..20", 1)];
    guided_in("progress in 0.25..0.6", &wanted);
    // int(0.29*20) is 5 and int(0.64*20) is 12.
    guided_in("progress in 0.29..0.64", &wanted);
    guided_in("progress in 0.25..=0.57", &wanted);
    guided_in("progress in 0.4..0.4", &[("0..20", 1)]);
    guided_in("progress in 0.0..1.0", &[("0..20", 2)]);
}

/// ddim with leading spacing is at 951, 901, … 1.
#[test]
fn by_timestep() {
    guided_in(
        "t1000 in 401..701",
        &[("0..6", 1), ("6..12", 2), ("12..20", 1)],
    );
    guided_in(
        "t1000 in 401..=701",
        &[("0..5", 1), ("5..12", 2), ("12..20", 1)],
    );
    guided_in(
        "t1000 > 401 and t1000 <= 701",
        &[("0..5", 1), ("5..11", 2), ("11..20", 1)],
    );
}

#[test]
fn by_noise() {
    let by_sigma = sections("sigma_ratio in 1.0..5.0");
    assert_eq!(by_sigma.len(), 3);
    assert_eq!(
        sections("sigma in 0.7071067811865476..0.9805806756909202"),
        by_sigma
    );
    // log_snr = -2*ln(sigma/alpha); half-open at the other end.
    assert_eq!(
        sections("log_snr > -2 * log(5) and log_snr <= -2 * log(1)"),
        by_sigma
    );
    assert_eq!(sections("snr > 1 / 25 and snr <= 1"), by_sigma);
}

#[test]
fn by_what_is_measured() {
    let found = sections("cosine(native(c), native(u)) > 0.99");
    assert_eq!(found, [("0..20".to_owned(), 2)]);
}
