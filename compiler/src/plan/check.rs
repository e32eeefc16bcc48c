//! Whether a plan can be trusted: a saved one may say anything.

use std::collections::BTreeSet;

use super::{
    ArgValue, Code, Condition, DecisionId, FORMAT, Gives, Guard, JudgementId, Judging,
    MOST_CLASSES, Need, Number, Op, Operand, Plan, Prediction, Segment, Shape, Use,
};

impl Plan {
    /// Checks what whoever runs or prints a plan relies on: every number of a table is in it, every
    /// value is made once and before it is read, every list has its length, and each tick belongs to
    /// exactly one segment.
    ///
    /// # Errors
    /// What is wrong, in a few words.
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its format is `{}`, not `{FORMAT}`", self.format));
        }
        self.sizes()?;
        self.head()?;
        self.ticks()?;
        let rows = self.cost.by_prediction.len();
        if rows != self.predictions.len() {
            return Err(format!(
                "its cost lists {rows} of {} predictions",
                self.predictions.len()
            ));
        }
        self.judges()?;
        for (at, segment) in self.segments.iter().enumerate() {
            let checker = Checker {
                plan: self,
                segment,
                ticks: segment.len(),
                decided: self.decided(segment),
            };
            checker
                .segment()
                .map_err(|what| format!("segment {at} {what}"))?;
        }
        Ok(())
    }

    /// What the first evaluation of each step of a segment decides for this one.
    fn decided(&self, segment: &Segment) -> BTreeSet<DecisionId> {
        let (from, to) = segment.steps;
        let is_first = |s: &&Segment| s.substep == 0 && s.steps.0 < to && from < s.steps.1;
        let firsts = self.segments.iter().filter(is_first);
        let each = firsts.map(|s| s.decide.iter().map(|d| d.decision).collect());
        let all = |a: BTreeSet<DecisionId>, b: BTreeSet<DecisionId>| &a & &b;
        match segment.substep {
            0 => BTreeSet::new(),
            _ => each.reduce(all).unwrap_or_default(),
        }
    }

    /// The shape of what a question to a classifier gives.
    pub fn shape_of_judgement(&self, id: JudgementId) -> Shape {
        match self.judgements.get(id.index()).map(|row| row.gives) {
            Some(Gives::Gradient) => Shape::Tensor,
            Some(Gives::Value) => Shape::Scalar,
            _ => Shape::Scores,
        }
    }

    /// The tables about classifiers.
    fn judges(&self) -> Result<(), String> {
        let (asked, count) = (self.judgements.len(), self.classifiers.len());
        if self.cost.by_judgement.len() != asked {
            let rows = self.cost.by_judgement.len();
            return Err(format!("its cost lists {rows} of {asked} judgements"));
        }
        let strays = |classifier: usize| classifier >= count;
        if let Some(row) = self
            .judgements
            .iter()
            .find(|row| strays(row.classifier.index()))
        {
            return Err(format!(
                "`{}` asks a classifier that is not listed",
                row.label
            ));
        }
        let known = self
            .classifiers
            .iter()
            .filter_map(|c| Some((c, c.classes?)));
        for (classifier, classes) in known {
            if classes > MOST_CLASSES {
                return Err(format!("`{}` has {classes} classes", classifier.name));
            }
        }
        Ok(())
    }

    fn head(&self) -> Result<(), String> {
        let inputs = self.inputs.len();
        let needed = self.head.needs.iter().filter_map(|need| match need {
            Need::Input(id) => Some(id),
            _ => None,
        });
        let asked = self.predictions.iter().flat_map(|p| p.conditions());
        let asked = asked.filter_map(|condition| match condition.related() {
            Condition::Prompt(id) | Condition::PromptAt(id, _) | Condition::PromptOf(id, _) => {
                Some(id)
            }
            _ => None,
        });
        if let Some(id) = needed.chain(asked).find(|id| id.index() >= inputs) {
            return Err(format!("it speaks of input {} of {inputs}", id.0));
        }
        let ticks = self.timetable.ticks.len();
        let args = self.predictions.iter().flat_map(|p| &p.interventions);
        for arg in args.flat_map(|with| &with.args) {
            if let ArgValue::Curve(curve) = &arg.value
                && curve.values.len() != ticks
            {
                let values = curve.values.len();
                let name = &arg.name;
                return Err(format!("`{name}` has {values} values for {ticks} ticks"));
            }
        }
        for input in &self.inputs {
            if input.default.as_ref().is_some_and(|d| !input.takes(d)) {
                return Err(format!(
                    "the default of `{}` is not a `{}`",
                    input.name, input.kind
                ));
            }
        }
        Ok(())
    }

    fn ticks(&self) -> Result<(), String> {
        let ticks = &self.timetable.ticks;
        for (at, tick) in ticks.iter().enumerate() {
            let has = |s: &&Segment| {
                s.substep == tick.substep && (s.steps.0..s.steps.1).contains(&tick.step)
            };
            if self.segments.iter().filter(has).count() != 1 {
                return Err(format!("tick {at} does not belong to exactly one segment"));
            }
        }
        let mut places: Vec<(u32, u32)> = ticks.iter().map(|t| (t.step, t.substep)).collect();
        if places.windows(2).any(|pair| pair.first() >= pair.last()) {
            return Err("its ticks are not in order".to_string());
        }
        places.dedup();
        let covered: u64 = self.segments.iter().map(|s| s.len() as u64).sum();
        if covered != places.len() as u64 {
            return Err(format!(
                "its segments are for {covered} ticks of {}",
                places.len()
            ));
        }
        Ok(())
    }
}

