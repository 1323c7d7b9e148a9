/* The rows of this comparison on libuv. The programs beside it do the same, row for row and callback for callback.
 *
 * Usage: libuv ROW COUNT. Prints CPU ns, wall ns, operations, peak resident KiB.
 */

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define CHECK(call) do { int _r = (call); if (_r < 0) fail(#call, _r); } while (0)

static void fail(const char* what, int error) {
  fprintf(stderr, "%s: %s\n", what, uv_strerror(error));
  exit(1);
}

static uv_loop_t* loop;
static uint64_t count;
static uint64_t done;

static void ignore(uv_handle_t* handle) { (void) handle; }

/* ---- timers: as libuv's million_timers ---- */

static void timer_fired(uv_timer_t* timer) { (void) timer; done++; }

static void row_timers(void) {
  uv_timer_t* timers = malloc(count * sizeof *timers);
  uint64_t timeout_ms = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (i % 1000 == 0) timeout_ms++;
    CHECK(uv_timer_init(loop, timers + i));
    CHECK(uv_timer_start(timers + i, timer_fired, timeout_ms, 0));
  }
  uv_run(loop, UV_RUN_DEFAULT);
  for (uint64_t i = 0; i < count; i++) uv_close((uv_handle_t*) (timers + i), ignore);
  uv_run(loop, UV_RUN_DEFAULT);
  free(timers);
}

/* ---- timer_restarts: 10,000 timeouts of a minute, each put off again and again, as connections do ---- */

#define TIMEOUTS 10000

static void row_timer_restarts(void) {
  uv_timer_t* timers = calloc(TIMEOUTS, sizeof *timers);
  for (int i = 0; i < TIMEOUTS; i++) CHECK(uv_timer_init(loop, timers + i));
  for (uint64_t i = 0; i < count; i++) CHECK(uv_timer_start(timers + i % TIMEOUTS, timer_fired, 60000, 0));
  for (int i = 0; i < TIMEOUTS; i++) uv_close((uv_handle_t*) (timers + i), ignore);
  uv_run(loop, UV_RUN_DEFAULT);
  done = count;
  free(timers);
}

/* ---- loop_count: iterations with nothing but an idle handle ---- */

static void idle_called(uv_idle_t* idle) {
  if (++done == count) uv_close((uv_handle_t*) idle, NULL);
}

static void row_loop_count(void) {
  uv_idle_t idle;
  uv_idle_init(loop, &idle);
  uv_idle_start(&idle, idle_called);
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- async_round_trip: as async1; two loops on two threads ---- */

static uv_async_t there, back;

static void on_there(uv_async_t* handle) {
  uv_async_send(&back);
  if (++*(uint64_t*) handle->data == count) uv_close((uv_handle_t*) handle, NULL);
}

static void on_back(uv_async_t* handle) {
  if (++done == count) uv_close((uv_handle_t*) handle, NULL);
  else uv_async_send(&there);
}

static void other_loop(void* other) { uv_run(other, UV_RUN_DEFAULT); }

static void row_async_round_trip(void) {
  uv_loop_t other;
  uv_thread_t thread;
  uint64_t seen = 0;
  uv_loop_init(&other);
  uv_async_init(&other, &there, on_there);
  there.data = &seen;
  uv_async_init(loop, &back, on_back);
  uv_thread_create(&thread, other_loop, &other);
  uv_async_send(&there);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_thread_join(&thread);
  uv_loop_close(&other);
}

/* ---- async_pummel: one thread sends without pause, until so many callbacks ---- */

static uv_async_t pummeled;
static int pummeling = 1;

static void on_pummel(uv_async_t* handle) {
  if (++done == count) {
    __atomic_store_n(&pummeling, 0, __ATOMIC_RELAXED);
    uv_close((uv_handle_t*) handle, NULL);
  }
}

static void pummel(void* arg) {
  (void) arg;
  while (__atomic_load_n(&pummeling, __ATOMIC_RELAXED)) uv_async_send(&pummeled);
}

static void row_async_pummel(void) {
  uv_thread_t thread;
  uv_async_init(loop, &pummeled, on_pummel);
  uv_thread_create(&thread, pummel, NULL);
  /* The handle's memory is good until the thread has ended. */
  uv_run(loop, UV_RUN_DEFAULT);
  uv_thread_join(&thread);
}

/* ---- many_asyncs: 65,536 handles; a thread sends to one after the other, at random, and lets the loop answer each ---- */

#define ASYNCS 65536

static uv_async_t* asyncs;
static uint64_t answered;

static void on_one_of_many(uv_async_t* handle) {
  (void) handle;
  if (++done == count) for (int i = 0; i < ASYNCS; i++) uv_close((uv_handle_t*) (asyncs + i), ignore);
  __atomic_store_n(&answered, done, __ATOMIC_RELEASE);
}

static void send_to_many(void* arg) {
  (void) arg;
  uint32_t random = 42;
  for (uint64_t i = 0; i < count; i++) {
    random = random * 1664525 + 1013904223;
    uv_async_send(asyncs + (random >> 16) % ASYNCS);
    while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) <= i) sched_yield();
  }
}

