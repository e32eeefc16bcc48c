//! The guidance of a ComfyUI workflow: its sampler, its guider, and the nodes that patch the model.

use guide_compiler::diagnostics::{Diagnostic, suggest};

use super::attention;
use super::command::{self, Prompts};
use super::fields::{missing, shown, spelled};
use super::graph::{Graph, Node};
use super::imported::{Addition, Imported, Rule};
use super::nodes::{Patch, null_condition, patch, value};
use super::{Object, refused};

const SAMPLERS: &[&str] = &[
    "KSampler",
    "KSamplerAdvanced",
    "SamplerCustom",
    "SamplerCustomAdvanced",
    "KSamplerWithNAG",
    "KSamplerWithNAG (Advanced)",
    "SamplerCustomWithNAG",
];

const GUIDERS: &[&str] = &[
    "CFGGuider",
    "BasicGuider",
    "DualCFGGuider",
    "PerpNegGuider",
    "NAGCFGGuider",
    "NAGGuider",
];

/// An import under way.
struct Reading<'a> {
    graph: Graph<'a>,
    left_out: Vec<String>,
}

/// What the sampler or guider is without the patches of the model.
struct Base<'a> {
    /// The node that the model comes into.
    node: Node<'a>,
    /// Its rule; none for the conditional prediction alone.
    rule: Option<Rule>,
    /// Whether the rule is plain guidance, which a patch may replace.
    plain: bool,
    positive: &'static str,
    negative: &'static str,
}

/// A node that replaces plain guidance, and its place in the chain.
struct Replaced<'a> {
    place: usize,
    node: Node<'a>,
    rule: Rule,
}

/// A node that adds a direction.
struct Added<'a> {
    place: usize,
    node: Node<'a>,
    addition: Addition,
    /// What it is with plain guidance.
    alone: Rule,
    /// What is lost with any other rule.
    lost: Option<&'static str>,
}

/// What the nodes between the model and the sampler do.
#[derive(Default)]
struct Patches<'a> {
    rules: Vec<Replaced<'a>>,
    additions: Vec<Added<'a>>,
    /// What changes the network under the rule.
    around: Vec<(Node<'a>, Rule)>,
    /// That it is a flow model, with its shift where that is known.
    flow: Option<Option<f64>>,
}

/// What the sampler asks for on a model with its patches.
struct Patched {
    /// The rule; without one, the conditional prediction alone.
    rule: Option<Rule>,
    /// What is added to it.
    additions: Vec<Addition>,
    /// What it is handed to.
    around: Option<Rule>,
}

/// Takes over the guidance of a workflow.
///
/// # Errors
/// No sampler, or several and none chosen; a field that is missing or of the wrong kind; nodes that feed
/// each other.
pub fn imported(file: &str, object: &Object, chosen: Option<&str>) -> Result<Imported, Diagnostic> {
    let mut reading = Reading {
        graph: Graph::of(object)?,
        left_out: Vec::new(),
    };
    let sampler = reading.sampler(file, chosen)?;
    let base = reading.base(sampler)?;
    let prompts = Prompts {
        node: base.node,
        positive: base.positive,
        negative: base.negative,
    };
    let run = command::of(&reading.graph, sampler, &prompts, &mut reading.left_out)?;
    let Patched {
        rule,
        additions,
        around,
    } = reading.patched(sampler, base)?;
    Ok(Imported {
        guide: "workflow".to_owned(),
        about: format!(
            "The guidance of {} in `{}`, a workflow of ComfyUI.",
            sampler.shown(),
            shown(file)
        ),
        run: Some(run),
        rule,
        additions,
        around,
        left_out: reading.left_out,
    })
}

