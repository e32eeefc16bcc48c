//! The classifiers of a plan, the questions put to them, and what those are called in plans, traces and
//! recordings: `CLASSIFIER(WHAT)`, and `grad(CLASSIFIER(WHAT))` for a gradient.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Target;
use super::affine::Builder;
use super::expr::{ExprId, Form};
use super::lower::Lowering;
use super::merge::Scheduled;
use crate::graph::{Judge, Node, NodeId, Op};
use crate::plan::{Classifier, ClassifierId, Gives, Judgement, JudgementId, Seen};

/// How many classes a classifier has, and what it takes, where that is known before the run.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownClassifier {
    /// The name that it is bound to; without one it stands for every classifier that sees this.
    pub name: Option<String>,
    /// What it sees, where it has no name.
    pub sees: Option<Seen>,
    /// How many classes it has.
    pub classes: u32,
    /// Bytes that a gradient through it holds at once for each sample.
    pub backward: Option<u64>,
}

/// All questions to classifiers that some tick may put.
#[derive(Debug, Default)]
pub struct Judgements {
    /// The classifiers, in order of first use.
    pub classifiers: Vec<Classifier>,
    /// The questions, in order of first use.
    pub list: Vec<Judgement>,
    index: HashMap<(NodeId, Option<NodeId>, String), JudgementId>,
    labels: BTreeSet<String>,
}

impl Lowering<'_> {
    /// What a classifier answers, as an expression.
    pub(super) fn judge(
        &mut self,
        b: &mut Builder<'_>,
        judge: &Judge,
        by: Option<NodeId>,
        node: &Node,
    ) -> ExprId {
        // A gradient of nothing is nothing: another classifier is asked in this tick.
        if let Some(by) = by {
            let by = self.value(b, by);
            if b.exprs.as_scalar(by) == Some(None) {
                return by;
            }
        }
        if self.drawn().is_some() && judge.sees == Seen::Noisy {
            let what = "a classifier of noisy samples in an objective".to_string();
            let form = Form::Refused(what, node.span);
            return b.exprs.intern(form, node.shape, node.span);
        }
        let key = (judge.of, by, judge.classifier.clone());
        let id = match self.judgements.index.get(&key) {
            Some(known) => *known,
            None => {
                let what = self.what(judge);
                self.judgements.put(judge, by, &what, key, self.target)
            }
        };
        let of = self.value(b, judge.of);
        let by = by.map(|by| self.value(b, by));
        b.exprs
            .intern(Form::Judge(id, of, by), node.shape, node.span)
    }

    /// What a classifier is shown, by name.
    fn what(&self, judge: &Judge) -> String {
        let shown = self.graph.nodes.get(judge.of.index());
        let name = shown.and_then(|node| match (&node.name, &node.op) {
            (Some(name), _) => Some(name.as_str()),
            (None, Op::Latent) => Some("x"),
            _ => None,
        });
        name.unwrap_or(judge.sees.name()).to_string()
    }
}

impl Judgements {
    fn put(
        &mut self,
        judge: &Judge,
        by: Option<NodeId>,
        what: &str,
        key: (NodeId, Option<NodeId>, String),
        target: &Target,
    ) -> JudgementId {
        let classifier = self.classifier(judge, target);
        let base = match by {
            None => format!("{}({what})", judge.classifier),
            Some(_) => format!("grad({}({what}))", judge.classifier),
        };
        let mut label = base.clone();
        let mut count = 2;
        while !self.labels.insert(label.clone()) {
            label = format!("{base}#{count}");
            count += 1;
        }
        let id = JudgementId(self.list.len() as u32);
        self.list.push(Judgement {
            label,
            classifier,
            gives: match by {
                None if judge.loss => Gives::Value,
                None => Gives::Logits,
                Some(_) => Gives::Gradient,
            },
        });
        self.index.insert(key, id);
        id
    }

    fn classifier(&mut self, judge: &Judge, target: &Target) -> ClassifierId {
        let name = &judge.classifier;
        if let Some(at) = self
            .classifiers
            .iter()
            .position(|c| c.name == *name && c.sees == judge.sees)
        {
            return ClassifierId(at as u32);
        }
        let named = target
            .classifiers
            .iter()
            .find(|known| known.name.as_ref() == Some(name));
        // A model brings classifiers, and no loss.
        let known = named.or_else(|| {
            let own = |known: &&KnownClassifier| {
                known.name.is_none() && known.sees == Some(judge.sees) && !judge.loss
            };
            target.classifiers.iter().find(own)
        });
        self.classifiers.push(Classifier {
            name: name.clone(),
            loss: judge.loss,
            sees: judge.sees,
            shown: judge.shown,
            classes: known.filter(|_| !judge.loss).map(|known| known.classes),
            backward: known.and_then(|known| known.backward),
        });
        ClassifierId(self.classifiers.len() as u32 - 1)
    }
}

/// The classifiers and questions of a plan, and what they were called before.
#[derive(Debug, Default)]
pub struct UsedJudgements {
    /// In order of first use.
    pub classifiers: Vec<Classifier>,
    /// In order of first use.
    pub list: Vec<Judgement>,
    ids: BTreeMap<JudgementId, JudgementId>,
}

impl UsedJudgements {
    /// The number in the plan.
    pub fn id(&self, lowered: JudgementId) -> JudgementId {
        self.ids.get(&lowered).copied().unwrap_or(lowered)
    }
}

/// The questions that some tick needs, in order of first use.
pub fn used(scheduled: &Scheduled) -> UsedJudgements {
    let mut used = UsedJudgements::default();
    let all = &scheduled.judgements;
    for expr in scheduled.parts.iter().flat_map(|part| part.demand.keys()) {
        let Form::Judge(lowered, ..) = scheduled.exprs.form(*expr) else {
            continue;
        };
        let Some(row) = all.list.get(lowered.index()) else {
            continue;
        };
        if used.ids.contains_key(lowered) {
            continue;
        }
        let Some(classifier) = all.classifiers.get(row.classifier.index()) else {
            continue;
        };
        let place = used.classifiers.iter().position(|c| c == classifier);
        let place = place.unwrap_or_else(|| {
            used.classifiers.push(classifier.clone());
            used.classifiers.len() - 1
        });
        used.ids
            .insert(*lowered, JudgementId(used.list.len() as u32));
        used.list.push(Judgement {
            classifier: ClassifierId(place as u32),
            ..row.clone()
        });
    }
    used
}
