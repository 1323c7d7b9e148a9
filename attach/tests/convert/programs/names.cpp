// main > shapes::total<int> > shapes::Square::area, which is virtual.
#include <cstdint>
#include <ctime>
#include <memory>
#include <vector>

namespace shapes {
struct Shape {
    virtual ~Shape() = default;
    virtual uint64_t area(uint64_t side) const = 0;
};

struct Square : Shape {
    [[gnu::noinline]] uint64_t area(uint64_t side) const override {
        for (int i = 0; i < 20000; i++) side = side * 6364136223846793005u + 1442695040888963407u;
        return side;
    }
};

template <typename Number>
[[gnu::noinline]] Number total(const std::vector<std::unique_ptr<Shape>> &shapes) {
    Number sum = 0;
    for (const auto &shape : shapes) sum += shape->area(sum);
    return sum + 1;
}
}  // namespace shapes

int main() {
    std::vector<std::unique_ptr<shapes::Shape>> all;
    for (int i = 0; i < 10; i++) all.push_back(std::make_unique<shapes::Square>());
    int sum = 0;
    timespec used;
    do {
        sum += shapes::total<int>(all);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 300000000);
    return sum == 42;
}
