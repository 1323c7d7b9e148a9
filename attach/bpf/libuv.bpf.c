// SPDX-License-Identifier: MIT OR GPL-2.0
// What probes on libuv do in the kernel: they keep sums and distributions; only slow iterations leave it as events.
//
// One object serves all targets. A probe's cookie tells which target it belongs to and, where a task is read from a
// register, which one. No structure of the kernel is read, so no type information of a kernel is needed.
//
// Made into libuv.bpf.x86_64.o and libuv.bpf.aarch64.o by `cargo xtask bpf`. attach/src/libuv/probes/abi.rs mirrors
// the structures here.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

enum { HASH = 1, ARRAY = 2, RING = 27, NO_PREALLOC = 1, ANY = 0, NO_EXIST = 1, NO_WAKEUP = 1 };

static void *(*const map_lookup)(const void *map, const void *key) = (void *)1;
static long (*const map_update)(const void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const now_ns)(void) = (void *)5;
static u32 (*const processor)(void) = (void *)8;
static u64 (*const pid_tgid)(void) = (void *)14;
static long (*const read_user)(void *into, u32 size, const void *from) = (void *)112;
static long (*const ring_output)(const void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*const cookie_of)(void *ctx) = (void *)174;

// Registers as the kernel hands them over, as an array of words.
#if defined(TARGET_X86_64)
enum { ARG1 = 14, ARG2 = 13, ARG3 = 12, ARG4 = 11, RESULT = 10, STACK = 19 };
#elif defined(TARGET_AARCH64)
enum { ARG1 = 0, ARG2 = 1, ARG3 = 2, ARG4 = 3, RESULT = 0, STACK = 31 };
#endif
struct registers {
	u64 word[34];
};

enum { SLOTS = 400, KEYS = 816, TARGETS = 1024, TIERS = 4 };

// What many threads count at the same time is kept this many times over, so that processors seldom share a line of cache.
enum { LANES = 4 };

enum { TIER_LOOP = 1, TIER_PHASES = 2, TIER_POOL = 3 };

// Phases by their positions in the catalogue's label.
enum { TIMERS, PENDING, IDLE, PREPARE, POLL_WAIT, POLL_CALLBACKS, CHECK, CLOSE, PHASES };
// Between none and the first probe on a phase.
enum { UNKNOWN = 255 };

// Where on its stack a thread's loop runs, before it came by a probe: above everything.
#define ANYWHERE (~0ull)

// Closing nothing takes less, with the probe that ends it.
enum { CLOSE_EMPTY_NS = 5000 };

// Every so many iterations it is looked whether a loop still has the same internal fields.
enum { LOOKED_AT_EVERY = 16 };

// Distributions.
enum { LAG, LATENESS, PHASE_0, GC_0 = PHASE_0 + PHASES, WAIT = GC_0 + 3, RUN, COMPLETION, CANCELLED };

// Classes of tasks that are no addresses.
enum { CLASS_FS = 1, CLASS_DNS, CLASS_RANDOM, CLASS_WORK };

enum { LOSS_THREADS, LOSS_TASKS, LOSS_HISTOGRAMS, LOSS_EVENTS, LOSSES };

struct target {
	u64 slow_ns;
	u64 work_fs, work_getaddrinfo, work_getnameinfo, work_random, work_queued;
	// Where the virtual tables of classes of tasks lie; both zero where none are known.
	u64 classes_start, classes_end;
	u32 internal_fields, idle_time, events, prepare, check, idle, timer_heap, due, request_task, task_node;
	// How often the probes of tasks have been placed.
	u32 placement, unused;
};

struct thread {
	u64 loop, stack, internal;
	u64 entered, idle_before, events_before, waited;
	u64 active_ns, idle_ns, iterations, slow;
	u64 mark;
	u64 phase_ns[PHASES];
	u64 gc_began;
	u64 gc_stack, cancelling;
	u32 slot, tid, phase, ran, keeps_idle, gc_kind, gc_depth, nested, idle_ran, prepare_ran;
};

// libuv's counts in the internal fields of a loop, from 1.45 on. Copying from a process costs some 65 ns whatever the length,
// so what lies close by comes together.
struct counts {
	u64 events, between[15], idle_ns;
};

// The heads of three lists of a loop.
struct heads {
	u64 prepare[2], check[2], idle[2];
};

