//! Places that cannot be written to: what stood there stays, and nothing half-made is left.

use std::process::Command;

use crate::sandbox::{CFG, Sandbox};

const RUN: [&str; 4] = ["run", "a.guide", "--steps", "2"];

/// A folder with a guide, a file and a folder that stand in the way.
fn sandbox() -> Sandbox {
    Sandbox::new()
        .with("a.guide", CFG)
        .with("file", "here first")
        .with("folder/inside", "here first")
}

/// A recording of the project.
const RECORDING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/oracle/rules/recordings/v_eps.safetensors"
);

fn eval(out: &str) -> [&str; 6] {
    ["eval", "a.guide", "--recording", RECORDING, "--out", out]
}

#[test]
fn a_place_in_a_file_is_found_before_the_run() {
    let sandbox = sandbox();
    for option in ["--out", "--record", "--save-latents"] {
        for place in ["file/x.png", "file/x/y.png"] {
            let ended = sandbox.refused(&[&RUN[..], &[option, place]].concat(), 3, "G0803");
            let ended = ended.says(&["`file"]);
            assert!(!ended.stderr.contains("step 1"), "{}", ended.stderr);
        }
    }
    let ended = sandbox.refused(&[&RUN[..], &["--out", "file"]].concat(), 3, "G0803");
    ended.says(&["`file`"]);
    sandbox
        .refused(&eval("file/o.safetensors"), 3, "G0803")
        .says(&["file/o"]);
}

#[test]
fn a_folder_is_not_exchanged_for_a_file() {
    let sandbox = sandbox();
    for option in ["--record", "--save-latents"] {
        let ended = sandbox.refused(&[&RUN[..], &[option, "folder"]].concat(), 3, "G0803");
        let ended = ended.says(&["`folder`"]);
        assert!(!ended.stderr.contains("step 1"), "{}", ended.stderr);
    }
    sandbox
        .refused(&eval("folder"), 3, "G0803")
        .says(&["`folder`"]);
}

/// A folder that may not be written to. A user who may do anything is not stopped by it.
#[test]
#[cfg(unix)]
fn a_folder_that_is_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let lock = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(sandbox.path("folder"), mode).expect("the mode is set");
    };
    lock(0o555);
    if std::fs::write(sandbox.path("folder/try"), "").is_ok() {
        return;
    }
    for option in ["--out", "--record", "--save-latents"] {
        let ended = sandbox.refused(&[&RUN[..], &[option, "folder/x.png"]].concat(), 3, "G0803");
        assert!(!ended.stderr.contains("step 1"), "{}", ended.stderr);
    }
    sandbox.refused(&eval("folder/o.safetensors"), 3, "G0803");
    lock(0o755);
}

/// The command where a file may hold 8 KiB, which stands for a disk without room.
#[cfg(target_os = "linux")]
fn without_room(sandbox: &Sandbox, args: &[&str]) -> Command {
    let guidec = sandbox.command(args);
    let mut command = Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(guidec.get_program())
        .args(guidec.get_args())
        .current_dir(sandbox.path("."));
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_found_before_the_run() {
    let sandbox = sandbox().with("x.png", "an old picture");
    for place in [".", "x.png", "new/deep"] {
        let args = [&RUN[..], &["--out", place]].concat();
        let ended = sandbox.command_refused(without_room(&sandbox, &args), 3, "G0803");
        assert!(!ended.stderr.contains("step 1"), "{}", ended.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_what_was_there() {
    let sandbox = sandbox().with("o.safetensors", "old results");
    let command = without_room(&sandbox, &eval("o.safetensors"));
    let ended = sandbox.command_refused(command, 3, "G0803");
    ended.says(&["`o.safetensors`"]);
    let guide = format!("// {}\n{}", "x".repeat(20_000), CFG.replace(" + ", "+"));
    let sandbox = sandbox.with("b.guide", guide);
    let command = without_room(&sandbox, &["fmt", "b.guide"]);
    sandbox
        .command_refused(command, 3, "G0803")
        .says(&["`b.guide`"]);
}

/// As with `/dev/stdout`: a pipe is written to, not exchanged for a file.
#[test]
#[cfg(unix)]
fn a_pipe_stays_a_pipe() {
    use std::os::unix::fs::FileTypeExt;
    let sandbox = sandbox();
    let pipe = sandbox.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("a pipe").success());
    let run = [&RUN[..], &["--save-latents", "pipe"]].concat();
    for args in [&eval("pipe")[..], &run] {
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || std::fs::read(pipe))
        };
        let ended = sandbox.run(args).with(0);
        assert_eq!(ended.stdout, "");
        let bytes = reader.join().expect("a reader").expect("what was written");
        safetensors::SafeTensors::deserialize(&bytes).expect("a whole file");
        let about = std::fs::metadata(&pipe).expect("the pipe");
        assert!(about.file_type().is_fifo());
    }
}

#[test]
fn folders_that_are_missing_are_made() {
    let sandbox = sandbox();
    let more = ["--out", "p/q", "--record", "r/s/r.safetensors"];
    let latents = ["--save-latents", "l/l.safetensors"];
    sandbox.run(&[&RUN[..], &more, &latents].concat()).with(0);
    assert_eq!(sandbox.names("p/q"), ["cfg-unprompted-seed0.png"]);
    assert_eq!(sandbox.names("r/s"), ["r.safetensors"]);
    assert_eq!(sandbox.names("l"), ["l.safetensors"]);
}

/// What the others of a machine may read is for the process's mask to say.
#[test]
#[cfg(unix)]
fn results_are_as_open_as_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let more = [
        "--record",
        "r.safetensors",
        "--save-latents",
        "l.safetensors",
    ];
    sandbox
        .run(&[&RUN[..], &more, &["--out", "x.png"]].concat())
        .with(0);
    sandbox.run(&eval("o.safetensors")).with(0);
    let mode = |name: &str| {
        let about = std::fs::metadata(sandbox.path(name)).expect("a result");
        about.permissions().mode() & 0o777
    };
    std::fs::write(sandbox.path("other"), "").expect("a file");
    for name in ["r.safetensors", "l.safetensors", "x.png", "o.safetensors"] {
        assert_eq!(mode(name), mode("other"), "{name}");
    }
}
