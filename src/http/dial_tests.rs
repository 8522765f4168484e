use std::future::{Pending, Ready, pending, ready};

use super::*;
use crate::url::SafeUrl;

/// Connects at once; connections are numbered.
#[derive(Clone, Default)]
struct Numbered(Arc<AtomicUsize>);

impl Service<&'static str> for Numbered {
    type Response = usize;
    type Error = BoxError;
    type Future = Ready<Result<usize, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: &'static str) -> Self::Future {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        ready(if to == "refused" { Err("refused".into()) } else { Ok(number) })
    }
}

/// Never connects.
#[derive(Clone)]
struct Never;

impl Service<()> for Never {
    type Response = ();
    type Error = BoxError;
    type Future = Pending<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        pending()
    }
}

fn origin(url: &str) -> Origin {
    SafeUrl::parse(url).unwrap().origin()
}

fn way(url: &str) -> Way {
    Way::new(origin(url), Duration::from_secs(10), watch::Sender::default())
}

fn addresses(of: &[&str]) -> Vec<SocketAddr> {
    of.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect()
}

#[tokio::test]
async fn what_was_dialled_is_used_once_by_a_request_to_that_origin() {
    let spares = Spares::default();
    let mut connector = spares.layer(Numbered::default());
    // The request that only dials fails: it is not sent.
    let mut dialler = connector.clone();
    spares.dial(way("http://h/"), async { assert!(dialler.call("h").await.is_err()) }).await;
    assert_eq!(
        way("http://other/").used(async { connector.call("h").await.unwrap() }).await,
        1,
        "not for others"
    );
    assert_eq!(way("http://h/").used(async { connector.call("h").await.unwrap() }).await, 0);
    assert_eq!(way("http://h/").used(async { connector.call("h").await.unwrap() }).await, 2, "used up");
    assert_eq!(connector.call("h").await.unwrap(), 3, "a request of nobody's");
}

#[tokio::test]
async fn a_connection_that_could_not_be_made_in_advance_is_tried_again() {
    let spares = Spares::default();
    let mut connector = spares.layer(Numbered::default());
    let mut dialler = connector.clone();
    spares.dial(way("http://h/"), async { assert!(dialler.call("refused").await.is_err()) }).await;
    assert_eq!(way("http://h/").used(async { connector.call("h").await.unwrap() }).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_closed() {
    let spares = Spares::default();
    let mut connector = spares.layer(Numbered::default());
    let mut dialler = connector.clone();
    spares.dial(way("http://h/"), async { assert!(dialler.call("h").await.is_err()) }).await;
    spares.expire().await;
    assert!(spares.lock().is_empty());
    assert_eq!(way("http://h/").used(async { connector.call("h").await.unwrap() }).await, 1);
}

#[tokio::test]
async fn a_request_that_got_a_connection_of_its_own_says_so() {
    let spares = Spares::default();
    let mut connector = spares.layer(Numbered::default());
    let connected = watch::Sender::default();
    let told = || connected.send_replace(None).is_some();
    let way = || Way::new(origin("http://h/"), Duration::from_secs(10), connected.clone());
    let refused = way().used(async { connector.call("refused").await }).await;
    assert!(refused.is_err() && !told());
    way().used(async { connector.call("h").await.unwrap() }).await;
    assert!(told());
    let mut dialler = connector.clone();
    spares.dial(way(), async { assert!(dialler.call("h").await.is_err()) }).await;
    way().used(async { connector.call("h").await.unwrap() }).await;
    assert!(!told(), "a spare one is another's");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_is_not_waited_for() {
    let mut connector = Spares::default().layer(Never);
    let began = Instant::now();
    let error = way("http://h/").used(async { connector.call(()).await.unwrap_err() }).await;
    assert_eq!((began.elapsed(), error.to_string().as_str()), (Duration::from_secs(10), "not within 10s"));
}

#[test]
fn h49_each_connection_begins_with_another_address_of_the_preferred_family() {
    let all = addresses(&["::1", "::2", "10.0.0.1", "10.0.0.2"]);
    let first = |turn| rotated(all.clone(), turn)[0].ip().to_string();
    assert_eq!([first(0), first(1), first(2)], ["::1", "::2", "::1"]);
    assert_eq!(rotated(all, 1), addresses(&["::2", "::1", "10.0.0.1", "10.0.0.2"]), "the others for later");
    assert_eq!(rotated(Vec::new(), 3), []);
}