// A loop's heap of timers and its time.
struct timers {
	u64 first, count_and_counter[2], now_ms;
};

struct histogram {
	u64 sum_ns, zeros, slots[SLOTS];
};

struct histogram_key {
	u32 slot, thread, which, unused;
	u64 class;
};

// What becomes of a task. One whose place is taken and not filled yet is claimed. None is zero, as the mark of a free place is.
enum { CLAIMED = 1, SUBMITTED, RUNNING, ENDED };

// Tasks of one batch of completions that are looked at; of more, the rest have no completion delay.
enum { BATCH_MAX = 64 };

// Types of libuv's requests whose tasks can be cancelled, and where in the request the task lies: part of libuv's binary interface.
enum { REQUEST_FS = 6, REQUEST_WORK, REQUEST_GETADDRINFO, REQUEST_GETNAMEINFO, REQUEST_RANDOM };
enum { REQUEST_TYPE = 8, FS_TASK = 336, WORK_TASK = 88, DNS_TASK = 72, RANDOM_TASK = 104 };

// A task from its submission until its loop takes notice of its end.
struct task {
	u64 address, time, class;
	// The target's slot, how often its probes had been placed, and what became of the task; zero where the place is free.
	u64 mark;
};

// Tasks lie where their addresses tell, in one of a few places: found without a search, and nothing is allocated for one.
enum { SETS_BITS = 12, WAYS = 4 };
struct set {
	struct task ways[WAYS];
};

struct slow_iteration {
	u64 loop, began_ns, ended_ns;
	u64 phase_ns[PHASES];
	u32 slot, thread;
};

// By the first bits of a duration: the bound of its slot, and the slot.
struct tables {
	struct {
		u64 bound, slot;
	} first[KEYS];
};

// A map, as the loader in attach/src/libuv/probes/object.rs reads it.
struct map {
	u32 kind, key_bytes, value_bytes, entries_max, flags;
};
#define MAP(name, kind, key, value, entries, flags)                                                                    \
	const struct map name SEC("maps") = { kind, sizeof(key), sizeof(value), entries, flags }

MAP(targets, ARRAY, u32, struct target, TARGETS, 0);
MAP(threads, HASH, u64, struct thread, 16384, NO_PREALLOC);
MAP(histograms, HASH, struct histogram_key, struct histogram, 16384, NO_PREALLOC);
MAP(tasks, ARRAY, u32, struct set, 1 << SETS_BITS, 0);
MAP(hits, ARRAY, u32, u64, LANES * TARGETS * TIERS, 0);
MAP(losses, ARRAY, u32, u64, LOSSES, 0);
MAP(tables, ARRAY, u32, struct tables, 1, 0);
// A distribution of zeros: too big for the stack.
MAP(empty, ARRAY, u32, struct histogram, 1, 0);
const struct map slow_iterations SEC("maps") = { RING, 0, 0, 256 * 1024, 0 };

// ---- small parts

INLINE void lose(u32 cause)
{
	u64 *count = map_lookup(&losses, &cause);
	if (count)
		__sync_fetch_and_add(count, 1);
}

INLINE u32 lane(void)
{
	return processor() % LANES;
}

INLINE struct target *target_of(u32 slot, u32 tier)
{
	u32 hit = (lane() * TARGETS + slot) * TIERS + tier;
	u64 *count = map_lookup(&hits, &hit);
	if (count)
		__sync_fetch_and_add(count, 1);
	return map_lookup(&targets, &slot);
}

INLINE u64 word_at(u64 address)
{
	u64 word = 0;
	read_user(&word, sizeof word, (void *)address);
	return word;
}

// Whether a list of libuv's has a member, by the first word of its head: an empty head points to itself.
INLINE u32 has_members(u64 head, u64 first)
{
	return first != 0 && first != head;
}

INLINE struct counts counts_at(struct target *target, u64 internal)
{
	struct counts counts = {};
	if (target->events)
		read_user(&counts, sizeof counts, (void *)(internal + target->events));
	else
		counts.idle_ns = word_at(internal + target->idle_time);
	return counts;
}

// Without branches: the verifier follows each, and here they would multiply. Whether `x`, of `bits` bits, is not zero.
#define IS_SET(x, bits) (((x) + ((1ull << (bits)) - 1)) >> (bits))

