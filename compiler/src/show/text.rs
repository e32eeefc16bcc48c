//! The plan as text: what `guidec plan` prints and snapshots pin.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::expression::{Names, remark};
use super::words;
use crate::cost;
use crate::plan::{
    ArgValue, Batch, Gives, Group, Guard, Hold, Init, Need, Number, Operand, Plan, Seen, Segment,
    State, Use, Wave,
};

/// The plan as text.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    head(plan, &mut out);
    states(plan, &mut out);
    for part in &plan.segments {
        segment(plan, part, &mut out);
    }
    total(plan, &mut out);
    out
}

/// One line. Writing to a string cannot fail.
fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn head(plan: &Plan, out: &mut String) {
    let head = &plan.head;
    let step = words::step(plan);
    let steps = match (head.steps, plan.timetable.skipped) {
        (1, 0) => format!("1 {step}"),
        (steps, 0) => format!("{steps} {step}s"),
        (steps, skipped) => format!(
            "the last {steps} of {} steps",
            steps.saturating_add(skipped)
        ),
    };
    line(
        out,
        &format!(
            "plan {} ({}) for {}, {}, {steps}",
            head.guide, head.file, head.model.name, head.sampler
        ),
    );
    let settings: Vec<String> = head
        .settings
        .iter()
        .map(|s| format!("{} = {}", s.name, s.value))
        .collect();
    if !settings.is_empty() {
        line(out, &format!("  {}", settings.join("   ")));
    }
    let needs: Vec<String> = head.needs.iter().map(|n| need(plan, n)).collect();
    if !needs.is_empty() {
        line(out, &format!("  needs  {}", needs.join(", ")));
    }
    if head.per_evaluation {
        line(
            out,
            "  per evaluation: each keeps state and decides for itself",
        );
    }
    if !head.negative && plan.predictions.iter().any(|p| p.label == "uncond") {
        line(
            out,
            "  without a negative prompt: uncond is the null condition",
        );
    }
}

fn need(plan: &Plan, need: &Need) -> String {
    match need {
        Need::NullCondition => "null condition".to_string(),
        Need::Layers(layers) => format!("layers {layers}"),
        Need::Model(name) => format!("model {name}"),
        Need::Classifier(name) => classifier(plan, name),
        Need::Loss(name) => format!("loss {name}"),
        Need::Target => "target".to_string(),
        Need::Input(id) => match plan.inputs.get(id.index()) {
            Some(input) => input.to_string(),
            None => "input".to_string(),
        },
    }
}

/// `classifier judge(sees: noisy), 455 classes`
fn classifier(plan: &Plan, name: &str) -> String {
    let mut text = format!("classifier {name}");
    if let Some(known) = plan.classifiers.iter().find(|c| c.name == name) {
        text.push_str(&format!("(sees: {})", known.sees.name()));
        if let Some(classes) = known.classes {
            text.push_str(&format!(" of {classes} classes"));
        }
    }
    text
}

fn states(plan: &Plan, out: &mut String) {
    if plan.states.is_empty() {
        return;
    }
    line(out, "\nstate");
    let width = plan
        .states
        .iter()
        .map(|s| s.name.chars().count())
        .max()
        .unwrap_or(0);
    for state in &plan.states {
        let init = init(state);
        let size = words::bytes(state.bytes);
        line(
            out,
            &format!(
                "  {:width$}  {}, {init}, {size} a sample",
                state.name, state.kind
            ),
        );
    }
}

fn init(state: &State) -> String {
    match state.init {
        Init::Number(value) => format!("starts at {}", words::number(value)),
        Init::Bool(value) => format!("starts {value}"),
        Init::Computed => "starts with what the first tick computes".to_string(),
    }
}

