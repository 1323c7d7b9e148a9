// Two threads with names, a forked child, and a forked child that executes another program.
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline, noclone)) uint64_t work(clockid_t clock) {
    uint64_t n = 1;
    struct timespec used;
    do {
        for (int i = 0; i < 20000; i++) n = n * 6364136223846793005u + 1442695040888963407u;
        clock_gettime(clock, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 150000000);
    return n;
}

__attribute__((noinline, noclone)) uint64_t in_thread(void) { return work(CLOCK_THREAD_CPUTIME_ID) + 1; }
__attribute__((noinline, noclone)) uint64_t in_child(void) { return work(CLOCK_PROCESS_CPUTIME_ID) + 1; }

static void *run_thread(void *name) {
    prctl(PR_SET_NAME, name);
    return (void *)(uintptr_t)in_thread();
}

int main(int count, char **arguments) {
    pthread_t threads[2];
    pthread_create(&threads[0], 0, run_thread, "first");
    pthread_create(&threads[1], 0, run_thread, "second");
    pthread_join(threads[0], 0);
    pthread_join(threads[1], 0);
    if (fork() == 0) {
        prctl(PR_SET_NAME, "child");
        _exit(in_child() == 42);
    }
    if (fork() == 0) {
        execv(arguments[1], arguments + 1);
        _exit(1);
    }
    int status = 0, failed = 0;
    while (wait(&status) > 0) failed |= status;
    return failed;
}