static void row_many_asyncs(void) {
  uv_thread_t thread;
  asyncs = malloc(ASYNCS * sizeof *asyncs);
  for (int i = 0; i < ASYNCS; i++) CHECK(uv_async_init(loop, asyncs + i, on_one_of_many));
  uv_thread_create(&thread, send_to_many, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  uv_thread_join(&thread);
}

/* ---- queue_work: one task after the other ---- */

static void work(uv_work_t* request) {
  uint32_t* state = request->data;
  *state = *state * 1664525 + 1013904223;
}

static void after_work(uv_work_t* request, int status) {
  CHECK(status);
  if (++done < count) CHECK(uv_queue_work(loop, request, work, after_work));
}

static void row_queue_work(void) {
  uv_work_t request;
  uint32_t state = 42;
  request.data = &state;
  CHECK(uv_queue_work(loop, &request, work, after_work));
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- fs_stat_N: so many in flight ---- */

static uint64_t started;

static void on_stat(uv_fs_t* request) {
  CHECK((int) request->result);
  uv_fs_req_cleanup(request);
  done++;
  if (started < count) {
    started++;
    CHECK(uv_fs_stat(loop, request, ".", on_stat));
  }
}

static void row_fs_stat(int in_flight) {
  uv_fs_t* requests = calloc(in_flight, sizeof *requests);
  for (int i = 0; i < in_flight; i++) {
    started++;
    CHECK(uv_fs_stat(loop, requests + i, ".", on_stat));
  }
  uv_run(loop, UV_RUN_DEFAULT);
  free(requests);
}

/* ---- getaddrinfo: ten in flight ---- */

static void on_addresses(uv_getaddrinfo_t* request, int status, struct addrinfo* addresses) {
  CHECK(status);
  uv_freeaddrinfo(addresses);
  done++;
  if (started < count) {
    started++;
    CHECK(uv_getaddrinfo(loop, request, on_addresses, "localhost", NULL, NULL));
  }
}

static void row_getaddrinfo(void) {
  static uv_getaddrinfo_t requests[10];
  for (int i = 0; i < 10; i++) {
    started++;
    CHECK(uv_getaddrinfo(loop, requests + i, on_addresses, "localhost", NULL, NULL));
  }
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- streams: both ends in one loop ---- */

typedef union { uv_stream_t stream; uv_tcp_t tcp; uv_pipe_t pipe; } peer_t;
typedef struct { uv_write_t request; uv_buf_t buffer; } write_t;

static peer_t listener, client, accepted;
static struct sockaddr_in address;
static char pipe_name[64];
static int is_pipe;

static void init_peer(peer_t* peer) {
  if (is_pipe) CHECK(uv_pipe_init(loop, &peer->pipe, 0));
  else CHECK(uv_tcp_init(loop, &peer->tcp));
}

static void listen_with(uv_connection_cb callback) {
  int length = sizeof address;
  init_peer(&listener);
  if (is_pipe) {
    snprintf(pipe_name, sizeof pipe_name, "/tmp/loopscope-bench-%d", (int) getpid());
    unlink(pipe_name);
    CHECK(uv_pipe_bind(&listener.pipe, pipe_name));
  } else {
    CHECK(uv_ip4_addr("127.0.0.1", 0, &address));
    CHECK(uv_tcp_bind(&listener.tcp, (struct sockaddr*) &address, 0));
    CHECK(uv_tcp_getsockname(&listener.tcp, (struct sockaddr*) &address, &length));
  }
  CHECK(uv_listen(&listener.stream, 128, callback));
}

static void connect_with(uv_connect_t* request, peer_t* peer, uv_connect_cb callback) {
  init_peer(peer);
  if (is_pipe) uv_pipe_connect(request, &peer->pipe, pipe_name, callback);
  else CHECK(uv_tcp_connect(request, &peer->tcp, (struct sockaddr*) &address, callback));
}

static void allocate(uv_handle_t* handle, size_t suggested, uv_buf_t* buffer) {
  static char bytes[65536];
  (void) handle;
  (void) suggested;
  *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void written(uv_write_t* request, int status) {
  if (status != UV_ECANCELED) CHECK(status);
  free(((write_t*) request)->buffer.base);
  free(request);
}

static void write_copy(uv_stream_t* stream, const char* bytes, size_t length, uv_write_cb callback) {
  write_t* request = malloc(sizeof *request);
  request->buffer = uv_buf_init(malloc(length), length);
  memcpy(request->buffer.base, bytes, length);
  CHECK(uv_write(&request->request, stream, &request->buffer, 1, callback));
}

static void echo(uv_stream_t* stream, ssize_t length, const uv_buf_t* buffer) {
  if (length > 0) write_copy(stream, buffer->base, length, written);
  else if (length < 0) uv_close((uv_handle_t*) stream, NULL);
}

static void accept_one(uv_stream_t* server, uv_read_cb read) {
  init_peer(&accepted);
  CHECK(uv_accept(server, &accepted.stream));
  if (!is_pipe) uv_tcp_nodelay(&accepted.tcp, 1);
  CHECK(uv_read_start(&accepted.stream, allocate, read));
  uv_close((uv_handle_t*) server, NULL);
}

static void serve_echo(uv_stream_t* server, int status) { CHECK(status); accept_one(server, echo); }

static void on_pong(uv_stream_t* stream, ssize_t length, const uv_buf_t* buffer) {
  (void) buffer;
  if (length < 0) fail("read", (int) length);
  if (length == 0) return;
  if (++done == count) uv_close((uv_handle_t*) stream, NULL);
  else write_copy(stream, "PING\n", 5, written);
}

static void ping(uv_connect_t* request, int status) {
  CHECK(status);
  if (!is_pipe) uv_tcp_nodelay((uv_tcp_t*) request->handle, 1);
  CHECK(uv_read_start(request->handle, allocate, on_pong));
  write_copy(request->handle, "PING\n", 5, written);
}

static void row_ping_pong(void) {
  uv_connect_t request;
  listen_with(serve_echo);
  connect_with(&request, &client, ping);
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- pump: 8 KiB writes, one after the other; counted are writes ---- */

#define PUMP_BYTES 8192
static char pump_bytes[PUMP_BYTES];
static uv_write_t pump_write;

static void swallow(uv_stream_t* stream, ssize_t length, const uv_buf_t* buffer) {
  (void) buffer;
  if (length < 0) uv_close((uv_handle_t*) stream, NULL);
}

static void serve_swallowing(uv_stream_t* server, int status) { CHECK(status); accept_one(server, swallow); }

static void pumped(uv_write_t* request, int status) {
  uv_buf_t buffer = uv_buf_init(pump_bytes, PUMP_BYTES);
  CHECK(status);
  if (++done == count) uv_close((uv_handle_t*) request->handle, NULL);
  else CHECK(uv_write(request, request->handle, &buffer, 1, pumped));
}

static void start_pumping(uv_connect_t* request, int status) {
  uv_buf_t buffer = uv_buf_init(pump_bytes, PUMP_BYTES);
  CHECK(status);
  CHECK(uv_write(&pump_write, request->handle, &buffer, 1, pumped));
}

static void row_pump(void) {
  uv_connect_t request;
  listen_with(serve_swallowing);
  connect_with(&request, &client, start_pumping);
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- connections: connect, send, be answered, close; one after the other ---- */

static uv_connect_t connect_request;

static void connect_next(void);

static void free_handle(uv_handle_t* handle) { free(handle); }

static void answer_and_close(uv_stream_t* stream, ssize_t length, const uv_buf_t* buffer) {
  if (length > 0) write_copy(stream, buffer->base, length, written);
  else if (length < 0) uv_close((uv_handle_t*) stream, free_handle);
}

static void serve_connection(uv_stream_t* server, int status) {
  peer_t* peer = malloc(sizeof *peer);
  CHECK(status);
  init_peer(peer);
  CHECK(uv_accept(server, &peer->stream));
  CHECK(uv_read_start(&peer->stream, allocate, answer_and_close));
}

static void client_closed(uv_handle_t* handle) {
  free(handle);
  if (++done == count) uv_close((uv_handle_t*) &listener, NULL);
  else connect_next();
}

static void on_answer(uv_stream_t* stream, ssize_t length, const uv_buf_t* buffer) {
  (void) buffer;
  if (length != 0) uv_close((uv_handle_t*) stream, client_closed);
}

static void on_connected(uv_connect_t* request, int status) {
  CHECK(status);
  CHECK(uv_read_start(request->handle, allocate, on_answer));
  write_copy(request->handle, "QS", 2, written);
}

static void connect_next(void) {
  connect_with(&connect_request, malloc(sizeof(peer_t)), on_connected);
}

static void row_connections(void) {
  listen_with(serve_connection);
  connect_next();
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- udp_ping: a socket that sends to itself; udp_pummel: 45 bytes, a send queued by the callback of the last ---- */

static uv_udp_t receiver, sender;
static uv_udp_send_t send_request;

static void bind_udp(uv_udp_t* socket) {
  int length = sizeof address;
  CHECK(uv_udp_init(loop, socket));
  CHECK(uv_ip4_addr("127.0.0.1", 0, &address));
  CHECK(uv_udp_bind(socket, (struct sockaddr*) &address, 0));
  CHECK(uv_udp_getsockname(socket, (struct sockaddr*) &address, &length));
}

static void udp_ping(void) {
  uv_buf_t buffer = uv_buf_init("PING\n", 5);
  CHECK(uv_udp_try_send(&receiver, &buffer, 1, (struct sockaddr*) &address));
}

static void on_datagram(uv_udp_t* socket, ssize_t length, const uv_buf_t* buffer, const struct sockaddr* from,
                        unsigned flags) {
  (void) buffer;
  (void) flags;
  if (length < 0) fail("receive", (int) length);
  if (from == NULL) return;
  if (++done == count) uv_close((uv_handle_t*) socket, NULL);
  else udp_ping();
}

static void row_udp_ping(void) {
  bind_udp(&receiver);
  CHECK(uv_udp_recv_start(&receiver, allocate, on_datagram));
  udp_ping();
  uv_run(loop, UV_RUN_DEFAULT);
}

static void on_pummel_datagram(uv_udp_t* socket, ssize_t length, const uv_buf_t* buffer,
                               const struct sockaddr* from, unsigned flags) {
  (void) socket;
  (void) buffer;
  (void) from;
  (void) flags;
  if (length < 0) fail("receive", (int) length);
}

static void sent(uv_udp_send_t* request, int status);

static void send_datagram(void) {
  static char message[] = "RANG TANG DING DONG I AM THE JAPANESE SANDMAN";
  uv_buf_t buffer = uv_buf_init(message, 45);
  CHECK(uv_udp_send(&send_request, &sender, &buffer, 1, (struct sockaddr*) &address, sent));
}

static void sent(uv_udp_send_t* request, int status) {
  (void) request;
  CHECK(status);
  if (++done == count) {
    uv_close((uv_handle_t*) &sender, NULL);
    uv_close((uv_handle_t*) &receiver, NULL);
  } else {
    send_datagram();
  }
}

static void row_udp_pummel(void) {
  CHECK(uv_udp_init(loop, &sender));
  bind_udp(&receiver);
  CHECK(uv_udp_recv_start(&receiver, allocate, on_pummel_datagram));
  send_datagram();
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- spawn: a process that ends at once, one after the other ---- */

static uv_process_t process;

static void spawn_next(void);

static void process_closed(uv_handle_t* handle) {
  (void) handle;
  if (++done < count) spawn_next();
}

static void on_exit_of_process(uv_process_t* handle, int64_t status, int signal) {
  (void) signal;
  CHECK(status == 0 ? 0 : UV_EINVAL);
  uv_close((uv_handle_t*) handle, process_closed);
}

static void spawn_next(void) {
  static char* arguments[] = {"/bin/true", NULL};
  uv_process_options_t options;
  memset(&options, 0, sizeof options);
  options.file = arguments[0];
  options.args = arguments;
  options.exit_cb = on_exit_of_process;
  CHECK(uv_spawn(loop, &process, &options));
}

static void row_spawn(void) {
  spawn_next();
  uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- idle_wake_ups: a timer that ends; what waiting costs, in CPU time a millisecond ---- */

static void row_resting(void) {
  uv_timer_t timer;
  uv_timer_init(loop, &timer);
  uv_timer_start(&timer, timer_fired, count, 0);
  uv_run(loop, UV_RUN_DEFAULT);
  done = count;
}

/* ---- */

static uint64_t cpu_ns(void) {
  struct timespec own;
  struct rusage children;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return (own.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec) * UINT64_C(1000000000) + own.tv_nsec +
         (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * UINT64_C(1000);
}

static uint64_t wall_ns(void) { return uv_hrtime(); }

static void run_row(const char* row) {
#define ROW(name, call) if (strcmp(row, name) == 0) { call; return; }
  ROW("timers", row_timers());
  ROW("timer_restarts", row_timer_restarts());
  ROW("loop_count", row_loop_count());
  ROW("async_round_trip", row_async_round_trip());
  ROW("async_pummel", row_async_pummel());
  ROW("many_asyncs", row_many_asyncs());
  ROW("queue_work", row_queue_work());
  if (strncmp(row, "fs_stat_", 8) == 0) { row_fs_stat(atoi(row + 8)); return; }
  ROW("getaddrinfo", row_getaddrinfo());
  is_pipe = strncmp(row, "pipe_", 5) == 0;
  ROW("tcp_ping_pong", row_ping_pong());
  ROW("pipe_ping_pong", row_ping_pong());
  ROW("tcp_pump", row_pump());
  ROW("pipe_pump", row_pump());
  ROW("tcp_connections", row_connections());
  ROW("pipe_connections", row_connections());
  ROW("udp_ping", row_udp_ping());
  ROW("udp_pummel", row_udp_pummel());
  ROW("spawn", row_spawn());
  ROW("resting", row_resting());
  fprintf(stderr, "no such row: %s\n", row);
  exit(2);
}

int main(int argc, char** argv) {
  struct rusage usage;
  uint64_t cpu, wall;
  if (argc == 2 && strcmp(argv[1], "version") == 0) {
    puts(uv_version_string());
    return 0;
  }
  if (argc != 3) return 2;
  loop = uv_default_loop();
  count = strtoull(argv[2], NULL, 10);
  cpu = cpu_ns();
  wall = wall_ns();
  run_row(argv[1]);
  cpu = cpu_ns() - cpu;
  wall = wall_ns() - wall;
  if (done < count) return 3;
  getrusage(RUSAGE_SELF, &usage);
  printf("%llu %llu %llu %ld\n", (unsigned long long) cpu, (unsigned long long) wall, (unsigned long long) count,
         usage.ru_maxrss);
  return 0;
}
