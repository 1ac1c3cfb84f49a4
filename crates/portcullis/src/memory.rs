//! Memory goes back to the system once large messages are gone.

use portcullis_upstreams::Room;
use std::hint::black_box;
use std::time::Duration;

/// How long the allocator keeps what was freed for whoever wants it next: a second by its own default, and a little more.
const KEPT: Duration = Duration::from_millis(1_200);
/// Larger than what the allocator serves from pages that it has in use.
const LARGE: usize = 1 << 20;

/// The allocator gives freed memory back when it frees a page of its own after that time, and not by a clock. A gate that
/// becomes quiet frees none, and would keep the memory of its busiest moment. So one is freed here, once after large messages.
pub(crate) async fn give_back_for_ever() {
    let (requests, answers) = (Room::of_requests(), Room::of_answers());
    loop {
        tokio::select! {
            () = requests.given_back() => {}
            () = answers.given_back() => {}
        }
        tokio::time::sleep(KEPT).await;
        // It looks at a quarter of its arenas each time.
        for _ in 0..4 {
            drop(black_box(Vec::<u8>::with_capacity(LARGE)));
        }
    }
}