INLINE u32 highest_bit(u64 value)
{
	u64 half = IS_SET(value >> 32, 32) << 5;
	value >>= half;
	u64 quarter = IS_SET(value >> 16, 16) << 4;
	value >>= quarter;
	u64 eighth = IS_SET(value >> 8, 8) << 3;
	value >>= eighth;
	u64 nibble = IS_SET(value >> 4, 4) << 2;
	value >>= nibble;
	u64 pair = IS_SET(value >> 2, 2) << 1;
	value >>= pair;
	return half + quarter + eighth + nibble + pair + (value >> 1);
}

// model::histogram::slot_of, for a duration that is neither zero nor longer than centuries.
INLINE u32 slot_of(const struct tables *table, u64 ns)
{
	u32 octave = highest_bit(ns);
	// Of 64 bits, and so compared: verifiers before Linux 6.6 take no bounds of the whole register from those of its half.
	u64 key = octave * 16 + ((ns << (63 - octave)) >> 59 & 15);
	if (key >= KEYS)
		return SLOTS - 1;
	return table->first[key].slot + (u32)((table->first[key].bound - ns) >> 63);
}

INLINE struct histogram *histogram_of(u32 slot, u32 thread, u32 which, u64 class)
{
	struct histogram_key key = { .slot = slot, .thread = thread, .which = which, .class = class };
	u32 zero = 0;
	struct histogram *histogram = map_lookup(&histograms, &key);
	if (histogram)
		return histogram;
	struct histogram *zeros = map_lookup(&empty, &zero);
	if (!zeros)
		return 0;
	map_update(&histograms, &key, zeros, NO_EXIST);
	histogram = map_lookup(&histograms, &key);
	if (!histogram)
		lose(LOSS_HISTOGRAMS);
	return histogram;
}

// Adds a duration to a distribution. `shared` where threads may do so at the same time.
INLINE void add(struct histogram *histogram, u64 ns, int shared)
{
	if (!histogram)
		return;
	u64 *cell = &histogram->zeros;
	if (ns) {
		u32 zero = 0;
		struct tables *table = map_lookup(&tables, &zero);
		if (!table)
			return;
		u32 at = slot_of(table, ns);
		if (at >= SLOTS)
			return;
		cell = &histogram->slots[at];
	}
	if (shared) {
		__sync_fetch_and_add(&histogram->sum_ns, ns);
		__sync_fetch_and_add(cell, 1);
	} else {
		histogram->sum_ns += ns;
		*cell += 1;
	}
}

INLINE struct thread *thread_of(u32 slot, int create)
{
	u32 tid = (u32)pid_tgid();
	u64 key = (u64)slot << 32 | tid;
	struct thread *thread = map_lookup(&threads, &key);
	if (!thread && create) {
		struct thread fresh = { .slot = slot, .tid = tid, .phase = UNKNOWN };
		map_update(&threads, &key, &fresh, NO_EXIST);
		thread = map_lookup(&threads, &key);
		if (!thread)
			lose(LOSS_THREADS);
	}
	return thread;
}

// Adds a duration to a distribution of a thread's own.
INLINE void record_of(const struct thread *thread, u32 which, u64 ns)
{
	add(histogram_of(thread->slot, thread->tid, which, 0), ns, 0);
}

// Whether a probe on a function that `uv_run` calls speaks of the loop that is measured on this thread. A loop that runs
// within a callback of another (as spawnSync has) lies deeper on the stack, and its time is that of the callback.
INLINE int is_own(struct target *target, struct thread *thread, u64 loop, u64 stack)
{
	if (thread->loop == loop) {
		thread->stack = stack;
		return 1;
	}
	// A loop that was told of before it came by has no place on the stack yet, and others are within it while it is there.
	u32 is_told = thread->stack == ANYWHERE;
	if (thread->loop && stack < thread->stack
		&& (!is_told || word_at(thread->loop + target->internal_fields) == thread->internal)) {
		thread->nested += 1;
		return 0;
	}
	thread->loop = loop;
	thread->stack = stack;
	thread->internal = word_at(loop + target->internal_fields);
	thread->entered = thread->waited = thread->mark = 0;
	thread->active_ns = thread->idle_ns = thread->iterations = thread->slow = 0;
	thread->phase = UNKNOWN;
	thread->ran = 0;
	// UV_METRICS_IDLE_TIME in the internal fields' flags.
	thread->keeps_idle = (u32)word_at(thread->internal) & 1;
	return 1;
}

