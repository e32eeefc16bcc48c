//! What a user binds to a plan's inputs: pictures, masks, tables and prompts, from `NAME=VALUE`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use guide_compiler::plan::{Input, InputDefault, InputId, Need, Plan};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::exec::{Binding, Bindings};
use crate::image::{read_mask, read_picture};
use crate::latents;
use crate::trajectory::Trajectory;

/// The largest table file: 16 MiB.
const MOST_TABLE_BYTES: u64 = 16 << 20;

/// What was bound, by what it is for.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    /// Maps, images, tables and numbers, for the executor.
    pub bindings: Bindings,
    /// The texts of prompts, for the predictor.
    pub prompts: BTreeMap<InputId, Vec<String>>,
    /// Models by the name that the rule calls them by, and where they lie.
    pub models: Vec<(String, String)>,
    /// Classifiers likewise.
    pub classifiers: Vec<(String, String)>,
    /// Texts for classifiers to tell apart, by the classifier (`--bind judge.classes=TEXT`).
    pub classes: BTreeMap<String, Vec<String>>,
    /// Losses by the name that the rule calls them by, and what they are.
    pub losses: Vec<(String, String)>,
    /// Networks that losses ask, by the loss, and where they lie (`--bind close.network=DIR`).
    pub networks: BTreeMap<String, String>,
}

/// What texts for a classifier are bound under.
pub const CLASSES: &str = ".classes";
/// What a network for a loss is bound under.
pub const NETWORK: &str = ".network";

/// Sizes that pictures are brought to.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Height and width of the latents.
    pub latent: (usize, usize),
    /// Height and width of the pictures.
    pub picture: (usize, usize),
}

/// Reads every binding of a plan. `encode` makes latents of pictures `[1, 3, H, W]`. What is not
/// bound is no error here: see [`complete`].
///
/// # Errors
/// `BadBinding` for a name that the plan does not have or a value that does not fit, `Unreadable` for
/// a file.
pub fn bind(
    plan: &Plan,
    given: &[(String, String)],
    sizes: Sizes,
    encode: &dyn Fn(&Tensor) -> Result<Tensor>,
) -> Result<Bound> {
    let mut bound = Bound::default();
    for (name, value) in given {
        let place = plan.inputs.iter().position(|input| input.name == *name);
        let twice = || bad(format!("the input `{name}` is bound twice"));
        match place.and_then(|at| Some((at, plan.inputs.get(at)?))) {
            Some((at, input)) if input.kind.starts_with("Prompt") => {
                let prompts = bound.prompts.entry(InputId(at as u32)).or_default();
                prompts.push(value.clone());
                if input.kind == "Prompt" && prompts.len() > 1 {
                    return Err(twice());
                }
            }
            Some((_, input)) => {
                let binding = read(input, value, sizes, encode)?;
                if bound
                    .bindings
                    .inputs
                    .insert(name.clone(), binding)
                    .is_some()
                {
                    return Err(twice());
                }
            }
            None if plan.head.needs.contains(&Need::Model(name.clone())) => {
                bound.models.push((name.clone(), value.clone()));
            }
            None if plan.head.needs.contains(&Need::Classifier(name.clone())) => {
                bound.classifiers.push((name.clone(), value.clone()));
            }
            None if plan.head.needs.contains(&Need::Loss(name.clone())) => {
                bound.losses.push((name.clone(), value.clone()));
            }
            None => match bound.part(plan, name, value) {
                Some(true) => {}
                Some(false) => return Err(twice()),
                None => return Err(unknown(plan, name)),
            },
        }
    }
    bound.owners()?;
    for (at, input) in plan.inputs.iter().enumerate() {
        let texts = match &input.default {
            Some(InputDefault::Text(text)) => vec![text.clone()],
            Some(InputDefault::Texts(texts)) => texts.clone(),
            _ => continue,
        };
        bound.prompts.entry(InputId(at as u32)).or_insert(texts);
    }
    Ok(bound)
}

impl Bound {
    /// Takes what is bound to a part of a classifier or a loss: whether it is the first such, `None` for a
    /// name that is no part.
    fn part(&mut self, plan: &Plan, name: &str, value: &str) -> Option<bool> {
        let needs = |need: Need| plan.head.needs.contains(&need);
        if let Some(owner) = name.strip_suffix(CLASSES)
            && needs(Need::Classifier(owner.to_owned()))
        {
            let classes = self.classes.entry(owner.to_owned()).or_default();
            classes.push(value.to_owned());
            return Some(true);
        }
        let owner = name.strip_suffix(NETWORK)?;
        needs(Need::Loss(owner.to_owned())).then(|| {
            let before = self.networks.insert(owner.to_owned(), value.to_owned());
            before.is_none()
        })
    }

    /// Refuses parts of what is not bound.
    fn owners(&self) -> Result<()> {
        let missing =
            |owner: &&String, all: &[(String, String)]| all.iter().all(|(name, _)| name != *owner);
        let classes = self.classes.keys();
        if let Some(owner) = classes.into_iter().find(|o| missing(o, &self.classifiers)) {
            return Err(
                bad(format!("`{owner}` is given classes, and is not bound")).help(format!(
                    "add `--bind {owner}=DIR`, the folder of a CLIP model"
                )),
            );
        }
        let networks = self.networks.keys();
        if let Some(owner) = networks.into_iter().find(|o| missing(o, &self.losses)) {
            return Err(
                bad(format!("`{owner}` is given a network, and is not bound")).help(format!(
                    "add `--bind {owner}=clip_text:TEXT` or `{owner}=style:FILE`"
                )),
            );
        }
        Ok(())
    }
}

