// main > call > code made at run time, whose name stands in a map that is gone at the end.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t (*Made)(uint64_t rounds);

#if defined(__x86_64__)
// push rbp; mov rbp, rsp; again: dec rdi; jnz again; xor eax, eax; pop rbp; ret
static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0x31, 0xc0, 0x5d, 0xc3};
#elif defined(__aarch64__)
// stp x29, x30, [sp, #-16]!; mov x29, sp; again: subs x0, x0, #1; b.ne again; ldp x29, x30, [sp], #16; ret
static const uint32_t code[] = {0xa9bf7bfd, 0x910003fd, 0xf1000400, 0x54ffffe1, 0xa8c17bfd, 0xd65f03c0};
#endif

__attribute__((noinline, noclone)) uint64_t call(Made made) { return made(100000) + 1; }

int main(int count, char **arguments) {
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    __builtin___clear_cache(page, (char *)page + sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    if (count > 1) {
        FILE *map = fopen(path, "w");
        fprintf(map, "%lx %zx JS:*handle file:///srv/app.js:10:3\n", (unsigned long)page, sizeof code);
        fclose(map);
    }
    uint64_t sum = 0;
    struct timespec used;
    do {
        sum += call((Made)page);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 300000000);
    unlink(path);
    return sum == 42;
}
