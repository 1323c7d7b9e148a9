//! Timers: when they call back, and in which order.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use loopscope_runtime::{EventLoop, RunMode, Timer};

#[test]
fn timers_call_back_in_the_order_in_which_they_are_due() {
    let event_loop = EventLoop::new().unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    for ms in [3, 1, 2] {
        let order = Rc::clone(&order);
        let timer = Timer::new(&event_loop);
        timer.start(Duration::from_millis(ms), move |_, _| order.borrow_mut().push(ms)).unwrap();
    }
    assert!(!event_loop.run(RunMode::Default));
    assert_eq!(*order.borrow(), [1, 2, 3]);
}