struct Checker<'a> {
    plan: &'a Plan,
    segment: &'a Segment,
    ticks: usize,
    decided: BTreeSet<DecisionId>,
}

impl Checker<'_> {
    fn segment(&self) -> Result<(), String> {
        let mut made = vec![false; self.segment.values.len()];
        // Predictions, then judgements.
        let predictions = self.plan.predictions.len();
        let mut asked = vec![false; predictions + self.plan.judgements.len()];
        for wave in &self.segment.waves {
            let uses: Vec<&Use> = wave.evaluate.iter().flat_map(|b| &b.uses).collect();
            if wave.evaluate.iter().any(|b| b.uses.is_empty()) {
                return Err("has an empty batch".to_string());
            }
            let is_back = |one: &Use| one.by.is_some();
            if let Some(batch) = wave.evaluate.iter().find(|batch| {
                let back = batch.uses.iter().filter(|one| is_back(one)).count();
                back > 0 && back < batch.uses.len()
            }) {
                let count = batch.uses.len();
                return Err(format!("has a batch of {count} answers and gradients"));
            }
            for one in &uses {
                self.question(one, &made, &asked)?;
            }
            for one in uses {
                if one.prediction.index() >= predictions {
                    return Err("asks for a prediction that is not listed".to_string());
                }
                match asked.get_mut(one.prediction.index()) {
                    Some(asked) if !*asked => *asked = true,
                    _ => return Err("asks for a prediction twice".to_string()),
                }
            }
            for one in &wave.judge {
                self.judging(one, &made, &asked)?;
                match asked.get_mut(predictions + one.judgement.index()) {
                    Some(asked) if !*asked => *asked = true,
                    Some(_) => return Err("asks for a judgement twice".to_string()),
                    None => return Err("asks for a judgement that is not listed".to_string()),
                }
            }
            for op in wave.compute.iter().flat_map(|g| &g.ops) {
                self.op(op, &made, &asked)?;
                match made.get_mut(op.out.index()) {
                    Some(made) if !*made => *made = true,
                    _ => return Err("makes a value twice, or one that is not listed".to_string()),
                }
            }
        }
        if let Some(at) = made.iter().position(|m| !m) {
            return Err(format!("never makes its value {at}"));
        }
        self.ends(&made, &asked)
    }

    /// What is kept and decided, and what leaves.
    fn ends(&self, made: &[bool], asked: &[bool]) -> Result<(), String> {
        if self.segment.substep > 0
            && !self.plan.head.per_evaluation
            && !self.segment.keep.is_empty()
        {
            return Err("keeps state that advances once a step".to_string());
        }
        if self.segment.substep > 0 && self.segment.result.moves.is_some() {
            return Err("moves x in the middle of a step".to_string());
        }
        if self.plan.states.iter().any(|s| s.shape == Shape::Scores) {
            return Err("keeps a number for each class".to_string());
        }
        for keep in &self.segment.keep {
            let Some(state) = self.plan.states.get(keep.state.index()) else {
                return Err("keeps a state that is not listed".to_string());
            };
            self.operand(&keep.value, made, asked)?;
            self.guard(keep.when.as_ref(), made, asked)?;
            if !fits(self.shape(&keep.value), state.shape) {
                return Err(format!(
                    "keeps something else in `{}` than it holds",
                    state.name
                ));
            }
        }
        for decide in &self.segment.decide {
            if self.segment.substep > 0 || self.plan.head.per_evaluation {
                return Err("decides for no other evaluation".to_string());
            }
            if decide.decision.index() >= self.plan.decisions.len() {
                return Err("makes a decision that is not listed".to_string());
            }
            self.operand(&decide.value, made, asked)?;
            self.truth(&decide.value)?;
        }
        for operand in self.segment.result.operands() {
            self.operand(operand, made, asked)?;
        }
        if let super::Hold::When(of) = &self.segment.result.hold {
            self.truth(of)?;
        }
        let result = &self.segment.result;
        let extra = [&result.renoise, &result.shift, &result.moves];
        if self.plan.head.objective.is_some()
            && (extra.iter().any(|part| part.is_some()) || result.hold != super::Hold::Never)
        {
            return Err("gives more than a direction".to_string());
        }
        let moves = !matches!(self.segment.result.hold, super::Hold::Always);
        if moves && self.segment.result.denoise.is_none() {
            return Err("returns nothing".to_string());
        }
        Ok(())
    }

    fn question(&self, one: &Use, made: &[bool], asked: &[bool]) -> Result<(), String> {
        let prediction = self.plan.predictions.get(one.prediction.index());
        for from in prediction.into_iter().flat_map(Prediction::takes_from) {
            self.operand(&Operand::Prediction(from), made, asked)?;
        }
        for operand in one.operands() {
            self.operand(operand, made, asked)?;
        }
        let are_maps = one.maps.iter().all(|map| self.shape(map) == Shape::Map);
        if !are_maps || prediction.is_some_and(|p| p.maps() != one.maps.len()) {
            return Err("gives an intervention something else than its maps".to_string());
        }
        if one
            .time
            .as_ref()
            .is_some_and(|time| self.shape(time) != Shape::Scalar)
        {
            return Err("asks at a time that is not a number".to_string());
        }
        if let Some(t) = &one.t {
            self.number(t)?;
        }
        let with = one.shares.as_ref().map(|shared| shared.with.index());
        if with.is_some_and(|with| with >= self.plan.predictions.len()) {
            return Err("shares with a prediction that is not listed".to_string());
        }
        let gradient = prediction.is_some_and(|row| row.gradient);
        let weighted = one.by.as_ref().map(|by| self.shape(by) == Shape::Tensor);
        if weighted != gradient.then_some(true) {
            return Err("asks for a gradient without its weights".to_string());
        }
        self.guard(one.when.as_ref(), made, asked)
    }

    fn judging(&self, one: &Judging, made: &[bool], asked: &[bool]) -> Result<(), String> {
        let Some(row) = self.plan.judgements.get(one.judgement.index()) else {
            return Err("asks for a judgement that is not listed".to_string());
        };
        for operand in std::iter::once(&one.of).chain(&one.by) {
            self.operand(operand, made, asked)?;
        }
        let asked_whom = self.plan.classifiers.get(row.classifier.index());
        let loss = asked_whom.is_some_and(|classifier| classifier.loss);
        let weighted = match (&one.by, row.gives) {
            (None, Gives::Logits) => !loss,
            (None, Gives::Value) => loss,
            (Some(by), Gives::Gradient) if loss => self.shape(by) == Shape::Scalar,
            (Some(by), Gives::Gradient) => self.shape(by) == Shape::Scores,
            _ => false,
        };
        if self.shape(&one.of) != Shape::Tensor || !weighted {
            return Err(format!("puts the question `{}` in another way", row.label));
        }
        self.guard(one.when.as_ref(), made, asked)
    }

    /// Classes and what is known of each: the kinds that belong together.
    fn scores(&self, code: &Code) -> Result<(), String> {
        let fits = match code {
            Code::Softmax(a) => self.shape(a) == Shape::Scores,
            Code::Pick(a, class) | Code::OneHot(a, class) => {
                self.shape(a) == Shape::Scores && self.is_class(class)
            }
            Code::Argmax(a, except) => {
                self.shape(a) == Shape::Scores && except.iter().all(|class| self.is_class(class))
            }
            _ => true,
        };
        match fits {
            true => Ok(()),
            false => Err("takes the number of a class from something else".to_string()),
        }
    }

    fn is_class(&self, operand: &Operand) -> bool {
        matches!(self.shape(operand), Shape::Class | Shape::Scalar)
    }

    fn op(&self, op: &Op, made: &[bool], asked: &[bool]) -> Result<(), String> {
        for operand in op.code.operands() {
            self.operand(operand, made, asked)?;
        }
        for number in op.code.numbers() {
            self.number(number)?;
        }
        self.guard(op.when.as_ref(), made, asked)?;
        match &op.code {
            Code::Fresh(state, _) if state.index() >= self.plan.states.len() => {
                Err("reads a state that is not listed".to_string())
            }
            Code::Filter(_, of) => {
                if !matches!(self.shape(of), Shape::Tensor | Shape::Map) {
                    return Err("filters something that has no plane".to_string());
                }
                Ok(())
            }
            Code::MeanWithin(a, regions) => {
                let out = Operand::Value(op.out);
                match [a, regions, &out]
                    .iter()
                    .all(|o| self.shape(o) == Shape::Map)
                {
                    true => Ok(()),
                    false => Err("takes means within something that is no map".to_string()),
                }
            }
            Code::NoiseAt(_, of) if self.shape(of) != Shape::Scalar => {
                Err("takes the noise at a time that is not a number".to_string())
            }
            Code::Look { of, .. } => {
                let is_map = self.shape(&Operand::Value(op.out)) == Shape::Map;
                match of {
                    Operand::Prediction(_) if is_map => Ok(()),
                    _ => Err("looks into something that no network answered".to_string()),
                }
            }
            Code::And(a, b) | Code::Or(a, b) => self.truth(a).and_then(|()| self.truth(b)),
            Code::Not(a) => self.truth(a),
            code => self.scores(code),
        }
    }

    fn guard(&self, guard: Option<&Guard>, made: &[bool], asked: &[bool]) -> Result<(), String> {
        for operand in guard.into_iter().flat_map(Guard::operands) {
            self.operand(operand, made, asked)?;
            self.truth(operand)?;
        }
        Ok(())
    }

    fn truth(&self, operand: &Operand) -> Result<(), String> {
        if self.shape(operand) == Shape::Bool {
            return Ok(());
        }
        Err("decides by something that is not a truth value".to_string())
    }

    fn number(&self, number: &Number) -> Result<(), String> {
        if number.values.len() == 1 || (number.values.len() == self.ticks && self.ticks > 0) {
            return Ok(());
        }
        let count = number.values.len();
        Err(format!(
            "has {count} numbers for `{}` and {} ticks",
            number.text, self.ticks
        ))
    }

    /// A row or a column of a table.
    fn place(&self, number: &Number) -> Result<(), String> {
        self.number(number)?;
        match number.values.iter().find(|at| !is_place(**at)) {
            None => Ok(()),
            Some(at) => Err(format!("takes entry {at} of a table")),
        }
    }

    fn operand(&self, operand: &Operand, made: &[bool], asked: &[bool]) -> Result<(), String> {
        let there = match operand {
            Operand::Value(id) => made.get(id.index()).copied().unwrap_or(false),
            Operand::Prediction(id) => {
                id.index() < self.plan.predictions.len()
                    && asked.get(id.index()).copied().unwrap_or(false)
            }
            Operand::Judgement(id) => {
                let at = self.plan.predictions.len() + id.index();
                asked.get(at).copied().unwrap_or(false)
            }
            Operand::State(id) => id.index() < self.plan.states.len(),
            Operand::Decision(id) => self.decided.contains(id),
            Operand::Input(id) => id.index() < self.plan.inputs.len(),
            Operand::Entry(id, row, column) => {
                self.place(row)?;
                self.place(column)?;
                id.index() < self.plan.inputs.len()
            }
            Operand::Number(number) => return self.number(number),
            Operand::Latent | Operand::Target => true,
        };
        if there {
            Ok(())
        } else {
            Err("reads something that is not there yet".to_string())
        }
    }

    fn shape(&self, operand: &Operand) -> Shape {
        match operand {
            Operand::Value(id) => self
                .segment
                .values
                .get(id.index())
                .map_or(Shape::Scalar, |v| v.shape),
            Operand::State(id) => self
                .plan
                .states
                .get(id.index())
                .map_or(Shape::Scalar, |s| s.shape),
            Operand::Decision(_) => Shape::Bool,
            Operand::Prediction(_) | Operand::Latent => Shape::Tensor,
            Operand::Judgement(id) => self.plan.shape_of_judgement(*id),
            Operand::Input(id) => match self.plan.inputs.get(id.index()).map(|i| i.kind.as_str()) {
                Some("Mask" | "Map") => Shape::Map,
                _ => Shape::Tensor,
            },
            Operand::Entry(..) | Operand::Number(_) => Shape::Scalar,
            Operand::Target => Shape::Class,
        }
    }
}

/// Whether a table may have a row or a column of this number.
pub fn is_place(at: f64) -> bool {
    at.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&at)
}

/// Whether a value of one shape can be kept in a state of another: a number fills a larger one.
fn fits(value: Shape, state: Shape) -> bool {
    let number = |s: Shape| !matches!(s, Shape::Bool | Shape::Class | Shape::Scores);
    value == state || (value == Shape::Scalar && number(state))
}
