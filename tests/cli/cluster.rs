//! `examples/cluster`: the parts of an array job join to the bytes of one run, under a real Slurm where there is one.
#![allow(clippy::print_stdout, reason = "a test says why it tried nothing")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, project};

/// What is asked of the array, and of one run.
const ASKED: [&str; 9] = [
    "compare",
    "std::rules::cfg,scale=3",
    "std::rules::adaptive",
    "--prompt",
    "fox",
    "--steps",
    "2",
    "--batch",
    "5",
];

/// Asked of another array, whose tasks write into one folder.
const RUN: [&str; 8] = [
    "run",
    "std::rules::cfg",
    "--prompt",
    "fox",
    "--steps",
    "2",
    "--batch",
    "5",
];

const FILES: [&str; 5] = [
    "results.json",
    "report.html",
    "contact.png",
    "pictures/cfg-scale-3/seed0.png",
    "pictures/adaptive/seed4.png",
];

#[track_caller]
fn assert_same(sandbox: &Sandbox, whole: &str, joined: &str) {
    for file in FILES {
        let read = |folder: &str| fs::read(sandbox.path(&format!("{folder}/{file}")));
        let (one, other) = (
            read(whole).expect("one run's"),
            read(joined).expect("the array's"),
        );
        assert!(one == other, "{file} differs");
    }
}

/// The commands of Slurm and munge, or those that are missing.
fn missing() -> Vec<&'static str> {
    let needed = [
        "munged",
        "mungekey",
        "slurmctld",
        "slurmd",
        "sbatch",
        "sinfo",
    ];
    let is_there = |name: &&str| {
        let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        paths
            .split(':')
            .any(|folder| std::path::Path::new(folder).join(name).is_file())
    };
    needed.into_iter().filter(|name| !is_there(name)).collect()
}

/// One node of Slurm, which ends with the test.
struct Slurm<'a> {
    sandbox: &'a Sandbox,
    daemons: Vec<Child>,
}

impl Drop for Slurm<'_> {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Slurm<'_> {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command
            .env("PATH", paths)
            .env("SLURM_CONF", self.sandbox.path("slurm.conf"))
            .current_dir(self.sandbox.path("."))
            .stdin(Stdio::null());
        command
    }

    fn start(&mut self, name: &str, args: &[&str]) {
        let log = fs::File::create(self.sandbox.path(&format!("{name}.log"))).expect("a log");
        let same = log.try_clone().expect("the log again");
        let mut command = self.command(name);
        command.args(args).stdout(log).stderr(same);
        self.daemons
            .push(command.spawn().expect("the daemon starts"));
    }

    fn said(&self, name: &str, args: &[&str]) -> String {
        let output = self
            .command(name)
            .args(args)
            .output()
            .expect("the command starts");
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    /// Runs the project's script as an array of three tasks, to its end.
    #[track_caller]
    fn array(&self, folder: &str, asked: &[&str]) {
        let guidec = self.sandbox.command(&[]);
        let mut batch = self.command("sbatch");
        for (name, value) in guidec.get_envs() {
            match value {
                Some(value) => batch.env(name, value),
                None => batch.env_remove(name),
            };
        }
        let script = project("examples/cluster/array.sbatch");
        let output = batch
            .args(["--wait", "--array=1-3", &script, folder])
            .args(asked)
            .env("GUIDEC", guidec.get_program())
            .output()
            .expect("sbatch starts");
        let logs = || -> String {
            let names = self.sandbox.names(".").into_iter();
            let logs = names.filter(|name| name.ends_with(".log"));
            let log = |name: String| format!("--- {name}\n{}", self.sandbox.read(&name));
            logs.map(log).collect()
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{}", logs());
    }

    /// Whether the node takes jobs before long.
    fn is_up(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.said("sinfo", &["--noheader", "--format=%T"]).trim() == "idle" {
                return true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    }
}

/// Two ports that nobody listens on.
fn ports() -> [u16; 2] {
    let open = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let both = [open(), open()];
    both.map(|port| port.local_addr().expect("its address").port())
}

fn config(sandbox: &Sandbox, host: &str, user: &str) -> String {
    let [control, node] = ports();
    let here = sandbox.path(".");
    let here = here.display();
    format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nAuthType=auth/munge\nCredType=cred/munge\n\
         AuthInfo=socket={here}/munge.socket\nSlurmUser={user}\nSlurmdUser={user}\n\
         SlurmctldPort={control}\nSlurmdPort={node}\nStateSaveLocation={here}/state\n\
         SlurmdSpoolDir={here}/spool\nSlurmctldPidFile={here}/slurmctld.pid\n\
         SlurmdPidFile={here}/slurmd.pid\nProctrackType=proctrack/pgid\nTaskPlugin=task/none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2\nMpiDefault=none\n\
         SchedulerType=sched/backfill\nSchedulerParameters=sched_interval=1,bf_interval=1\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN\n\
         PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )
}

/// Under Slurm itself. Where it is not installed, or does not come up, there is nothing to try.
#[test]
#[cfg(target_os = "linux")]
fn an_array_of_slurm() {
    let missing = missing();
    if !missing.is_empty() {
        println!("skipped: {} is not installed", missing.join(", "));
        return;
    }
    let sandbox = Sandbox::new();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let host = host
        .trim()
        .split('.')
        .next()
        .unwrap_or("localhost")
        .to_owned();
    let user = Command::new("id")
        .arg("-un")
        .output()
        .expect("a user")
        .stdout;
    let user = String::from_utf8_lossy(&user).trim().to_owned();
    fs::write(sandbox.path("slurm.conf"), config(&sandbox, &host, &user)).expect("a config");
    for folder in ["state", "spool"] {
        fs::create_dir(sandbox.path(folder)).expect("a folder");
    }
    let here = |name: &str| sandbox.path(name).display().to_string();
    let mut slurm = Slurm {
        sandbox: &sandbox,
        daemons: Vec::new(),
    };
    slurm.said(
        "mungekey",
        &["--create", &format!("--keyfile={}", here("munge.key"))],
    );
    let files = [
        format!("--socket={}", here("munge.socket")),
        format!("--key-file={}", here("munge.key")),
        format!("--pid-file={}", here("munge.pid")),
        format!("--seed-file={}", here("munge.seed")),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    slurm.start(
        "munged",
        &[&["--foreground", "--force"], &files[..]].concat(),
    );
    slurm.start("slurmctld", &["-D", "-i"]);
    slurm.start("slurmd", &["-D", "-N", &host]);
    if !slurm.is_up() {
        for name in ["munged", "slurmctld", "slurmd"] {
            println!("{}", sandbox.read(&format!("{name}.log")));
        }
        println!("skipped: Slurm does not come up here");
        return;
    }
    slurm.array("versus", &ASKED);
    slurm.array("pictures", &RUN);
    drop(slurm);
    let parts = ["versus/part1", "versus/part2", "versus/part3"];
    for part in parts {
        assert!(sandbox.path(part).join("results.json").is_file(), "{part}");
    }
    sandbox
        .run(&[&["merge"], &parts[..], &["--out", "joined"]].concat())
        .with(0);
    sandbox
        .run(&[&ASKED[..], &["--out", "whole"]].concat())
        .with(0);
    assert_same(&sandbox, "whole", "joined");
    sandbox
        .run(&[&RUN[..], &["--out", "alone"]].concat())
        .with(0);
    let folder = "cfg-fox-seeds0-4";
    let names = sandbox.names(&format!("alone/{folder}"));
    assert_eq!(sandbox.names(&format!("pictures/{folder}")), names);
    for name in names.iter().filter(|name| name.ends_with(".png")) {
        let read = |place: &str| fs::read(sandbox.path(&format!("{place}/{folder}/{name}")));
        assert!(
            read("alone").expect("one run's") == read("pictures").expect("the array's"),
            "{name}"
        );
    }
    println!("two arrays of three tasks ran under Slurm");
}

/// The value of a line `key: value` of the manifest.
fn value<'a>(manifest: &'a str, key: &str) -> &'a str {
    let start = format!("{key}: ");
    let mut found = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&start));
    let value = found.next().expect("the key stands in the manifest");
    value.trim_matches('"')
}

