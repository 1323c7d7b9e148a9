//! The public methods that all streams have.

/// What all streams can do; `$stream` is a tuple of its [`StreamState`](super::StreamState).
macro_rules! stream_methods {
    ($stream:ident) => {
        impl $stream {
            /// Reads from now on, whenever there is something, until the end, an error, or `read_stop`. A stream that reads
            /// already gets the new callback.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed) or [`Error::NotOpen`](crate::Error::NotOpen); where the system cannot
            /// watch the descriptor.
            pub fn read_start(
                &self,
                mut callback: impl FnMut(&$crate::EventLoop, &$stream, Result<$crate::Read<'_>, $crate::Error>)
                + 'static,
            ) -> Result<(), $crate::Error> {
                self.0.read_start(std::rc::Rc::new(std::cell::RefCell::new(
                    move |event_loop: &$crate::EventLoop,
                          stream: &std::rc::Rc<$crate::handle::stream::StreamState>,
                          read: Result<$crate::Read<'_>, $crate::Error>| {
                        callback(event_loop, &$stream(std::rc::Rc::clone(stream)), read);
                    },
                )))
            }

            /// Reads no more, until it is started again. What the peer sends meanwhile waits in the kernel, and then with the
            /// peer.
            pub fn read_stop(&self) {
                self.0.read_stop();
            }

            /// Writes bytes behind everything that was written before. What the descriptor takes at once is written at once.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed), [`Error::NotOpen`](crate::Error::NotOpen) or
            /// [`Error::ShutDown`](crate::Error::ShutDown); the callback is then dropped. Everything else that goes wrong is
            /// told to the callback, and ends the writes behind this one too.
            pub fn write(
                &self,
                data: impl Into<$crate::Buffer>,
                callback: impl FnOnce(&$crate::EventLoop, &$stream, Result<(), $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.write_vectored([data.into()], callback)
            }

            /// Writes several buffers as one request.
            ///
            /// # Errors
            /// As writing one.
            pub fn write_vectored(
                &self,
                data: impl IntoIterator<Item = $crate::Buffer>,
                callback: impl FnOnce(&$crate::EventLoop, &$stream, Result<(), $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.0.write(data.into_iter(), None, Self::on_request(callback))
            }

            /// Writes what the descriptor takes at once, and gives how many bytes that was: none while other writes are under
            /// way.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed), [`Error::NotOpen`](crate::Error::NotOpen),
            /// [`Error::ShutDown`](crate::Error::ShutDown), or what the system says.
            pub fn try_write(&self, bytes: &[u8]) -> Result<usize, $crate::Error> {
                self.0.try_write(&[std::io::IoSlice::new(bytes)])
            }

            /// As `try_write`, of several slices.
            ///
            /// # Errors
            /// Those of `try_write`.
            pub fn try_write_vectored(&self, slices: &[std::io::IoSlice<'_>]) -> Result<usize, $crate::Error> {
                self.0.try_write(slices)
            }

            /// Bytes that are to be written and that the descriptor has not taken yet. A program that writes faster than its
            /// peer reads should stop until this falls.
            pub fn write_queue_bytes(&self) -> u64 {
                self.0.write_queue_bytes()
            }

            /// Tells the peer, once everything is written, that nothing more comes. The stream may still read.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed), [`Error::NotOpen`](crate::Error::NotOpen) or
            /// [`Error::ShutDown`](crate::Error::ShutDown); the callback is then dropped.
            pub fn shutdown(
                &self,
                callback: impl FnOnce(&$crate::EventLoop, &$stream, Result<(), $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.0.shut_down(Self::on_request(callback))
            }

            /// Whether the stream is open and was opened for reading.
            pub fn is_readable(&self) -> bool {
                self.0.directions().0
            }

            /// Whether the stream is open, was opened for writing, and was not shut down.
            pub fn is_writable(&self) -> bool {
                self.0.directions().1 && !self.0.is_shut_down()
            }

            /// Whether reads and writes of the descriptor wait until they can be done, and the loop with them. Others that
            /// share the descriptor are affected too.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed), [`Error::NotOpen`](crate::Error::NotOpen), or what the system says.
            pub fn set_blocking(&self, on: bool) -> Result<(), $crate::Error> {
                $crate::sys::descriptor::set_blocking(&*self.0.descriptor()?, on)
                    .map_err(|errno| $crate::Error::system("fcntl", errno))
            }

            /// The stream's descriptor.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed) or [`Error::NotOpen`](crate::Error::NotOpen).
            pub fn descriptor(&self) -> Result<std::rc::Rc<std::os::fd::OwnedFd>, $crate::Error> {
                self.0.descriptor()
            }

            /// A callback for the requests of streams of any type, from one for this type.
            fn on_request(
                callback: impl FnOnce(&$crate::EventLoop, &$stream, Result<(), $crate::Error>) + 'static,
            ) -> $crate::handle::stream::write_queue::RequestCallback {
                Box::new(|event_loop, stream, result| {
                    callback(event_loop, &$stream(std::rc::Rc::clone(stream)), result);
                })
            }
        }
    };
}
pub(crate) use stream_methods;
