//! CLIP's tokenizer: text to ids, with the start, the end and the padding that the model's files ask for.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::weights::Source;

/// How text is split before the byte pairs are merged.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// No text encoder takes more tokens; some tokenizers state a length of 10^30 instead of none.
const MAX_LENGTH: u64 = 1 << 12;

/// A tokenizer in CLIP's file layout: `vocab.json` and `merges.txt`, or `tokenizer.json`;
/// `special_tokens_map.json`, `tokenizer_config.json`.
#[derive(Debug)]
pub struct ClipTokenizer {
    inner: Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    length: usize,
}

impl ClipTokenizer {
    /// Reads the files in `folder`, `""` being the root. The text encoder takes `positions` tokens at most.
    ///
    /// # Errors
    /// `ModelIncomplete` without `vocab.json` or `merges.txt`, `BadTokenizer` where they cannot be used.
    pub fn read(source: &Source, folder: &str, positions: usize) -> Result<Self> {
        let (vocab, merges) = vocabulary(source, folder)?;
        let config = optional(source, folder, "tokenizer_config.json")?;
        let specials = optional(source, folder, "special_tokens_map.json")?;
        let special = |role: &str, default: &str| {
            let named = specials
                .get(role)
                .and_then(content)
                .or_else(|| config.get(role).and_then(content));
            named.unwrap_or(default).to_owned()
        };
        let (start, end) = (
            special("bos_token", "<|startoftext|>"),
            special("eos_token", "<|endoftext|>"),
        );
        let (pad, unknown) = (
            special("pad_token", "<|endoftext|>"),
            special("unk_token", "<|endoftext|>"),
        );
        let id = |token: &str| {
            let found = vocab
                .get(token)
                .and_then(Value::as_u64)
                .and_then(|id| u32::try_from(id).ok());
            found.ok_or_else(|| {
                bad(
                    source,
                    folder,
                    &format!("`vocab.json` lacks the special token `{token}`"),
                )
            })
        };
        let (start_id, end_id, pad_id) = (id(&start)?, id(&end)?, id(&pad)?);
        let mut added: Vec<Value> = Vec::new();
        for token in [&start, &end, &unknown, &pad] {
            let entry = json!({
                "id": id(token)?, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            });
            if !added.contains(&entry) {
                added.push(entry);
            }
        }
        // The file format asks for rising ids.
        added.sort_by_key(|token| token.get("id").and_then(Value::as_u64));
        let description = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": null, "decoder": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
                "vocab": vocab, "merges": merges,
            },
        });
        let inner = Tokenizer::from_bytes(description.to_string()).map_err(|error| {
            bad(
                source,
                folder,
                &format!("`vocab.json` and `merges.txt` do not fit: {error}"),
            )
        })?;
        let length = match config.get("model_max_length").and_then(Value::as_f64) {
            Some(stated) if stated < MAX_LENGTH as f64 => stated as usize,
            _ => positions,
        };
        if length < 3 || length > positions {
            return Err(bad(
                source,
                folder,
                &format!(
                    "`model_max_length` is {length}, and the text encoder takes 3 to {positions} tokens"
                ),
            ));
        }
        Ok(Self {
            inner,
            start: start_id,
            end: end_id,
            pad: pad_id,
            length,
        })
    }

    /// The id of the end of a text.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The ids of a text without a start and an end, however many.
    ///
    /// # Errors
    /// `BadTokenizer`.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| {
            RuntimeError::new(
                ErrorKind::BadTokenizer,
                format!("a text cannot be tokenized: {error}"),
            )
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text: start, the text cut to what fits, end.
    ///
    /// # Errors
    /// `BadTokenizer`.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = vec![self.start];
        ids.extend(self.tokens(text)?.into_iter().take(self.room()));
        ids.push(self.end);
        Ok(ids)
    }

    /// Tokens between a start and an end, filled up to the model's length; no more than there is room for.
    pub fn framed(&self, tokens: &[u32]) -> Vec<u32> {
        let mut ids = vec![self.start];
        ids.extend(tokens.iter().take(self.room()));
        ids.push(self.end);
        ids.resize(self.length, self.pad);
        ids
    }

    /// The ids of a text, cut to what fits and filled up to the model's length.
    ///
    /// # Errors
    /// `BadTokenizer`.
    pub fn padded(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.framed(&self.tokens(text)?))
    }

    /// How many tokens fit between a start and an end.
    pub fn room(&self) -> usize {
        self.length.saturating_sub(2)
    }

    /// The id of a comma that stands alone.
    pub fn comma(&self) -> Option<u32> {
        self.inner.token_to_id(",</w>")
    }
}

/// The tokens and the merges of `vocab.json` and `merges.txt`, or of `tokenizer.json` where there is only
/// that.
fn vocabulary(source: &Source, folder: &str) -> Result<(Value, Value)> {
    let fast = "tokenizer.json";
    let has = |file: &str| source.has(&within(folder, file));
    if has("vocab.json") || !has(fast) {
        // Where all of it is missing, `vocab.json` is what is missed.
        let elsewhere = |error: RuntimeError| match error.kind {
            ErrorKind::ModelIncomplete => {
                let help = error.help.clone().unwrap_or_default();
                error.help(format!(
                    "{help}; or name another tokenizer: `--tokenizer DIR`"
                ))
            }
            _ => error,
        };
        let vocab = object(source, folder, "vocab.json").map_err(elsewhere)?;
        let merges = source
            .text(&within(folder, "merges.txt"))
            .map_err(elsewhere)?;
        return Ok((vocab, json!(pairs(&merges))));
    }
    let mut whole = object(source, folder, fast)?;
    let kind = whole.pointer("/model/type").and_then(Value::as_str);
    let kind = kind.unwrap_or("BPE");
    if kind != "BPE" {
        let why = format!("`{fast}` holds a vocabulary of the kind `{kind}`, and CLIP's is `BPE`");
        return Err(bad(source, folder, &why));
    }
    let mut taken = |place: &str| whole.pointer_mut(place).map(Value::take);
    let (vocab, merges) = (taken("/model/vocab"), taken("/model/merges"));
    let (vocab, merges) = (vocab.unwrap_or_default(), merges.unwrap_or_default());
    if !vocab.is_object() || !merges.is_array() {
        let why = format!("`{fast}` lacks `model.vocab` or `model.merges`");
        return Err(bad(source, folder, &why));
    }
    Ok((vocab, merges))
}

/// A file of a folder, which may be the root.
fn within(folder: &str, file: &str) -> String {
    match folder {
        "" => file.to_owned(),
        _ => format!("{folder}/{file}"),
    }
}

/// The merges: a pair a line, after a line with the version.
fn pairs(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"))
        .collect()
}

fn object(source: &Source, folder: &str, file: &str) -> Result<Value> {
    match serde_json::from_str(&source.text(&within(folder, file))?) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(bad(
            source,
            folder,
            &format!("`{file}` is not a JSON object"),
        )),
        Err(error) => Err(bad(
            source,
            folder,
            &format!("`{file}` is not JSON: {error}"),
        )),
    }
}

fn optional(source: &Source, folder: &str, file: &str) -> Result<Value> {
    if source.has(&within(folder, file)) {
        object(source, folder, file)
    } else {
        Ok(Value::Null)
    }
}

/// A special token is a word, or an object with its content.
fn content(token: &Value) -> Option<&str> {
    token
        .as_str()
        .or_else(|| token.get("content").and_then(Value::as_str))
}

fn bad(source: &Source, folder: &str, why: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::BadTokenizer,
        format!(
            "the tokenizer `{}` cannot be used: {why}",
            source.show(folder)
        ),
    )
}