/// Whether every input of a plan is bound.
///
/// # Errors
/// `NotBound`, with all that are not.
pub fn complete(plan: &Plan, bound: &Bound) -> Result<()> {
    let is_bound = |at: usize, input: &Input| {
        !plan.needs_input(at)
            || bound.prompts.contains_key(&InputId(at as u32))
            || bound.bindings.inputs.contains_key(&input.name)
            || input.default.is_some()
    };
    let inputs = plan.inputs.iter().enumerate();
    let missing: Vec<&Input> = inputs
        .filter(|(at, input)| !is_bound(*at, input))
        .map(|(_, input)| input)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = |one: &dyn Fn(&Input) -> String, between: &str| {
        missing
            .iter()
            .map(|input| one(input))
            .collect::<Vec<_>>()
            .join(between)
    };
    let names = list(
        &|input| format!("`{}` (a `{}`)", input.name, input.kind),
        ", ",
    );
    let options = list(
        &|input| {
            let value = match input.kind.as_str() {
                "Prompt" | "Prompt[]" => "TEXT",
                "Class" | "Scalar" => "NUMBER",
                _ => "FILE",
            };
            format!("--bind {}={value}", input.name)
        },
        " ",
    );
    let message = format!(
        "the guide `{}` needs inputs that are not bound: {names}",
        plan.head.guide
    );
    Err(RuntimeError::new(ErrorKind::NotBound, message).help(format!("add `{options}`")))
}

fn read(
    input: &Input,
    value: &str,
    sizes: Sizes,
    encode: &dyn Fn(&Tensor) -> Result<Tensor>,
) -> Result<Binding> {
    let path = Path::new(value);
    match input.kind.as_str() {
        "Mask" | "Map" | "Image" | "Latent" if is_safetensors(path) => {
            Ok(Binding::Tensor(latents::read(path, &input.name)?))
        }
        "Mask" | "Map" => {
            let (height, width) = sizes.latent;
            Ok(Binding::Tensor(read_mask(path, height, width)?))
        }
        "Image" | "Latent" => {
            let (height, width) = sizes.picture;
            Ok(Binding::Tensor(encode(&read_picture(
                path, height, width,
            )?)?))
        }
        "Trajectory" => {
            let way = Trajectory::read(path)?;
            Ok(Binding::Trajectory(way.points().clone()))
        }
        "Table" => Ok(Binding::Table(table(path, &input.name)?)),
        _ => value.parse().map(Binding::Number).map_err(|_| {
            bad(format!(
                "the input `{}` is a `{}`, and `{value}` is no number",
                input.name, input.kind
            ))
        }),
    }
}

fn is_safetensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "safetensors")
}

/// The rows of a table: lines of a text with commas between the numbers, or the tensor `name` of a
/// safetensors file.
///
/// # Errors
/// `BadBinding` for what is no table, `Unreadable` for the file.
pub fn table(path: &Path, name: &str) -> Result<Vec<Vec<f64>>> {
    if is_safetensors(path) {
        let tensor = latents::read(path, name)?.to_dtype(candle_core::DType::F64)?;
        return match tensor.rank() {
            1 => Ok(tensor
                .to_vec1::<f64>()?
                .into_iter()
                .map(|value| vec![value])
                .collect()),
            2 => Ok(tensor.to_vec2()?),
            rank => Err(bad(format!(
                "a table has one axis or two, and `{name}` has {rank}"
            ))),
        };
    }
    let shown = path.display();
    let unreadable = |reason: String| {
        RuntimeError::new(
            ErrorKind::Unreadable,
            format!("the table `{shown}` cannot be read: {reason}"),
        )
    };
    let length = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if length > MOST_TABLE_BYTES {
        return Err(bad(format!(
            "a table has at most {MOST_TABLE_BYTES} bytes, and `{shown}` has {length}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    rows(&text, &shown.to_string())
}

/// Lines of numbers with commas between them.
fn rows(text: &str, shown: &str) -> Result<Vec<Vec<f64>>> {
    let rows = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(at, line)| {
        let cells = line.split(',').map(str::trim);
        let numbers = cells.map(|cell| {
            let message = || {
                bad(format!(
                    "line {} of `{shown}` has `{cell}`, which is no number",
                    at + 1
                ))
            };
            cell.parse::<f64>().map_err(|_| message())
        });
        numbers.collect()
    })
    .collect()
}

fn bad(message: String) -> RuntimeError {
    RuntimeError::new(ErrorKind::BadBinding, message)
}

fn unknown(plan: &Plan, name: &str) -> RuntimeError {
    let models = plan.head.needs.iter().filter_map(|need| match need {
        Need::Model(name) | Need::Classifier(name) | Need::Loss(name) => Some(name.as_str()),
        _ => None,
    });
    let names = plan
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .chain(models);
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let error = bad(format!(
        "the guide `{}` has nothing to bind called `{name}`",
        plan.head.guide
    ));
    match names.is_empty() {
        true => error.help("leave out `--bind`"),
        false => error.help(format!("bind one of {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn a_table_is_lines_of_numbers() {
        let found = rows("1, 2.5\n\n-3,4e1\n", "t.csv").expect("a table");
        assert_eq!(found, [[1.0, 2.5], [-3.0, 40.0]]);
        let error = rows("1\n2,x\n", "t.csv").expect_err("no number");
        assert_eq!(
            error.message,
            "line 2 of `t.csv` has `x`, which is no number"
        );
    }
}