fn plain(scale: Option<(&'static str, String)>) -> Rule {
    Rule {
        path: "std::rules::cfg",
        values: scale.into_iter().collect(),
    }
}

impl<'a> Reading<'a> {
    fn sampler(&self, file: &str, chosen: Option<&str>) -> Result<Node<'a>, Diagnostic> {
        let file = shown(file);
        if let Some(id) = chosen {
            let Some(node) = self.graph.node(id) else {
                return Err(refused(format!("`{file}` has no node `{}`", shown(id))));
            };
            if SAMPLERS.contains(&node.class) {
                return Ok(node);
            }
            return Err(refused(format!("{} is no sampler", node.shown())));
        }
        let samplers = || self.graph.nodes().filter(|n| SAMPLERS.contains(&n.class));
        match (samplers().next(), samplers().nth(1)) {
            (Some(one), None) => Ok(one),
            (None, _) => {
                let classes = SAMPLERS.join("`, `");
                Err(refused(format!("`{file}` has no sampler"))
                    .help(format!("samplers known here are `{classes}`")))
            }
            (Some(_), Some(_)) => {
                let ids: Vec<&str> = samplers().map(|node| node.id).collect();
                let help = ids
                    .iter()
                    .take(8)
                    .map(|id| format!("`--node {}`", shown(id)));
                Err(
                    refused(format!("`{file}` has {} samplers", ids.len())).help(format!(
                        "choose one with {}",
                        help.collect::<Vec<_>>().join(" or ")
                    )),
                )
            }
        }
    }

    /// What the sampler asks for.
    fn base(&mut self, sampler: Node<'a>) -> Result<Base<'a>, Diagnostic> {
        if attention::SAMPLERS.contains(&sampler.class) {
            return self.led_away(sampler);
        }
        if sampler.class != "SamplerCustomAdvanced" {
            return self.guided(sampler, "cfg");
        }
        let guider = self.graph.feeding(sampler, "guider")?;
        let guider = guider.ok_or_else(|| missing(&sampler.shown(), "guider"))?;
        match guider.class {
            "CFGGuider" => self.guided(guider, "cfg"),
            "BasicGuider" => Ok(Base {
                node: guider,
                rule: None,
                plain: true,
                positive: "conditioning",
                negative: "",
            }),
            "PerpNegGuider" => {
                null_condition(&self.graph, guider, &mut self.left_out)?;
                let numbers = [("cfg", "scale"), ("neg_scale", "neg_scale")];
                self.own_rule(guider, "std::dialects::comfyui::perp_neg", &numbers)
            }
            "DualCFGGuider" => self.dual(guider),
            class if attention::GUIDERS.contains(&class) => self.led_away(guider),
            _ => {
                let message = format!("{} is no guider that is known here", guider.shown());
                let near = suggest::nearest(guider.class, GUIDERS.iter().copied());
                Err(refused(message).help(match near {
                    Some(near) => format!("a similar one is `{near}`"),
                    None => format!("known are `{}`", GUIDERS.join("`, `")),
                }))
            }
        }
    }

    fn guided(&mut self, node: Node<'a>, scale: &str) -> Result<Base<'a>, Diagnostic> {
        let scale = value(&self.graph, node, scale, "scale", &mut self.left_out)?;
        Ok(Base {
            node,
            rule: Some(plain(scale)),
            plain: true,
            positive: "positive",
            negative: "negative",
        })
    }

    /// A sampler or guider of ComfyUI-NAG.
    fn led_away(&mut self, node: Node<'a>) -> Result<Base<'a>, Diagnostic> {
        let away = attention::away(&self.graph, node, &mut self.left_out)?;
        Ok(Base {
            node,
            rule: Some(away.rule),
            plain: false,
            positive: away.positive,
            negative: away.negative,
        })
    }

    fn own_rule(
        &mut self,
        node: Node<'a>,
        path: &'static str,
        numbers: &[(&str, &'static str)],
    ) -> Result<Base<'a>, Diagnostic> {
        let mut values = Vec::new();
        for (input, param) in numbers {
            values.extend(value(&self.graph, node, input, param, &mut self.left_out)?);
        }
        Ok(Base {
            node,
            rule: Some(Rule { path, values }),
            plain: false,
            positive: "positive",
            negative: "negative",
        })
    }

    fn dual(&mut self, guider: Node<'a>) -> Result<Base<'a>, Diagnostic> {
        let numbers = [
            ("cfg_conds", "scale"),
            ("cfg_cond2_negative", "middle_scale"),
        ];
        let mut base = self.own_rule(guider, "std::dialects::comfyui::dual_cfg", &numbers)?;
        base.positive = "cond1";
        // Workflows that are older than the choice have none.
        let style = guider.text("style").unwrap_or("regular");
        if !["regular", "nested"].contains(&style) {
            let message = format!("`style` of {} is `{}`", guider.shown(), shown(style));
            return Err(refused(message).help("it is `regular` or `nested`"));
        }
        if let Some(rule) = &mut base.rule {
            rule.values.push(("style", format!("\"{style}\"")));
        }
        Ok(base)
    }

    /// The rule with what the patches of the model make of it.
    fn patched(&mut self, sampler: Node<'a>, base: Base<'a>) -> Result<Patched, Diagnostic> {
        let mut patches = self.patches(base.node)?;
        let scale = base
            .rule
            .as_ref()
            .and_then(|rule| rule.values.first().cloned());
        let scale = scale.filter(|(name, _)| *name == "scale");
        let mut rule = base.rule;
        if base.plain && rule.is_some() {
            // Of several that replace plain guidance, the last one counts.
            if let Some(last) = patches.rules.pop() {
                self.added_to(&last, &patches.additions);
                rule = Some(scaled(last.rule, scale.clone()));
            } else if patches.additions.len() == 1 && !self.renoises(sampler)? {
                let only = patches.additions.remove(0);
                rule = Some(scaled(only.alone, scale.clone()));
            }
        }
        let reason = match rule {
            Some(_) => "it does not act alone, and one such rule is taken over",
            None => "there is no negative prompt for it to act on",
        };
        for replaced in &patches.rules {
            self.left_out
                .push(format!("{}: {reason}", replaced.node.shown()));
        }
        for added in &patches.additions {
            if let Some(lost) = added.lost {
                let node = added.node.shown();
                self.left_out.push(format!(
                    "`{lost}` of {node}: it is added to another rule here"
                ));
            }
        }
        let additions = patches.additions.into_iter();
        let mut additions: Vec<Addition> = additions.map(|added| added.addition).collect();
        if self.renoises(sampler)? {
            rule = self.renoised(sampler, rule, scale);
        }
        self.of_a_flow_model(&mut rule, &mut additions, patches.flow);
        let around = self.around(&mut rule, &additions, patches.around);
        Ok(Patched {
            rule,
            additions,
            around,
        })
    }

    /// The nodes between the model and where it is used, in the order in which they act.
    fn patches(&mut self, from: Node<'a>) -> Result<Patches<'a>, Diagnostic> {
        let mut chain = self.graph.chain(from, &["model"])?;
        if chain.is_empty() {
            return Err(missing(&from.shown(), "model"));
        }
        chain.reverse();
        let mut patches = Patches::default();
        for (place, node) in chain.into_iter().enumerate() {
            match patch(&self.graph, node, &mut self.left_out)? {
                Patch::Rule(rule) => patches.rules.push(Replaced { place, node, rule }),
                Patch::Addition(addition, alone, lost) => patches.additions.push(Added {
                    place,
                    node,
                    addition,
                    alone,
                    lost,
                }),
                Patch::Flow(shift) => patches.flow = Some(shift),
                Patch::Around(rule) => patches.around.push((node, rule)),
                Patch::Nothing => {}
            }
        }
        Ok(patches)
    }

    /// What the rule is handed to: the last of several, and without a rule plain guidance that is none.
    fn around(
        &mut self,
        rule: &mut Option<Rule>,
        additions: &[Addition],
        mut around: Vec<(Node<'a>, Rule)>,
    ) -> Option<Rule> {
        let (node, last) = around.pop()?;
        for (other, _) in around {
            let node = other.shown();
            self.left_out
                .push(format!("{node}: one such node is taken over"));
        }
        if !additions.is_empty() {
            let node = node.shown();
            self.left_out.push(format!(
                "what {node} does to the directions that are added: it works on the rule alone here"
            ));
        }
        rule.get_or_insert_with(|| plain(Some(("scale", "1".to_owned()))));
        Some(last)
    }

    /// Says where a direction that is added to a rule is another one in ComfyUI.
    fn added_to(&mut self, rule: &Replaced<'a>, additions: &[Added<'a>]) {
        for added in additions {
            let node = added.node.shown();
            match rule.node.class {
                "APG" => self.left_out.push(format!(
                    "the start of the direction of {node}: the prompt's own prediction here, in ComfyUI \
                     that which `APG` has projected"
                )),
                "Mahiro" | "CFGNorm" if added.place < rule.place => self.left_out.push(format!(
                    "the order of {node} and {}: the first is added after the second here",
                    rule.node.shown()
                )),
                _ => {}
            }
        }
    }

    /// Whether the sampler is one of CFG++.
    fn renoises(&self, sampler: Node<'a>) -> Result<bool, Diagnostic> {
        Ok(match command::sampler_name(&self.graph, sampler)? {
            Some(name) => name.ends_with("_cfg_pp"),
            None => self
                .graph
                .feeding(sampler, "sampler")?
                .is_some_and(|node| node.class == "SamplerEulerCFGpp"),
        })
    }

    fn renoised(
        &mut self,
        sampler: Node<'a>,
        rule: Option<Rule>,
        scale: Option<(&'static str, String)>,
    ) -> Option<Rule> {
        if rule
            .as_ref()
            .is_none_or(|rule| rule.path != "std::rules::cfg")
        {
            self.left_out.push(format!(
                "the re-noising of {} with the unconditional prediction: the rule is another one",
                sampler.shown()
            ));
            return rule;
        }
        let mut values: Vec<(&'static str, String)> = scale.into_iter().collect();
        let node = self.graph.feeding(sampler, "sampler").ok().flatten();
        if node.and_then(|node| node.text("version")) == Some("alternative") {
            values.push(("version", "\"alternative\"".to_owned()));
        }
        Some(Rule {
            path: "std::dialects::comfyui::euler_cfg_pp",
            values,
        })
    }

    /// Sets what depends on the model's kind, or says that the file does not tell it.
    fn of_a_flow_model(
        &mut self,
        rule: &mut Option<Rule>,
        additions: &mut [Addition],
        flow: Option<Option<f64>>,
    ) {
        let takes = |name: &str| rule.as_ref().is_some_and(|rule| rule.takes(name));
        let is_endless = |rule: &Rule| rule.values.contains(&("sigma_end", "0".to_owned()));
        let by_space = takes("space");
        let by_shift = takes("shift") && !rule.as_ref().is_some_and(is_endless);
        let added = additions
            .iter_mut()
            .flat_map(|addition| &mut addition.params)
            .filter(|(name, ..)| *name == "shift");
        let mut shifts: Vec<&mut String> = added.map(|(_, _, value, _)| value).collect();
        if !by_space && !by_shift && shifts.is_empty() {
            return;
        }
        let Some(shift) = flow else {
            let flag = if by_space { "space=flow" } else { "shift=…" };
            self.left_out.push(format!(
                "what kind of model it is, which the file does not say: for a flow model add `--set {flag}`"
            ));
            return;
        };
        let shift = spelled(shift.unwrap_or(1.0));
        for value in &mut shifts {
            value.clone_from(&shift);
        }
        if let Some(rule) = rule {
            if by_space {
                rule.values.push(("space", "\"flow\"".to_owned()));
            }
            if by_shift {
                rule.values.push(("shift", shift));
            }
        }
    }
}

/// A rule with the scale of the sampler.
fn scaled(mut rule: Rule, scale: Option<(&'static str, String)>) -> Rule {
    rule.values.extend(scale);
    rule
}