// ---- the loop

INLINE void end_phase(struct thread *thread, u64 now)
{
	u32 phase = thread->phase;
	if (phase >= PHASES || !thread->mark)
		return;
	u64 ns = now - thread->mark;
	thread->phase_ns[phase] += ns;
	// Where closing begins, uv_run has taken the list away already: only the time tells whether it was empty.
	if (thread->ran || (phase == CLOSE && ns > CLOSE_EMPTY_NS))
		record_of(thread, PHASE_0 + phase, ns);
}

INLINE void begin_phase(struct thread *thread, u32 phase, u32 ran, u64 now)
{
	thread->phase = phase;
	thread->ran = ran;
	thread->mark = now;
}

// uv__io_poll(loop, timeout): the end of all that ran since the poll before.
SEC("uprobe/io_poll") int io_poll(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_LOOP);
	struct thread *thread = thread_of(slot, 1);
	if (!target || !thread || !is_own(target, thread, ctx->word[ARG1], ctx->word[STACK]))
		return 0;
	// A loop may have been closed and another made at the same place.
	if (thread->iterations % LOOKED_AT_EVERY == 0)
		thread->internal = word_at(thread->loop + target->internal_fields);
	u64 now = now_ns(), wait = 0;
	struct counts counts = counts_at(target, thread->internal);
	end_phase(thread, now);
	if (thread->entered) {
		wait = thread->keeps_idle ? counts.idle_ns - thread->idle_before : thread->waited;
		u64 total = now - thread->entered;
		u64 away = total > wait ? total - wait : 0;
		thread->active_ns += away;
		thread->idle_ns += total - away;
		thread->iterations += 1;
		record_of(thread, LAG, away);
		if (away > target->slow_ns) {
			thread->slow += 1;
			struct slow_iteration event = { .loop = thread->loop, .began_ns = now - away, .ended_ns = now,
				.slot = slot, .thread = thread->tid };
			for (int phase = 0; phase < PHASES; phase++)
				event.phase_ns[phase] = thread->phase_ns[phase];
			if (ring_output(&slow_iterations, &event, sizeof event, NO_WAKEUP))
				lose(LOSS_EVENTS);
		}
	}
	for (int phase = 0; phase < PHASES; phase++)
		thread->phase_ns[phase] = 0;
	thread->entered = now;
	thread->idle_before = counts.idle_ns;
	thread->events_before = counts.events;
	thread->waited = 0;
	// The check that follows tells waiting from callbacks.
	begin_phase(thread, UNKNOWN, 0, now);
	return 0;
}

// Behind epoll_wait, of loops that do not keep their idle time.
SEC("uprobe/poll_return") int poll_return(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_LOOP);
	struct thread *thread = thread_of(slot, 0);
	// The first return after the entry ends the wait; polls that follow in the same phase only take more events.
	if (target && thread && thread->entered && !thread->keeps_idle && !thread->waited)
		thread->waited = now_ns() - thread->entered;
	return 0;
}

// ---- its phases

// The thread whose loop comes to a phase, by the loop that is the first argument; none where that is not the loop that is measured.
INLINE struct thread *thread_in_phase(struct registers *ctx, u32 slot, struct target *target)
{
	struct thread *thread = thread_of(slot, 0);
	if (!target || !thread || !is_own(target, thread, ctx->word[ARG1], ctx->word[STACK]))
		return 0;
	return thread;
}

SEC("uprobe/run_timers") int run_timers(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_PHASES);
	struct thread *thread = thread_in_phase(ctx, slot, target);
	if (!thread)
		return 0;
	u64 now = now_ns();
	struct timers timers = {};
	read_user(&timers, sizeof timers, (void *)(thread->loop + target->timer_heap));
	u32 is_due = 0;
	if (timers.first) {
		u64 due = word_at(timers.first + target->due);
		is_due = due <= timers.now_ms;
		if (is_due && due * 1000000 < now)
			record_of(thread, LATENESS, now - due * 1000000);
	}
	end_phase(thread, now);
	begin_phase(thread, TIMERS, is_due, now);
	return 0;
}

