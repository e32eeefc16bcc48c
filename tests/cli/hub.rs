//! A Hugging Face hub of our own, on this machine: what it holds, and what goes wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

/// The commit of all that it holds.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What happens to a file on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first answer with its bytes breaks off in the middle.
    BreaksOff,
    /// One byte arrives as another.
    Flips,
}

/// A server with one repository, for as long as the test runs.
pub struct Hub {
    /// Where it is reached.
    pub address: String,
    /// Every request for a file's bytes: its name, and from which byte on.
    pub asked: Arc<Mutex<Vec<(String, usize)>>>,
}

struct Shelf {
    repository: String,
    files: BTreeMap<String, Vec<u8>>,
    faults: Mutex<BTreeMap<String, Fault>>,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Hub {
    /// One that holds a folder's files as `repository`.
    pub fn start(repository: &str, folder: &Path, faults: &[(&str, Fault)]) -> Self {
        let mut files = BTreeMap::new();
        read(folder, "", &mut files);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let faults = faults
            .iter()
            .map(|(name, fault)| ((*name).to_owned(), *fault));
        let shelf = Arc::new(Shelf {
            repository: repository.to_owned(),
            files,
            faults: Mutex::new(faults.collect()),
            asked: Arc::clone(&asked),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shelf);
                // A client that goes away ends its own connection only.
                std::thread::spawn(move || shelf.answer(stream));
            }
        });
        Self { address, asked }
    }
}

fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("a file"));
        }
    }
}

impl Shelf {
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut request = String::new();
        reader.read_line(&mut request).ok()?;
        let mut range = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("range: bytes=") {
                range = Some(value.to_owned());
            }
            if line.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1)?;
        let info = format!("/api/models/{}/revision/main", self.repository);
        let resolve = format!("/{}/resolve/main/", self.repository);
        if path == info {
            let names = self
                .files
                .keys()
                .map(|name| serde_json::json!({"rfilename": name}));
            let body = serde_json::json!({"sha": COMMIT, "siblings": names.collect::<Vec<_>>()});
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).ok()?;
            return stream.write_all(body.as_bytes()).ok();
        }
        match path
            .strip_prefix(&resolve)
            .and_then(|name| self.files.get_key_value(name))
        {
            Some((name, bytes)) => self.send(&mut stream, name, bytes, range.as_deref()),
            None => {
                let status = if path.contains("gated") {
                    "401 Unauthorized"
                } else {
                    "404 Not Found"
                };
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).ok()
            }
        }
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        name: &str,
        bytes: &[u8],
        range: Option<&str>,
    ) -> Option<()> {
        let (from, to) = range
            .and_then(|range| range.split_once('-'))
            .unwrap_or(("0", ""));
        let from: usize = from.parse().ok()?;
        let to = to
            .parse()
            .map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
        if from >= to {
            let head = "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return stream.write_all(head.as_bytes()).ok();
        }
        let etag = match name.ends_with(".safetensors") {
            true => Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            false => format!("{:040x}", bytes.len()),
        };
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\netag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\n\
             content-range: bytes {from}-{}/{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            to - 1,
            bytes.len(),
            to - from
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut part = bytes[from..to].to_vec();
        if part.len() > 1 {
            self.asked.lock().ok()?.push((name.to_owned(), from));
            match self.faults.lock().ok()?.get(name).copied() {
                Some(Fault::BreaksOff) if from == 0 => part.truncate(part.len() / 2),
                Some(Fault::Flips) => *part.last_mut()? ^= 1,
                _ => {}
            }
        }
        stream.write_all(&part).ok()
    }
}
