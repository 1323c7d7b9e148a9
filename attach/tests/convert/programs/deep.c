// A recursion whose frames take some 200 KiB of stack.
#include <stdint.h>
#include <string.h>
#include <time.h>

__attribute__((noinline, noclone)) uint64_t bottom(void) {
    uint64_t n = 1;
    for (int i = 0; i < 200000; i++) n = n * 6364136223846793005u + 1442695040888963407u;
    return n;
}

__attribute__((noinline, noclone)) uint64_t descend(int depth) {
    volatile char room[1000];
    memset((char *)room, depth, sizeof room);
    return (depth == 0 ? bottom() : descend(depth - 1)) + room[depth];
}

int main(void) {
    uint64_t sum = 0;
    struct timespec used;
    do {
        sum += descend(200);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 200000000);
    return sum == 42;
}
