//! A function's process.

use crate::runtime::{Answer, INVOCATION_TIMEOUT, Runtime};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Functions started so far, to tell their logs apart.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// A function that runs. It is killed when this is dropped.
pub struct Function {
    child: Child,
    runtime: Runtime,
    started: Instant,
    /// A file, since a reader at a pipe's other end would have to be woken for every line, at the function's expense.
    log: PathBuf,
}

/// Resources that a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Time on a processor, of all threads, in user and kernel mode.
    pub cpu: Duration,
    /// The most memory that was ever resident, in bytes.
    pub peak_memory: u64,
}

impl Function {
    /// Starts a binary with Lambda's variables and `environment`, and nothing else of this process's environment.
    #[must_use]
    pub fn start(binary: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_command(Command::new(binary), environment)
    }

    /// Starts any command in the same way, such as an interpreter with its arguments.
    #[must_use]
    pub fn start_command(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let runtime = Runtime::start();
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "local")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/local")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2025/06/25/[$LATEST]0")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "ASIALOCALLOCALLOCAL1")
            .env("AWS_SECRET_ACCESS_KEY", "local/local/local/local/local/local/loca")
            .env("AWS_SESSION_TOKEN", "local".repeat(160))
            .env("LANG", "en_US.UTF-8")
            .env("TZ", ":UTC")
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = env::temp_dir().join(format!("hooks-testing-lambda-{}-{number}.log", process::id()));
        let file = File::create_new(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, runtime, started, log }
    }

    /// Hands the function an event and waits for its answer.
    #[must_use]
    pub fn invoke(&self, event: &[u8]) -> Answer {
        self.invoke_within(event, INVOCATION_TIMEOUT)
    }

    /// Hands a function that may take longer an event, tells it how long, and waits for its answer.
    #[must_use]
    pub fn invoke_within(&self, event: &[u8], limit: Duration) -> Answer {
        self.runtime.send(event.to_vec(), limit);
        self.runtime.answer(limit).unwrap_or_else(|| panic!("the function does not answer; it wrote {:#?}", self.log()))
    }

    /// Sets X-Ray's header of the next events. Without it they are not traced.
    pub fn trace(&self, header: &str) {
        header.clone_into(&mut self.runtime.trace.lock().unwrap());
    }

    /// Waits for the next answer without sending an event: for a function that is not expected to start.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.runtime.answer(INVOCATION_TIMEOUT)
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long ago the process was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Resources that the process has used so far, as the kernel counts them.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id());
        let cpu = fs::read_dir(format!("{process}/task"))
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .map(|statistics| statistics.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        Usage { cpu: Duration::from_nanos(cpu), peak_memory: kibibytes * 1_024 }
    }

    /// Lines of standard output and standard error so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }

    /// Ends the process and returns everything that it wrote.
    #[must_use]
    pub fn stop(mut self) -> Vec<String> {
        self.kill();
        self.log()
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_file(&self.log);
    }
}