fn segment(plan: &Plan, part: &Segment, out: &mut String) {
    let names = Names::new(plan, part);
    let substep = if part.substep == 0 {
        String::new()
    } else {
        format!(", substep {}", part.substep)
    };
    let which = match part.steps {
        (from, to) if to == from + 1 => format!("{} {from}", words::step(plan)),
        (from, to) => format!("{}s {from}..{to}", words::step(plan)),
    };
    line(out, &format!("\n{which}{substep}"));
    let many = part.waves.iter().filter(|w| !w.evaluate.is_empty()).count() > 1;
    let mut wave_number = 0;
    for wave in &part.waves {
        if !wave.evaluate.is_empty() {
            wave_number += 1;
            let title = if many {
                format!("  evaluate, wave {wave_number}")
            } else {
                "  evaluate".to_string()
            };
            line(out, &title);
            for batch in &wave.evaluate {
                evaluate(plan, &names, batch, out);
            }
        }
        judge(plan, &names, wave, out);
        compute(part, &names, wave, out);
    }
    tables(plan, part, out);
    ends(plan, part, &names, out);
}

fn evaluate(plan: &Plan, names: &Names<'_>, batch: &Batch, out: &mut String) {
    let label = |u: &Use| {
        plan.predictions
            .get(u.prediction.index())
            .map_or("?", |p| p.label.as_str())
    };
    let mut groups: Vec<(&Option<Guard>, Vec<&Use>)> = Vec::new();
    for one in &batch.uses {
        match groups.iter_mut().find(|(when, _)| **when == one.when) {
            Some((_, uses)) => uses.push(one),
            None => groups.push((&one.when, vec![one])),
        }
    }
    for (when, uses) in groups {
        let labels: Vec<&str> = uses.iter().map(|u| label(u)).collect();
        let mut row = format!("    [{}]", labels.join(", "));
        let mut notes = Vec::new();
        if uses.len() > 1 {
            notes.push("one batch".to_string());
        }
        if let Some(when) = when {
            notes.push(format!("when {}", names.guard(when)));
        }
        for one in &uses {
            notes.extend(place(names, one));
            notes.extend(one.shares.as_ref().map(|shared| {
                let with = plan.predictions.get(shared.with.index());
                let with = with.map_or("?", |p| p.label.as_str());
                format!("as {with} before {}", shared.until)
            }));
        }
        if batch.coupled {
            notes.push("coupled: samples see one another".to_string());
        }
        let mut said = Vec::new();
        for note in notes {
            if !said.contains(&note) {
                said.push(note);
            }
        }
        let notes = said;
        if !notes.is_empty() {
            row = format!("{row:<38} {}", notes.join("; "));
        }
        line(out, &row);
    }
}

/// The questions to classifiers of a wave.
fn judge(plan: &Plan, names: &Names<'_>, wave: &Wave, out: &mut String) {
    if wave.judge.is_empty() {
        return;
    }
    line(out, "  judge");
    for one in &wave.judge {
        let Some(row) = plan.judgements.get(one.judgement.index()) else {
            continue;
        };
        let classifier = plan.classifiers.get(row.classifier.index());
        let sees = classifier.map(|c| c.sees);
        let shown = names.operand(&one.of);
        let mut notes = vec![match sees {
            Some(Seen::Image) => format!("shown the picture of {shown}"),
            _ => format!("shown {shown}"),
        }];
        if let Some(by) = &one.by {
            let what = match classifier.is_some_and(|c| c.loss) {
                true => "value",
                false => "logits",
            };
            let by = names.operand(by);
            notes.push(format!("backward, from {by} by its {what}"));
        }
        if let Some(when) = &one.when {
            notes.push(format!("when {}", names.guard(when)));
        }
        let row = format!("    [{}]", row.label);
        line(out, &format!("{row:<38} {}", notes.join("; ")));
    }
}

fn place(names: &Names<'_>, one: &Use) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(at) = &one.at {
        notes.push(format!("at {}", names.operand(at)));
    }
    if let Some(t) = &one.t {
        notes.push(format!("t = {}", t.text));
    }
    if let Some(time) = &one.time {
        notes.push(format!("at time {}", names.operand(time)));
    }
    if let Some(told) = &one.told {
        notes.push(format!("told {}", names.operand(told)));
    }
    if let Some(class) = &one.class {
        notes.push(format!("class {}", names.operand(class)));
    }
    if let Some(by) = &one.by {
        notes.push(format!(
            "backward, from {} by its answer",
            names.operand(by)
        ));
    }
    notes
}

