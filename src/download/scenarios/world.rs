//! The small world that scenarios run in: little objects, short waits, many at a time.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};

use crate::download::tuning::Tuning;
use crate::http::retry::Backoff;

/// The smallest segment, and all that the first request asks for.
pub(super) const SEGMENT: u64 = 64 << 10;

/// No run takes so long, even on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// All downloads of a test process.
pub(super) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime can be made")
});

/// 2020-01-01: long ago.
pub(super) fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_577_836_800)
}

pub(super) fn tuning() -> Tuning {
    let ms = Duration::from_millis;
    Tuning {
        first_span: SEGMENT,
        at_once: SEGMENT,
        at_once_time: ms(20),
        least_span: SEGMENT,
        least_steal: ms(1),
        silence: Duration::from_secs(1),
        tick: ms(5),
        throttle_memory: ms(50),
        backoff: Backoff { first: ms(1), longest: ms(20) },
        settle: ms(5),
        drip_time: ms(300),
        soft_interval: ms(5),
        hard_interval: ms(50),
        furnish,
    }
}

/// Names lead where the tests want them to.
fn furnish(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    builder
        .resolve("other.test", (v4, 0).into())
        .resolve_to_addrs("dead6.test", &[(v6, 0).into(), (v4, 0).into()])
}
