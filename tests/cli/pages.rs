//! The pages of codes that only a request, a model or a machine can provoke: each shows a command,
//! and what it says is what the page says. `UPDATE=1 cargo test --test cli pages` rewrites them.

use std::fs;
use std::path::PathBuf;

use guide_compiler::diagnostics::{Code, Severity};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::broken_models::{self, UNET};
use crate::sandbox::{Sandbox, project};

/// A page with a command.
struct Page {
    file: PathBuf,
    text: String,
    /// The guides that it shows: name and text.
    guides: Vec<(String, String)>,
    /// The command's words after `guidec`.
    args: Vec<String>,
    /// Where the command's output stands.
    said: (usize, usize),
}

fn page(code: Code) -> Option<Page> {
    let name = format!("compiler/src/diagnostics/pages/{}.md", code.number());
    let file = PathBuf::from(project(&name));
    let text = fs::read_to_string(&file).expect("a page");
    let (start, end) = block(&text, "console")?;
    let line = text[start..end].lines().next().expect("a command");
    let words = line.strip_prefix("$ guidec ").expect("a command of ours");
    let args = words_of(words);
    let guides = text.match_indices("```guide file ").map(|(at, opening)| {
        let rest = &text[at + opening.len()..];
        let (name, rest) = rest.split_once('\n').expect("a name");
        // A fence inside a comment of the guide does not begin a line.
        let guide = rest.split_once("\n```").expect("a closed block").0;
        (name.to_owned(), format!("{guide}\n"))
    });
    let guides = guides.collect();
    let said = (start + line.len() + 1, end);
    Some(Page {
        file,
        text,
        guides,
        args,
        said,
    })
}

/// Where the text of the first block of that tag begins and ends.
fn block(page: &str, tag: &str) -> Option<(usize, usize)> {
    let opening = format!("```{tag}\n");
    let start = page.find(&opening)? + opening.len();
    let end = start + page[start..].find("```").expect("a closed block");
    Some((start, end))
}

/// Words as a shell parts them, with double quotes.
pub fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The files that the page speaks of.
fn prepared(code: Code, page: &Page) -> Sandbox {
    let mut sandbox = Sandbox::new();
    for (name, text) in &page.guides {
        sandbox = sandbox.with(name, text);
    }
    let model = |sandbox: Sandbox| {
        broken_models::copy(&sandbox.path("my-model"));
        sandbox
    };
    let weights = |sandbox: &Sandbox| sandbox.path("my-model").join(UNET);
    match code {
        Code::TooDeep => {
            let deep = format!("guide g() {{ {}1{} }}\n", "(".repeat(200), ")".repeat(200));
            sandbox.with("deep.guide", deep)
        }
        Code::FileTooLarge => sandbox.with("model.safetensors", "// nothing here\n".repeat(70_000)),
        Code::NotUtf8 => sandbox.with("latin1.guide", b"// \xfcber\nguide g() { predict(cond) }\n"),
        Code::ConversionUndefined => {
            let sandbox = model(sandbox);
            let config = "my-model/scheduler/scheduler_config.json";
            let text = sandbox.read(config);
            let mut fields: serde_json::Value = serde_json::from_str(&text).expect("a config");
            fields["rescale_betas_zero_snr"] = true.into();
            fields["timestep_spacing"] = "trailing".into();
            sandbox.with(config, fields.to_string())
        }
        Code::ModelIncomplete => {
            let sandbox = model(sandbox);
            fs::remove_dir_all(sandbox.path("my-model/unet")).expect("it was there");
            sandbox
        }
        Code::WeightsDamaged => {
            let sandbox = model(sandbox);
            let bytes = fs::read(weights(&sandbox)).expect("the weights");
            fs::write(weights(&sandbox), &bytes[..bytes.len() / 2]).expect("a half");
            sandbox
        }
        Code::TensorShape => {
            let sandbox = model(sandbox);
            broken_models::reshape(&weights(&sandbox), "conv_in.bias", |n| vec![2, n / 2]);
            sandbox
        }
        Code::TensorMissing => {
            let sandbox = model(sandbox);
            let vae = sandbox.path("my-model/vae/diffusion_pytorch_model.safetensors");
            fs::copy(vae, weights(&sandbox)).expect("other weights");
            sandbox
        }
        Code::Pickle => sandbox.with("model.ckpt", b"\x80\x02}q\x00."),
        Code::BadBinding | Code::OutputUnwritable => sandbox.with("notes.txt", "nothing\n"),
        Code::BadConfig => {
            let sandbox = model(sandbox);
            let config = "my-model/scheduler/scheduler_config.json";
            let text = sandbox.read(config).replace("\"epsilon\"", "\"flavour\"");
            assert!(text.contains("flavour"), "{text}");
            sandbox.with(config, text)
        }
        Code::ConfigIgnored => {
            let sandbox = model(sandbox);
            let config = "my-model/scheduler/scheduler_config.json";
            let text = sandbox.read(config);
            let text = text.replace("\"skip_prk_steps\": true", "\"skip_prk_steps\": false");
            assert!(text.contains("\"skip_prk_steps\": false"), "{text}");
            sandbox.with(config, text)
        }
        Code::BadTokenizer => model(sandbox).with("my-model/tokenizer/vocab.json", "{"),
        Code::LabelMissing => recorded(sandbox, |name| name != "uncond"),
        Code::OtherRule => {
            let args = "run std::rules::cfg --steps 2 --prompt fox --record cfg.safetensors";
            sandbox
                .run(
                    &words_of(args)
                        .iter()
                        .map(String::as_str)
                        .collect::<Vec<_>>(),
                )
                .with(0);
            sandbox
        }
        Code::BadRecording => {
            let weights = project("tests/oracle/models/rng/rng.safetensors");
            let bytes = fs::read(weights).expect("a safetensors file");
            sandbox.with("weights.safetensors", bytes)
        }
        Code::BadImport => {
            let config = "{\"_class_name\": \"ClassifierFreeGuidence\", \"guidance_scale\": 6.0}\n";
            sandbox.with("guider_config.json", config)
        }
        Code::RowsUnread => sandbox.with("scales.csv", "3\n4\n5\n6\n7\n"),
        Code::BadTrace => {
            let head = "{\"format\":\"guide-trace/1\",\"guide\":\"cfg\",\"model\":\"pocket\",";
            let rest = "\"sampler\":\"ddim\",\"settings\":{},\"steps\":20}\n";
            let cut = "{\"tick\":0,\"step\":0,\"substep\":0,\"t\":951,\"sam";
            sandbox.with("run.jsonl", format!("{head}{rest}{cut}"))
        }
        Code::BadPlan => sandbox.with("plan.json", "{\"format\": \"guide-plan/0\"}\n"),
        _ => sandbox,
    }
}

