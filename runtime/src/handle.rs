//! Handles: long-lived objects that call back, each until it is closed.
//!
//! A handle value is a reference: cloning it gives another one to the same handle. The loop holds on to a handle for
//! as long as it is active, so a program need not; one that is neither active nor referred to ends silently. Closing
//! one ends it in any case: its callback is dropped and its close callback runs in the loop's close phase.
//!
//! A callback gets its handle as an argument. One that owns a reference to its own handle instead keeps both alive until
//! the handle is closed.

pub(crate) mod async_handle;
pub(crate) mod binding;
pub(crate) mod buffer;
pub(crate) mod fs_event;
pub(crate) mod fs_poll;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod pipe_listener;
pub(crate) mod pipe_name;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod signal;
mod state;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod tcp_listener;
pub(crate) mod timer;
pub(crate) mod tty;
pub(crate) mod udp;
pub(crate) mod watcher;

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) use state::HandleState;

use crate::event_loop::EventLoop;

/// A callback that may be called again, and that may replace itself while it runs.
pub(crate) type Callback<H> = Rc<RefCell<dyn FnMut(&EventLoop, &H)>>;

/// What all handles can do.
macro_rules! handle_methods {
    ($handle:ident) => {
        $crate::handle::handle_methods! { $handle, which its loop knows by itself }

        impl $handle {
            /// Makes the handle known to its loop: the last step of making one.
            fn registered(self) -> Self {
                const ACCESS: &$crate::registry::Access = &$crate::registry::Access {
                    state: |handle| {
                        Some(&$crate::handle::content_of(handle, |$handle(content)| content)?.handle)
                    },
                    close: |handle| {
                        if let Ok(content) = handle.downcast() {
                            $handle(content).close();
                        }
                    },
                };
                let known = std::rc::Rc::downgrade(&self.0);
                self.0.handle.register(known, ACCESS);
                self
            }
        }
    };
    ($handle:ident, which its loop knows by itself) => {
        impl $handle {
            /// Whether the handle will call back: a timer was started, a stream reads, a listener listens. Active handles keep
            /// the loop alive, unless they are unreferenced.
            pub fn is_active(&self) -> bool {
                self.0.handle.is_active()
            }

            /// Whether the handle is closed or being closed.
            pub fn is_closing(&self) -> bool {
                self.0.handle.is_closing()
            }

            /// Whether the handle keeps the loop alive while it is active.
            pub fn has_ref(&self) -> bool {
                self.0.handle.has_ref()
            }

            /// Lets the handle keep the loop alive while it is active, as it does from its beginning.
            pub fn reference(&self) {
                self.0.handle.set_referenced(true);
            }

            /// Lets the loop end while the handle is active.
            pub fn unreference(&self) {
                self.0.handle.set_referenced(false);
            }

            /// Ends the handle. Does nothing if it is closed or being closed.
            pub fn close(&self) {
                self.close_then(None);
            }

            /// Ends the handle and calls back in the loop's close phase. The callback is dropped if the handle is closed or
            /// being closed.
            pub fn close_with(&self, callback: impl FnOnce(&$crate::EventLoop) + 'static) {
                self.close_then(Some(Box::new(callback)));
            }

            fn close_then(&self, callback: Option<$crate::closing::CloseCallback>) {
                if self.0.handle.begin_close(callback) {
                    self.0.stop_for_good();
                    $crate::closing::Closing::push(self.0.handle.core(), self.0.clone());
                }
            }
        }
    };
}
pub(crate) use handle_methods;

/// What a handle of a known type refers to. The function is never called: it tells the type.
pub(crate) fn content_of<H, T: 'static>(handle: &dyn Any, _: fn(H) -> Rc<T>) -> Option<&T> {
    handle.downcast_ref()
}

/// What all handles of sockets can do; they have a method `descriptor`.
macro_rules! socket_methods {
    ($handle:ident) => {
        impl $handle {
            /// The size of the kernel's buffer for what is sent. (It is twice what was asked for: the kernel's own needs count.)
            ///
            /// # Errors
            /// Where the handle is not open, or what the system says.
            pub fn send_buffer_bytes(&self) -> Result<usize, $crate::Error> {
                $crate::sys::socket::send_buffer_bytes(&*self.descriptor()?)
                    .map_err(|errno| $crate::Error::system("getsockopt", errno))
            }

            /// Asks for a size of the kernel's buffer for what is sent; it has limits of its own.
            ///
            /// # Errors
            /// Where the handle is not open, or what the system says.
            pub fn set_send_buffer_bytes(&self, bytes: usize) -> Result<(), $crate::Error> {
                $crate::sys::socket::set_send_buffer_bytes(&*self.descriptor()?, bytes)
                    .map_err(|errno| $crate::Error::system("setsockopt", errno))
            }

            /// The size of the kernel's buffer for what is received. (It is twice what was asked for.)
            ///
            /// # Errors
            /// Where the handle is not open, or what the system says.
            pub fn receive_buffer_bytes(&self) -> Result<usize, $crate::Error> {
                $crate::sys::socket::receive_buffer_bytes(&*self.descriptor()?)
                    .map_err(|errno| $crate::Error::system("getsockopt", errno))
            }

            /// Asks for a size of the kernel's buffer for what is received; it has limits of its own.
            ///
            /// # Errors
            /// Where the handle is not open, or what the system says.
            pub fn set_receive_buffer_bytes(&self, bytes: usize) -> Result<(), $crate::Error> {
                $crate::sys::socket::set_receive_buffer_bytes(&*self.descriptor()?, bytes)
                    .map_err(|errno| $crate::Error::system("setsockopt", errno))
            }
        }
    };
}
pub(crate) use socket_methods;
