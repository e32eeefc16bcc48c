//! `run --preview`, on a terminal of its own.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::sandbox::{CFG, Sandbox};

/// Lines and columns of the terminal.
const LINES: u16 = 30;
const COLUMNS: u16 = 100;

/// What a picture 64x64 covers of it, of characters twice as high as they are wide.
const PICTURE: (u16, u16) = (24, 48);

/// A side as the emulator wants it.
fn size(side: u16) -> NonZero<u16> {
    NonZero::new(side).expect("a side")
}

/// Everything that a command writes to a terminal which it has for its stderr.
fn on_a_terminal(mut command: Command) -> std::io::Result<Vec<u8>> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let controller = openpt(flags)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let size = Winsize {
        ws_row: LINES,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&controller, size)?;
    let name = ptsname(&controller, Vec::new())?;
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let terminal = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits() as i32)
        .open(name)?;
    command.stdout(Stdio::null()).stderr(terminal);
    let mut child = command.spawn()?;
    // The end is seen once nobody holds the terminal.
    drop(command);
    let mut written = Vec::new();
    let mut controller = File::from(controller);
    // A terminal that nobody holds any more is an error on Linux.
    let _ = controller.read_to_end(&mut written);
    assert!(
        child.wait()?.success(),
        "{}",
        String::from_utf8_lossy(&written)
    );
    Ok(written)
}

fn command(sandbox: &Sandbox, preview: &str) -> Command {
    let mut command = sandbox.command(&[
        "run",
        "a.guide",
        "--prompt",
        "strawberry",
        "--steps",
        "4",
        "--seed",
        "3",
        "--out",
        "a.png",
        preview,
    ]);
    for name in [
        "TMUX",
        "STY",
        "NO_COLOR",
        "KITTY_WINDOW_ID",
        "WT_SESSION",
        "TERM_PROGRAM",
    ] {
        command.env_remove(name);
    }
    command
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor");
    command
}

fn bytes(sandbox: &Sandbox) -> Vec<u8> {
    std::fs::read(sandbox.path("a.png")).expect("a picture")
}

/// The last step's preview is the picture itself, in half-blocks.
#[test]
fn half_blocks_show_the_picture() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let written = on_a_terminal(command(&sandbox, "--preview")).expect("a terminal");
    let mut terminal = vt100::Parser::new(size(LINES), size(COLUMNS), 0);
    terminal.process(&written);
    let shown = terminal.screen();
    let (lines, columns) = PICTURE;
    let first = (0..LINES)
        .find(|line| {
            shown
                .cell(*line, 0)
                .is_some_and(|cell| cell.contents() == "▀")
        })
        .expect("a picture on the screen");

    let picture = image::open(sandbox.path("a.png"))
        .expect("a picture")
        .to_rgb8();
    let scaled = image::imageops::resize(
        &picture,
        u32::from(columns),
        u32::from(2 * lines),
        image::imageops::FilterType::Triangle,
    );
    for (x, y, image::Rgb([red, green, blue])) in scaled.enumerate_pixels() {
        let cell = shown
            .cell(first + (y / 2) as u16, x as u16)
            .expect("a cell");
        let half = if y % 2 == 0 {
            cell.fgcolor()
        } else {
            cell.bgcolor()
        };
        let vt100::Color::Rgb(r, g, b) = half else {
            panic!("{x}, {y} has no colour");
        };
        let off = r
            .abs_diff(*red)
            .max(g.abs_diff(*green))
            .max(b.abs_diff(*blue));
        assert!(off <= 1, "{x}, {y}: {half:?} for {red}, {green}, {blue}");
    }
    // Nothing is left of the steps before, and the summary stands below.
    let blocks = shown.contents().matches('▀').count();
    assert_eq!(blocks, usize::from(lines * columns));
    let below = shown.contents();
    let below = below.rsplit('▀').next().unwrap_or_default();
    assert!(below.contains("a.png"), "{below}");
}

/// What the environment says decides, and the picture is the same whether it is watched or not.
#[test]
fn a_terminal_with_pictures_gets_pictures() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let mut kitty = command(&sandbox, "--preview");
    kitty.env("TERM", "xterm-kitty");
    let written = on_a_terminal(kitty).expect("a terminal");
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("\x1b_Ga=T,f=100,"), "{text}");
    let watched = bytes(&sandbox);
    for (preview, begins) in [
        ("--preview=sixel", "\x1bP"),
        ("--preview=iterm2", "\x1b]1337;File="),
    ] {
        let written = on_a_terminal(command(&sandbox, preview)).expect("a terminal");
        let text = String::from_utf8_lossy(&written);
        assert!(text.contains(begins), "{preview}: {text}");
    }
    let mut alone = command(&sandbox, "--preview");
    alone.stderr(Stdio::piped());
    let output = alone.output().expect("a run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("--preview draws nothing: stderr is not a terminal"),
        "{said}"
    );
    assert!(!said.contains('\x1b'), "{said}");
    assert!(bytes(&sandbox) == watched);
}

#[test]
fn no_colours_where_none_are_wanted() {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    let mut plain = command(&sandbox, "--preview");
    plain.env("NO_COLOR", "1");
    let written = on_a_terminal(plain).expect("a terminal");
    let text = String::from_utf8_lossy(&written);
    assert!(
        text.contains("--preview draws nothing: NO_COLOR is set"),
        "{text}"
    );
    assert!(!text.contains('▀'), "{text}");
}
