//! What stands under the help of commands that have no file of their own here.

/// After the help of `check`.
pub const CHECK: &str = "\
Examples:
  guidec check my_rule.guide
  guidec check rules/*.guide --format json
  cat my_rule.guide | guidec check -";

/// After the help of `plan`.
pub const PLAN: &str = "\
Examples:
  guidec plan std::rules::apg
  guidec plan my_rule.guide --set scale=3 --steps 8 --sampler euler
  guidec plan my_rule.guide --format svg > plan.svg
  guidec plan my_rule.guide --format json > plan.json    (guidec run plan.json runs it)";

/// After the help of `fmt`.
pub const FMT: &str = "\
Examples:
  guidec fmt my_rule.guide
  guidec fmt --check rules/*.guide
  guidec fmt - < my_rule.guide";

/// After the help of `import`.
pub const IMPORT: &str = "\
Reads diffusers' `guider_config.json`, or a workflow that ComfyUI has exported in API format, and
writes a guide that uses std::dialects: the rules as these tools compute them. The guide's
parameters have the file's values and can be changed with --set. What could not be taken over is
said on stderr and in the guide.

Examples:
  guidec import examples/import/guider_config.json --out my_guider.guide
  guidec import examples/import/workflow_api.json > workflow.guide
  guidec import workflow_api.json --node 12 --out second_pass.guide";

/// After the help of `lsp`.
pub const LSP: &str = "\
An editor starts this itself, and speaks the Language Server Protocol with it on stdin and
stdout; grammar/editors/README.md says how VS Code, Neovim, Helix and Zed are told to.
Guides may use files of the folders that the editor has open.

Examples:
  guidec lsp
  guidec lsp --allow-path ../shared_rules";

/// After the help of `explain`.
pub const EXPLAIN: &str = "\
Examples:
  guidec explain
  guidec explain G0401";

/// After the help of `models`.
#[cfg(feature = "run")]
pub const MODELS: &str = "\
Examples:
  guidec models
  guidec models sd15 --layers
  guidec models --format json";

/// After the help of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  guidec completions bash > ~/.local/share/bash-completion/completions/guidec
  guidec completions zsh > ~/.zfunc/_guidec
  guidec completions fish > ~/.config/fish/completions/guidec.fish";

/// After the help of `doc`.
pub const DOC: &str = "\
Examples:
  guidec doc
  guidec doc apg
  guidec doc std::ops::project
  guidec doc --out pages";

/// After the help of `eval`.
#[cfg(feature = "run")]
pub const EVAL: &str = "\
Examples:
  guidec eval std::rules::cfg --recording run.safetensors --out guided.safetensors
  guidec eval my_rule.guide --set scale=3 --recording run.safetensors --out guided.safetensors";
