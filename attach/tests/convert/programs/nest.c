// main > outer > middle > leaf, and middle > clocks > the kernel's vdso, for some CPU time.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE uint64_t leaf(uint64_t n) {
    for (int i = 0; i < 2000; i++) n = n * 6364136223846793005u + 1442695040888963407u;
    return n;
}

NOINLINE uint64_t clocks(void) {
    struct timespec now;
    uint64_t sum = 0;
    for (int i = 0; i < 40; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        sum += now.tv_nsec;
    }
    return sum;
}

NOINLINE uint64_t middle(uint64_t n) { return leaf(n) + clocks(); }

NOINLINE uint64_t outer(uint64_t n) {
    uint64_t sum = 0;
    for (int i = 0; i < 100; i++) sum ^= middle(n + i);
    return sum + 1;
}

static int64_t cpu_ms(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "delete-yourself") == 0) unlink(arguments[0]);
    uint64_t sum = 0;
    while (cpu_ms() < 300) sum += outer(sum);
    return sum == 42;
}