/// The shell's line of the manifest, which is folded.
fn shell_line(manifest: &str) -> String {
    let (_, rest) = manifest.split_once("- >-\n").expect("a folded text");
    let indent = rest.len() - rest.trim_start().len();
    let lines = rest
        .lines()
        .take_while(|line| line.len() - line.trim_start().len() >= indent);
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What each pod of the Indexed Job runs, with what Kubernetes puts into its environment.
#[test]
#[cfg(unix)]
fn the_pods_of_an_indexed_job() {
    let manifest = fs::read_to_string(project("examples/cluster/job.yaml")).expect("a manifest");
    assert!(!manifest.contains('\t'), "YAML has no tabs");
    let wanted = [
        ("apiVersion", "batch/v1"),
        ("kind", "Job"),
        ("completionMode", "Indexed"),
    ];
    for (key, wanted) in wanted {
        assert_eq!(value(&manifest, key), wanted);
    }
    let completions = value(&manifest, "completions").to_owned();
    let (_, env) = manifest
        .split_once("- name: JOB_COMPLETIONS\n")
        .expect("how many");
    assert_eq!(value(env, "value"), completions, "both say the same number");
    let sandbox = Sandbox::new();
    let guidec = sandbox.command(&[]);
    let program = std::path::Path::new(guidec.get_program());
    let folder = program.parent().expect("a folder").display().to_string();
    let line = shell_line(&manifest)
        .replace("--steps 20", "--steps 2")
        .replace("--batch 16", "--batch 5");
    assert!(
        line.starts_with("exec guidec compare std::rules::cfg,scale=3"),
        "{line}"
    );
    let count: usize = completions.parse().expect("a number");
    let mut parts = Vec::new();
    for index in 0..count {
        let mut pod = Command::new("/bin/sh");
        for (name, value) in guidec.get_envs() {
            match value {
                Some(value) => pod.env(name, value),
                None => pod.env_remove(name),
            };
        }
        let paths = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        pod.args(["-c", &line])
            .env("PATH", paths)
            .env("OUT", "versus")
            .env("JOB_COMPLETIONS", &completions)
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .current_dir(sandbox.path("."));
        let output = pod.output().expect("a shell");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        parts.push(format!("versus/part{index}"));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    sandbox
        .run(&[&["merge"], &parts[..], &["--out", "joined"]].concat())
        .with(0);
    sandbox
        .run(&[&ASKED[..], &["--out", "whole"]].concat())
        .with(0);
    assert_same(&sandbox, "whole", "joined");
}