fn compute(part: &Segment, names: &Names<'_>, wave: &Wave, out: &mut String) {
    if wave.compute.is_empty() {
        return;
    }
    line(out, "  compute");
    let mut when: Option<&Guard> = None;
    for group in &wave.compute {
        let guard = group.ops.first().and_then(|op| op.when.as_ref());
        if guard != when {
            when = guard;
            match guard {
                Some(guard) => line(out, &format!("    when {}", names.guard(guard))),
                None => line(out, "    always"),
            }
        }
        passes(part, names, group, when.is_some(), out);
    }
}

fn passes(part: &Segment, names: &Names<'_>, group: &Group, inner: bool, out: &mut String) {
    let margin = if inner { "      " } else { "    " };
    let fused = group.ops.len() > 1;
    for (at, op) in group.ops.iter().enumerate() {
        let value = part.values.get(op.out.index());
        let name = value.map_or("?", |v| v.name.as_str());
        let mark = match (fused, at) {
            (false, _) => " ",
            (true, 0) => "┌",
            (true, last) if last + 1 == group.ops.len() => "└",
            (true, _) => "│",
        };
        let body = format!("{margin}{mark} {name} = {}", names.code(&op.code));
        let mut notes: Vec<String> = value.iter().map(|v| v.kind.clone()).collect();
        notes.extend(remark(&op.code).map(str::to_string));
        if fused && at == 0 {
            notes.push("one pass".to_string());
        }
        line(out, &format!("{body:<56}  {}", notes.join(", ")));
    }
}

/// The strengths of interventions that change over the run, in this part's ticks.
fn curves(plan: &Plan, part: &Segment) -> Vec<Number> {
    let rows = part
        .uses()
        .filter_map(|one| plan.predictions.get(one.prediction.index()));
    let args = rows
        .flat_map(|row| &row.interventions)
        .flat_map(|with| &with.args);
    let ticks = || {
        let ticks = plan.timetable.ticks.iter().enumerate();
        let steps = part.steps.0..part.steps.1;
        ticks.filter(move |(_, t)| t.substep == part.substep && steps.contains(&t.step))
    };
    let shown = args.filter_map(|arg| match &arg.value {
        ArgValue::Curve(curve) => Some(Number {
            text: curve.text.clone(),
            values: ticks().map(|(at, _)| curve.at(at)).collect(),
        }),
        _ => None,
    });
    shown.collect()
}

/// The values of numbers that change from tick to tick.
fn tables(plan: &Plan, part: &Segment, out: &mut String) {
    let mut rows: BTreeMap<&str, Number> = BTreeMap::new();
    let curves = curves(plan, part);
    for number in part.numbers().into_iter().chain(&curves) {
        if number.text.parse::<f64>().is_ok() {
            continue;
        }
        // A sign in front is the sum's, not the table's.
        let is_sum = words::is_sum(&number.text);
        let (text, sign) = match number.text.strip_prefix('-') {
            Some(rest) if !is_sum => (rest, -1.0),
            _ => (number.text.as_str(), 1.0),
        };
        if text.parse::<f64>().is_err() {
            let values = number.values.iter().map(|v| sign * v).collect();
            rows.insert(
                text,
                Number {
                    text: text.to_string(),
                    values,
                },
            );
        }
    }
    if rows.is_empty() {
        return;
    }
    line(out, "  where");
    let width = rows.keys().map(|k| k.chars().count()).max().unwrap_or(0);
    for (text, number) in rows {
        line(
            out,
            &format!("    {text:width$}  {}", words::table(&number)),
        );
    }
}

