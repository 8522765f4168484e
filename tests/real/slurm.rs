//! A Slurm of one node: munged, slurmctld and slurmd in the foreground, with everything of theirs in a folder.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Slurm takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster; dropping it ends its jobs, then itself.
#[derive(Debug)]
pub(crate) struct Cluster {
    daemons: Vec<Child>,
    dir: TempDir,
}

impl Cluster {
    /// Starts one of a node with 16 CPUs, whatever the machine has.
    ///
    /// # Panics
    /// Where Slurm is not installed, or does not start.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // munged wants to be reached by all, through folders that only their owner writes to.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("one's own folder");
        fs::write(dir.path().join("key"), [7; 128]).expect("the test's own folder");
        fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o400))
            .expect("one's own file");
        fs::write(dir.path().join("slurm.conf"), configuration(dir.path())).expect("the test's own folder");
        let mut cluster = Self { daemons: Vec::new(), dir };
        let at = |name: &str| cluster.dir.path().join(name).display().to_string();
        let munge =
            ["key-file=key", "socket=munge", "pid-file=munge.pid", "seed-file=munge.seed"].map(|option| {
                let (option, name) = option.split_once('=').expect("an option and a name");
                format!("--{option}={}", at(name))
            });
        cluster.daemon("munged", &[&["--foreground".to_owned(), "--force".to_owned()][..], &munge].concat());
        cluster.wait_until("munged listens", |cluster| cluster.dir.path().join("munge").exists());
        cluster.daemon("slurmctld", &["-D".to_owned()]);
        cluster.daemon("slurmd", &["-D".to_owned()]);
        cluster.wait_until("the node is idle", |cluster| {
            cluster.says("sinfo", &["--noheader", "--format=%t"]).trim() == "idle"
        });
        cluster
    }

    /// Submits a script, in its folder, and gives the number of the job.
    pub(crate) fn submit(&self, script: &Path) -> String {
        let dir = script.parent().expect("a script is in a folder");
        let submitted = self.command("sbatch").arg("--parsable").arg(script).current_dir(dir).output();
        let submitted = submitted.expect("sbatch runs");
        assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
        String::from_utf8_lossy(&submitted.stdout).trim().to_owned()
    }

    /// Waits until nothing of the job runs, and gives how its tasks ended, as `STATE code:signal`, sorted.
    pub(crate) fn wait(&self, job: &str) -> Vec<String> {
        self.wait_until("the job ends", |cluster| {
            cluster
                .says("squeue", &["--noheader", "--states=all", "--array", "--format=%T", "--jobs", job])
                .lines()
                .all(|state| ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"].contains(&state.trim()))
        });
        let ended = self.says("scontrol", &["--oneliner", "show", "job", job]);
        let field = |line: &str, name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            found.unwrap_or_default().to_owned()
        };
        let end = |line: &str| format!("{} {}", field(line, "JobState="), field(line, "ExitCode="));
        let mut ends: Vec<_> = ended.lines().map(end).collect();
        ends.sort();
        ends
    }

    /// Cancels the job, as its user or a preemption would.
    pub(crate) fn cancel(&self, job: &str) {
        self.says("scancel", &[job]);
    }

    fn says(&self, program: &str, args: &[&str]) -> String {
        let Output { stdout, .. } = self.command(program).args(args).output().expect("Slurm's commands run");
        String::from_utf8_lossy(&stdout).into_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("SLURM_CONF", self.dir.path().join("slurm.conf"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null());
        command
    }

    fn daemon(&mut self, program: &str, args: &[String]) {
        let log =
            fs::File::create(self.dir.path().join(format!("{program}.log"))).expect("the test's own folder");
        let daemon = self.command(program).args(args).stdout(Stdio::null()).stderr(log).spawn();
        self.daemons.push(daemon.unwrap_or_else(|error| {
            panic!("{program}: {error}; this suite needs Slurm: apt-get install slurmctld slurmd slurm-client munge")
        }));
    }

    /// Waits for something that Slurm's jobs do.
    pub(crate) fn wait_until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(Instant::now() < deadline, "{what}: not so after {PATIENCE:?}\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn logs(&self) -> String {
        let log =
            |program| fs::read_to_string(self.dir.path().join(format!("{program}.log"))).unwrap_or_default();
        ["munged", "slurmctld", "slurmd"].map(log).concat()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Best effort: what was never begun is not there to be ended.
        let jobs = self.says("squeue", &["--noheader", "--format=%A"]);
        jobs.lines().for_each(|job| drop(self.says("scancel", &["--full", "--signal=KILL", job.trim()])));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.says("squeue", &["--noheader"]).is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        for mut daemon in self.daemons.drain(..).rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// The node is called as the machine is: slurmd finds itself so.
fn configuration(dir: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host has a name");
    let name = host.trim().split('.').next().unwrap_or_default();
    let port = || {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.local_addr().expect("a bound socket has an address").port()
    };
    let user = rustix::process::geteuid().as_raw();
    let (ctld, d) = (port(), port());
    let text = format!(
        "ClusterName=one
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={d}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket=DIR/munge
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/spool
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName={name} NodeAddr=127.0.0.1 CPUs=16 RealMemory=4096
PartitionName=all Nodes=ALL Default=YES
"
    );
    text.replace("DIR", &dir.display().to_string())
}
