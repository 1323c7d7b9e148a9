// main > reads > the kernel.
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

__attribute__((noinline, noclone)) int64_t reads(int zeros) {
    int64_t sum = 0;
    for (int i = 0; i < 20; i++) sum += read(zeros, buffer, sizeof buffer);
    return sum;
}

int main(void) {
    int zeros = open("/dev/zero", O_RDONLY);
    int64_t sum = 0;
    struct timespec used;
    do {
        sum += reads(zeros);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 300000000);
    return sum == 42;
}