// What idle and prepare will run.
INLINE void look_at_lists(struct target *target, struct thread *thread)
{
	u64 prepare = thread->loop + target->prepare, idle = thread->loop + target->idle;
	struct heads heads = {};
	read_user(&heads, sizeof heads, (void *)prepare);
	thread->idle_ran = has_members(idle, heads.idle[0]);
	thread->prepare_ran = has_members(prepare, heads.prepare[0]);
}

SEC("uprobe/run_idle") int run_idle(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_PHASES);
	struct thread *thread = thread_in_phase(ctx, slot, target);
	if (!thread)
		return 0;
	u64 now = now_ns();
	end_phase(thread, now);
	look_at_lists(target, thread);
	begin_phase(thread, IDLE, thread->idle_ran, now);
	return 0;
}

SEC("uprobe/run_prepare") int run_prepare(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_PHASES);
	struct thread *thread = thread_in_phase(ctx, slot, target);
	if (!thread)
		return 0;
	u64 now = now_ns();
	end_phase(thread, now);
	// What idle callbacks started was not there when they were looked at.
	if (thread->idle_ran)
		look_at_lists(target, thread);
	begin_phase(thread, PREPARE, thread->prepare_ran, now);
	return 0;
}

// The poll ends here. What it did not wait, its callbacks took.
SEC("uprobe/run_check") int run_check(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_PHASES);
	struct thread *thread = thread_in_phase(ctx, slot, target);
	if (!thread)
		return 0;
	u64 now = now_ns(), check = thread->loop + target->check;
	if (thread->entered) {
		struct counts counts = counts_at(target, thread->internal);
		u64 wait = thread->keeps_idle ? counts.idle_ns - thread->idle_before : thread->waited;
		u64 total = now - thread->entered, callbacks = total > wait ? total - wait : 0;
		thread->phase_ns[POLL_CALLBACKS] += callbacks;
		if (wait)
			record_of(thread, PHASE_0 + POLL_WAIT, wait);
		// Before libuv 1.45 nothing tells whether there were any.
		if (!target->events || counts.events != thread->events_before)
			record_of(thread, PHASE_0 + POLL_CALLBACKS, callbacks);
	}
	begin_phase(thread, CHECK, has_members(check, word_at(check)), now);
	return 0;
}

// In uv_run, behind its call of uv__run_check. The frame of a nested uv_run lies deeper.
SEC("uprobe/check_return") int check_return(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_PHASES);
	struct thread *thread = thread_of(slot, 0);
	if (!target || !thread || thread->phase != CHECK || ctx->word[STACK] < thread->stack)
		return 0;
	u64 now = now_ns();
	end_phase(thread, now);
	begin_phase(thread, CLOSE, 0, now);
	return 0;
}

// ---- garbage collection

SEC("uprobe/gc_begin") int gc_begin(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_LOOP);
	struct thread *thread = thread_of(slot, 1);
	if (!target || !thread)
		return 0;
	u64 now = now_ns();
	// One within another lies deeper on the stack. If this does not, the other's end was missed.
	if (thread->gc_depth && ctx->word[STACK] >= thread->gc_stack)
		thread->gc_depth = 0;
	if (!thread->gc_depth++) {
		thread->gc_began = now;
		thread->gc_stack = ctx->word[STACK];
		thread->gc_kind = (u32)ctx->word[ARG2];
	}
	return 0;
}

SEC("uretprobe/gc_end") int gc_end(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_LOOP);
	struct thread *thread = thread_of(slot, 0);
	if (!target || !thread || !thread->gc_depth || --thread->gc_depth || !thread->gc_began)
		return 0;
	u32 kind = thread->gc_kind;
	if (kind < 3)
		record_of(thread, GC_0 + kind, now_ns() - thread->gc_began);
	thread->gc_began = 0;
	return 0;
}

// ---- the pool

// Whose a task is: a target's, since its probes were placed the last time.
INLINE u32 owner_of(struct target *target, u32 slot)
{
	return target->placement << 16 | slot;
}

INLINE u64 mark_of(u32 owner, u32 state)
{
	return (u64)state << 32 | owner;
}

INLINE struct set *set_of(u64 address, u32 owner)
{
	u32 at = ((address >> 3) + owner) * 0x9e3779b97f4a7c15 >> (64 - SETS_BITS);
	return map_lookup(&tasks, &at);
}