fn ends(plan: &Plan, part: &Segment, names: &Names<'_>, out: &mut String) {
    for keep in &part.keep {
        let state = plan
            .states
            .get(keep.state.index())
            .map_or("?", |s| s.name.as_str());
        let value = names.operand(&keep.value);
        let what = if value == state {
            value
        } else {
            format!("{state} = {value}")
        };
        let when = keep
            .when
            .as_ref()
            .map(|w| format!("  when {}", names.guard(w)))
            .unwrap_or_default();
        line(out, &format!("  keep    {what}{when}"));
    }
    if !part.decide.is_empty() {
        let decided: Vec<String> = part
            .decide
            .iter()
            .map(|decide| names.decided(decide))
            .collect();
        line(out, &format!("  decide  {}", decided.join(", ")));
    }
    let result = &part.result;
    let named = |label: &str, operand: &Option<Operand>| {
        operand
            .as_ref()
            .map(|o| format!("{label}{}", names.operand(o)))
    };
    let mut leaving = Vec::new();
    if let Some(denoise) = &result.denoise {
        leaving.push(format!(
            "{} in {}",
            names.operand(denoise),
            result.space.name()
        ));
    }
    leaving.extend(named("renoise with ", &result.renoise));
    leaving.extend(named("shift by ", &result.shift));
    leaving.extend(named("move by ", &result.moves));
    match &result.hold {
        Hold::Never => {}
        Hold::Always => leaving.insert(0, "hold: x stays where it is".to_string()),
        Hold::When(of) => leaving.push(format!("hold where {}", names.operand(of))),
    }
    line(out, &format!("  return  {}", leaving.join(", ")));
}

/// What classifiers are asked, which is no evaluation of the network.
fn judged(plan: &Plan, out: &mut String) {
    let range = |(least, most): (u64, u64)| match least == most {
        true => least.to_string(),
        false => format!("{least} to {most}"),
    };
    let asked = plan.judgements.iter().zip(&plan.cost.by_judgement);
    let rows: Vec<String> = asked
        .map(|(row, count)| {
            let backward = match row.gives {
                Gives::Logits | Gives::Value => "",
                Gives::Gradient => " forward and backward",
            };
            format!("{} {}{backward}", row.label, range(*count))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let losses = plan.classifiers.iter().filter(|c| c.loss).count();
    let whom = match losses {
        0 => "classifiers",
        some if some == plan.classifiers.len() => "losses",
        _ => "classifiers and losses",
    };
    line(out, &format!("      and {whom}: {}", rows.join(", ")));
}

/// What goes back through networks, and what the largest backward pass of all takes.
fn backward(plan: &Plan, out: &mut String) {
    let rows = evaluations(plan, true);
    if !rows.is_empty() {
        let rows = rows.join(", ");
        line(out, &format!("      and forward and backward: {rows}"));
    }
    if let Some(most) = plan.cost.backward_bytes {
        let size = words::bytes(most);
        line(out, &format!("      a backward pass holds {size} a sample"));
    }
}

/// How often each prediction is asked for, or each gradient of one.
fn evaluations(plan: &Plan, gradient: bool) -> Vec<String> {
    let rows = plan.predictions.iter().zip(&plan.cost.by_prediction);
    rows.filter(|(row, _)| row.gradient == gradient)
        .map(|(p, (least, most))| match least == most {
            true => format!("{} {least}", p.label),
            false => format!("{} {least} to {most}", p.label),
        })
        .collect()
}

fn total(plan: &Plan, out: &mut String) {
    let cost = &plan.cost;
    let steps = u64::from(plan.head.steps.max(1));
    let step = words::step(plan);
    let each = |n: u64| format!("{:.2}", n as f64 / steps as f64);
    let (low, high) = cost::ratio(plan);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = if cost.least == cost.most {
        let word = if cost.least == 1 {
            "evaluation"
        } else {
            "evaluations"
        };
        write!(
            text,
            "{} {word}, exact; {} a {step}; {high:.2} x cfg",
            cost.least,
            each(cost.least)
        )
    } else {
        write!(
            text,
            "between {} and {} evaluations; {} to {} a {step}; {low:.2} to {high:.2} x cfg",
            cost.least,
            cost.most,
            each(cost.least),
            each(cost.most)
        )
    };
    line(out, &format!("\ncost  {text}"));
    let rows = evaluations(plan, false);
    if rows.len() > 1 {
        line(out, &format!("      {}", rows.join(", ")));
    }
    judged(plan, out);
    backward(plan, out);
    let state = if cost.state_bytes == 0 {
        "no state".to_string()
    } else {
        format!("{} of state a sample", words::bytes(cost.state_bytes))
    };
    line(
        out,
        &format!("      at most {} tensors alive; {state}", cost.peak_tensors),
    );
}