/// A recording with those of the tensors that are kept.
fn recorded(sandbox: Sandbox, keep: fn(&str) -> bool) -> Sandbox {
    let whole = project("tests/oracle/rules/recordings/v_x0.safetensors");
    let bytes = fs::read(whole).expect("a recording");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("its metadata");
    let file = SafeTensors::deserialize(&bytes).expect("its tensors");
    let tensors: Vec<(String, TensorView<'_>)> = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| keep(name))
        .collect();
    let part = safetensors::serialize(tensors, header.metadata().clone());
    sandbox.with("r.safetensors", part.expect("a recording"))
}

#[test]
fn a_page_shows_what_its_command_says() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = String::new();
    let mut pages = 0;
    for code in Code::ALL {
        let Some(page) = page(*code) else { continue };
        pages += 1;
        if *code == Code::DeviceFailed && cfg!(any(feature = "cuda", feature = "metal")) {
            continue;
        }
        let sandbox = prepared(*code, &page);
        let args: Vec<&str> = page.args.iter().map(String::as_str).collect();
        let ended = match code.severity() {
            Severity::Warning => sandbox.run(&args).with(0).says(&[code.number()]),
            Severity::Error if is_machine(*code) => sandbox.refused(&args, 3, code.number()),
            Severity::Error => sandbox.refused(&args, 1, code.number()),
        };
        let (start, end) = page.said;
        if page.text[start..end] == ended.stderr {
            continue;
        }
        if update {
            let text = format!(
                "{}{}{}",
                &page.text[..start],
                ended.stderr,
                &page.text[end..]
            );
            fs::write(&page.file, text).expect("a writable page");
        } else {
            failures += &format!(
                "{} shows another message than\n{}\n",
                code.number(),
                ended.stderr
            );
        }
    }
    assert!(pages >= 30, "{pages} pages show a command");
    assert!(failures.is_empty(), "\n{failures}");
}

/// What ends with 3, as the manual of the command line lists it.
fn is_machine(code: Code) -> bool {
    let codes = [
        "G0214", "G0701", "G0702", "G0703", "G0704", "G0706", "G0803", "G0804", "G0805",
    ];
    codes.contains(&code.number())
}