INLINE int is_at(const struct task *task, u64 address, u32 owner)
{
	return task->address == address && (u32)task->mark == owner && task->mark >> 32 > CLAIMED;
}

INLINE struct task *task_in(struct set *set, u64 address, u32 owner)
{
#pragma unroll
	for (int way = 0; way < WAYS; way++)
		if (is_at(&set->ways[way], address, owner))
			return &set->ways[way];
	return 0;
}

INLINE struct task *task_of(u64 address, u32 owner)
{
	struct set *set = set_of(address, owner);
	return set ? task_in(set, address, owner) : 0;
}

// Whether nobody asks any more for a task: its probes have been taken away since.
INLINE int is_over(u64 mark)
{
	u32 slot = (u16)mark;
	struct target *target = map_lookup(&targets, &slot);
	return !target || owner_of(target, slot) != (u32)mark;
}

INLINE int claim(struct task *task, u64 before, u32 owner)
{
	return __sync_val_compare_and_swap(&task->mark, before, mark_of(owner, CLAIMED)) == before;
}

// A place for a task. Where all are taken, one whose loop has not taken notice for long gives way.
INLINE struct task *place_for(u64 address, u32 owner)
{
	struct set *set = set_of(address, owner);
	if (!set)
		return 0;
	struct task *place = task_in(set, address, owner);
	if (place)
		return place;
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		u64 mark = set->ways[way].mark;
		if ((!mark || is_over(mark)) && claim(&set->ways[way], mark, owner))
			return &set->ways[way];
	}
	lose(LOSS_TASKS);
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		u64 mark = set->ways[way].mark;
		if (mark >> 32 == ENDED && claim(&set->ways[way], mark, owner))
			return &set->ways[way];
	}
	return 0;
}

INLINE void submitted(u32 owner, u64 address, u64 class)
{
	struct task *task = place_for(address, owner);
	if (!task)
		return;
	task->address = address;
	task->time = now_ns();
	task->class = class;
	__sync_lock_test_and_set(&task->mark, mark_of(owner, SUBMITTED));
}

// Node.js: the object that holds the request begins with its virtual table, two words before.
INLINE u64 class_of(struct target *target, u64 request)
{
	if (target->classes_start == target->classes_end)
		return CLASS_WORK;
	u64 table = word_at(request - 16);
	return table - target->classes_start < target->classes_end - target->classes_start ? table : CLASS_WORK;
}

// uv__work_submit(loop, task, kind, work, done)
SEC("uprobe/work_submit") int work_submit(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_POOL);
	if (!target)
		return 0;
	u64 task = ctx->word[ARG2], work = ctx->word[ARG4], class = CLASS_WORK;
	if (work == target->work_fs)
		class = CLASS_FS;
	else if (work == target->work_getaddrinfo || work == target->work_getnameinfo)
		class = CLASS_DNS;
	else if (work == target->work_random)
		class = CLASS_RANDOM;
	else if (work == target->work_queued)
		class = class_of(target, task - target->request_task);
	submitted(owner_of(target, slot), task, class);
	return 0;
}

// uv_queue_work(loop, request, work, after), where it holds a copy of uv__work_submit
SEC("uprobe/queue_work") int queue_work(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_POOL);
	if (target)
		submitted(owner_of(target, slot), ctx->word[ARG2] + target->request_task,
			class_of(target, ctx->word[ARG2]));
	return 0;
}

// A register by its number. A switch, for the verifier wants constant offsets into the registers; the barriers keep the
// compiler from making them variable again.
INLINE u64 register_at(struct registers *ctx, u8 number)
{
	u64 value = 0;
#define REGISTER(index)                                                                                                \
	case index:                                                                                                        \
		value = ctx->word[index];                                                                                      \
		asm volatile("" : "+r"(value));                                                                                \
		break;
	switch (number) {
		REGISTER(0)
		REGISTER(1)
		REGISTER(2)
		REGISTER(3)
		REGISTER(4)
		REGISTER(5)
		REGISTER(6)
		REGISTER(7)
		REGISTER(8)
		REGISTER(9)
		REGISTER(10)
		REGISTER(11)
		REGISTER(12)
		REGISTER(13)
		REGISTER(14)
#if defined(TARGET_AARCH64)
		REGISTER(15)
		REGISTER(19)
		REGISTER(20)
		REGISTER(21)
		REGISTER(22)
		REGISTER(23)
		REGISTER(24)
		REGISTER(25)
		REGISTER(26)
		REGISTER(27)
		REGISTER(28)
#endif
	}
	return value;
}

