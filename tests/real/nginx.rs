//! A real nginx with a folder of files, in the foreground, on a free port of 127.0.0.1.
//!
//! Each location serves the same folder under other circumstances; see [`LOCATIONS`].

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use tempfile::TempDir;

use crate::support::Content;

const PATIENCE: Duration = Duration::from_secs(20);
/// Another process may take a port between its choice and nginx's bind.
const ATTEMPTS: usize = 5;
/// Long before now, so that Last-Modified is a strong validator (RFC 9110 §8.8.2.2).
const AGE: Duration = Duration::from_secs(86_400);

/// Path and directives. `limit_rate` is for each request, whose first second has no limit.
const LOCATIONS: [(&str, &str); 8] = [
    ("plain", ""),
    ("slow", "limit_rate 1m;"),
    ("gzip", "gzip on; gzip_min_length 1; gzip_types application/octet-stream;"),
    ("whole", "max_ranges 0;"),
    ("dated", "etag off;"),
    ("bare", "etag off; if_modified_since off; add_header Last-Modified \"\";"),
    ("few", "limit_rate 1m; limit_conn each 4;"),
    ("private", "auth_basic test; auth_basic_user_file PREFIX/htpasswd;"),
];

/// A running nginx; dropping it stops it.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    addr: SocketAddr,
    /// Its prefix: configuration, logs, temporary files, and the folder that it serves.
    dir: TempDir,
}

/// A line of the access log.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Logged {
    pub method: String,
    pub path: String,
    pub status: u16,
    /// Request headers; empty when there was none.
    pub range: String,
    pub if_match: String,
    pub if_unmodified_since: String,
    pub user: String,
}

impl Logged {
    /// The half-open range that was asked for.
    pub fn asked(&self) -> Option<(u64, u64)> {
        let (first, last) = self.range.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
    }
}

impl Nginx {
    /// Starts an nginx.
    ///
    /// # Panics
    /// Where there is none to start, or it does not start.
    pub fn start() -> Self {
        let program = program();
        for attempt in 1.. {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            let nginx = Self { child: spawn(&program, dir.path(), port), addr: loopback(port), dir };
            match nginx.wait_until_ready() {
                Ok(nginx) => return nginx,
                Err(said) if attempt == ATTEMPTS => panic!("nginx does not start: {said}"),
                Err(_) => {}
            }
        }
        unreachable!("the last attempt returns or panics")
    }

    /// The URL of a file in a location, say `plain/f`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.addr)
    }

    /// The same with user and password.
    pub fn url_as(&self, user: &str, password: &str, path: &str) -> String {
        format!("http://{user}:{password}@{}/{path}", self.addr)
    }

    /// Puts a file into the folder, under its name at once and with everything in it, `age` old.
    pub fn put(&self, name: &str, content: Content, age: Duration) {
        let (path, fresh) = (self.dir.path().join("www").join(name), self.dir.path().join("fresh"));
        let mut file = File::create(&fresh).expect("a file in the test's own folder");
        file.write_all(&content.bytes()).expect("room for the test's file");
        file.set_modified(SystemTime::now() - age).expect("the time of one's own file can be set");
        fs::rename(fresh, path).expect("a file can be renamed in its folder");
    }

    /// The same, a day old.
    pub fn put_old(&self, name: &str, content: Content) {
        self.put(name, content, AGE);
    }

    /// Every request for a file so far, those that were cut off included, in the order of their end.
    ///
    /// # Panics
    /// While a client is still connected.
    pub fn log(&self) -> Vec<Logged> {
        self.wait_until_idle();
        let text = fs::read_to_string(self.dir.path().join("access.log")).expect("nginx writes a log");
        text.lines().map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
    }

    /// The head of the answer to a bare request, in lower case: what a client gets that is not haul.
    pub fn head(&self, path: &str, headers: &str) -> String {
        self.ask(path, headers).expect("nginx answers").split("\r\n\r\n").next().unwrap_or("").to_lowercase()
    }

    fn wait_until_ready(mut self) -> Result<Self, String> {
        let deadline = Instant::now() + PATIENCE;
        while self.ask("status", "").is_err() {
            let ended = self.child.try_wait().expect("a child can be waited for");
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default();
                return Err(said);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self)
    }

    /// nginx logs a request when it ends, and notices late that a killed client has gone.
    fn wait_until_idle(&self) {
        let deadline = Instant::now() + PATIENCE;
        // The connection that asks counts, too.
        while !self.ask("status", "").is_ok_and(|status| status.contains("Active connections: 1 ")) {
            assert!(Instant::now() < deadline, "a client stays connected");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn ask(&self, path: &str, headers: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            format!("GET /{path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if answer.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A single process: nothing is left of it. Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Daemons are often not on a user's PATH.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join("nginx")).find(|program| program.is_file());
    found.expect("this suite needs nginx on PATH or in /usr/sbin: apt-get install nginx-light")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(loopback(0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn spawn(program: &Path, dir: &Path, port: u16) -> Child {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("the test's own folder");
    fs::create_dir(dir.join("www")).expect("the test's own folder");
    write("htpasswd", "user:{PLAIN}pass\n");
    write("nginx.conf", &configuration(dir, port));
    let error_log = File::create(dir.join("error.log")).expect("the test's own folder");
    Command::new(program)
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(error_log)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

/// One process in the foreground that writes nowhere but into `dir`.
fn configuration(dir: &Path, port: u16) -> String {
    let location = |(path, directives): &(&str, &str)| {
        format!("    location /{path}/ {{ alias PREFIX/www/; {directives} }}\n")
    };
    let text = format!(
        r#"daemon off;
master_process off;
pid PREFIX/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  log_format line escape=json '{{"method":"$request_method","path":"$uri","status":$status,"range":"$http_range",'
    '"if_match":"$http_if_match","if_unmodified_since":"$http_if_unmodified_since","user":"$remote_user"}}';
  access_log PREFIX/access.log line;
  client_body_temp_path PREFIX/body;
  proxy_temp_path PREFIX/proxy;
  fastcgi_temp_path PREFIX/fastcgi;
  uwsgi_temp_path PREFIX/uwsgi;
  scgi_temp_path PREFIX/scgi;
  default_type application/octet-stream;
  sendfile on;
  limit_conn_zone $binary_remote_addr zone=each:1m;
  limit_conn_log_level info;
  server {{
    listen 127.0.0.1:{port};
    location = /status {{ stub_status; access_log off; }}
{}  }}
}}
"#,
        LOCATIONS.iter().map(location).collect::<String>()
    );
    text.replace("PREFIX", &dir.display().to_string())
}
