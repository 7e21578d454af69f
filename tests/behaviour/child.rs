//! This program once more, as another process: it runs one ignored test, which is told its task by the environment, and
//! says lines on its standard output.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

const TASK: &str = "FLOWSEEK_TEST_TASK";
/// What tells a line that is said from those of the test harness.
const MARK: &str = "> ";
/// Far longer than anything takes: only what never ends is ended by it.
const LONG: Duration = Duration::from_secs(60);

/// The arguments with which this program runs one ignored test.
pub fn arguments(test: &str) -> [&str; 5] {
    [test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]
}

/// A command's task: texts that hold no line break.
pub fn give_task(command: &mut Command, task: &[&str]) {
    command.env(TASK, task.join("\n"));
}

/// The task of this process; `None` where it is no child.
pub fn task() -> Option<Vec<String>> {
    let task = env::var(TASK).ok()?;
    // The harness has begun a line.
    println!();
    Some(task.lines().map(str::to_owned).collect())
}

/// Says a line to the parent.
pub fn say(line: impl std::fmt::Display) {
    println!("{MARK}{line}");
}

/// What was said in an output.
pub fn said(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| line.strip_prefix(MARK))
}

/// Another process, killed when it is dropped.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts `test` on `archive`, with the rest of its task.
    pub fn start(test: &str, archive: &Path, task: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(arguments(test)).stdin(Stdio::piped()).stdout(Stdio::piped());
        give_task(&mut command, &[archive.to_str().unwrap(), task]);
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            // A line that the end of the process has cut off was not said.
            while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                if let Some(line) = line.trim_end().strip_prefix(MARK)
                    && sender.send(line.to_owned()).is_err()
                {
                    break;
                }
                line.clear();
            }
        });
        Self { input: process.stdin.take(), process, lines }
    }

    /// The next line that it says; `None` once it has ended.
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(LONG) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("a child says nothing for {LONG:?}"),
        }
    }

    /// Tells it a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Kills it at once (`SIGKILL`), and waits until it is gone; the answer is what it had said.
    pub fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.rest()
    }

    /// Ends its input, and waits until it has ended well; the answer is what it had said.
    pub fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let lines = self.rest();
        assert!(self.process.wait().unwrap().success(), "a child has failed");
        lines
    }

    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