// The task that a register points near.
INLINE u64 task_at(struct registers *ctx, u64 cookie)
{
	return register_at(ctx, cookie >> 16) + (s32)(cookie >> 32);
}

SEC("uprobe/task_start") int task_start(struct registers *ctx)
{
	u64 cookie = cookie_of(ctx), now = now_ns();
	u32 slot = (u16)cookie;
	struct target *target = target_of(slot, TIER_POOL);
	if (!target)
		return 0;
	u32 owner = owner_of(target, slot);
	struct task *task = task_of(task_at(ctx, cookie), owner);
	if (!task || task->mark >> 32 != SUBMITTED)
		return 0;
	add(histogram_of(slot, lane(), WAIT, task->class), now - task->time, 1);
	task->time = now;
	task->mark = mark_of(owner, RUNNING);
	return 0;
}

SEC("uprobe/task_end") int task_end(struct registers *ctx)
{
	u64 cookie = cookie_of(ctx), now = now_ns();
	u32 slot = (u16)cookie;
	struct target *target = target_of(slot, TIER_POOL);
	if (!target)
		return 0;
	u32 owner = owner_of(target, slot);
	struct task *task = task_of(task_at(ctx, cookie), owner);
	if (!task)
		return 0;
	if (task->mark >> 32 == RUNNING)
		add(histogram_of(slot, lane(), RUN, task->class), now - task->time, 1);
	task->time = now;
	task->mark = mark_of(owner, ENDED);
	return 0;
}

// In uv__work_done, behind the loop's lock: the list of tasks that have ended is taken, and their callbacks begin. One
// register points to the first task's node, another to the head of the list, to which the last node leads.
SEC("uprobe/work_taken") int work_taken(struct registers *ctx)
{
	u64 cookie = cookie_of(ctx), now = now_ns();
	u32 slot = (u16)cookie, tid = (u32)pid_tgid();
	struct target *target = target_of(slot, TIER_POOL);
	if (!target)
		return 0;
	u32 owner = owner_of(target, slot);
	u64 node = register_at(ctx, cookie >> 16), head = register_at(ctx, cookie >> 24);
	for (int i = 0; i < BATCH_MAX; i++) {
		if (node == head || !node)
			return 0;
		struct task *task = task_of(node - target->task_node, owner);
		if (task && task->mark >> 32 == ENDED) {
			add(histogram_of(slot, tid, COMPLETION, task->class), now - task->time, 0);
			__sync_lock_test_and_set(&task->mark, 0);
		}
		node = word_at(node);
	}
	lose(LOSS_TASKS);
	return 0;
}

// uv_cancel(request)
SEC("uprobe/cancel_begin") int cancel_begin(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_POOL);
	struct thread *thread = thread_of(slot, 1);
	if (!target || !thread)
		return 0;
	u64 request = ctx->word[ARG1];
	u32 type = (u32)word_at(request + REQUEST_TYPE), task = 0;
	if (type == REQUEST_FS)
		task = FS_TASK;
	else if (type == REQUEST_WORK)
		task = WORK_TASK;
	else if (type == REQUEST_GETADDRINFO || type == REQUEST_GETNAMEINFO)
		task = DNS_TASK;
	else if (type == REQUEST_RANDOM)
		task = RANDOM_TASK;
	thread->cancelling = task ? request + task : 0;
	return 0;
}

// It gives zero where the task was still queued.
SEC("uretprobe/cancel_end") int cancel_end(struct registers *ctx)
{
	u32 slot = (u16)cookie_of(ctx);
	struct target *target = target_of(slot, TIER_POOL);
	struct thread *thread = thread_of(slot, 0);
	if (!target || !thread || !thread->cancelling)
		return 0;
	struct task *task = task_of(thread->cancelling, owner_of(target, slot));
	thread->cancelling = 0;
	if ((u32)ctx->word[RESULT] || !task || task->mark >> 32 != SUBMITTED)
		return 0;
	add(histogram_of(slot, lane(), CANCELLED, task->class), 0, 1);
	__sync_lock_test_and_set(&task->mark, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
