//! An https server on loopback, whose certificates no system trusts. `openssl` made them; what the authority
//! signed with is gone.

#![allow(dead_code, reason = "every test binary uses another part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Who signed them: trusted by who sets `SSL_CERT_FILE` to it.
pub(crate) const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/authority.pem");
/// Of 127.0.0.1, until 2120.
pub(crate) const HERE: &[u8] = include_bytes!("here.pem");
/// Of another host.
pub(crate) const ELSEWHERE: &[u8] = include_bytes!("elsewhere.pem");
/// Of 127.0.0.1, until 2020.
pub(crate) const EXPIRED: &[u8] = include_bytes!("expired.pem");
const KEY: &[u8] = include_bytes!("key.pem");
/// Of a client, signed by itself, and its key.
pub(crate) const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/client.pem");
pub(crate) const CLIENT_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/client-key.pem");

/// What is answered to a request head: a whole response.
type Answer = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

#[derive(Debug)]
pub(crate) struct TlsServer {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    heads: Arc<Mutex<Vec<String>>>,
    resumed: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl TlsServer {
    pub(crate) fn start(
        certificate: &[u8],
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::ending(certificate, true, answer)
    }

    /// That answers nobody but who shows [`CLIENT`].
    pub(crate) fn of_client(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let mut clients = RootCertStore::empty();
        let client = CertificateDer::from_pem_file(CLIENT).expect("a certificate");
        clients.add(client).expect("one to trust");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider()).build();
        Self::with(HERE, verifier.expect("a verifier"), true, answer)
    }

    /// With or without a `close_notify` at the end of each connection.
    pub(crate) fn ending(
        certificate: &[u8],
        notify: bool,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::with(certificate, WebPkiClientVerifier::no_client_auth(), notify, answer)
    }

    fn with(
        certificate: &[u8],
        clients: Arc<dyn ClientCertVerifier>,
        notify: bool,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let config = config.expect("versions").with_client_cert_verifier(clients);
        let config = config.with_single_cert(vec![certificate], key);
        let config = Arc::new(config.expect("they belong together"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (stop, heads) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, log, answer): (_, Arc<Mutex<Vec<String>>>, Answer) =
            (Arc::clone(&stop), Arc::clone(&heads), Box::new(answer));
        let resumed = Arc::new(AtomicUsize::new(0));
        let resumptions = Arc::clone(&resumed);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that does not trust us is gone in mid-handshake.
                let kind = serve(stream, &config, &log, &answer, notify);
                let again = matches!(kind, Ok(Some(HandshakeKind::Resumed)));
                resumptions.fetch_add(again.into(), Ordering::Relaxed);
            }
        });
        Self { addr, stop, heads, resumed, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr)
    }

    /// How many connections went on with the session of an earlier one.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Ordering::Relaxed)
    }

    /// The request heads so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Only a connection wakes an accept.
        let _ = TcpStream::connect(self.addr);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    log: &Mutex<Vec<String>>,
    answer: &Answer,
    notify: bool,
) -> std::io::Result<Option<HandshakeKind>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let reply = answer(&head);
    log.lock().expect("no panic").push(head);
    stream.write_all(&reply)?;
    if notify {
        stream.conn.send_close_notify();
    }
    stream.flush()?;
    Ok(stream.conn.handshake_kind())
}
