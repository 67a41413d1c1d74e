// Copies, transpositions, stretching and choice on the CPU twin, over random axes against plain loops; and at distances beyond
// 32 bits, in memory of which only what is touched exists.
#include "../../kernels/primitives/elementwise.cu"
#include "../../kernels/primitives/movement.cu"

#include <sys/mman.h>

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
static int draw(int from, int to) { return from + (int)(rng() % (to - from + 1)); }

/// Axes with a step for each of N operands, the innermost first.
template <int N> Walk<N> axes(std::vector<int64_t> sizes, std::vector<std::vector<int64_t>> steps, int wide = 0) {
    Walk<N> walk{};
    walk.rank = (int)sizes.size(); walk.wide = wide;
    for (int i = 0; i < walk.rank; i++) { walk.size[i] = sizes[i]; for (int k = 0; k < N; k++) walk.step[k][i] = steps[k][i]; }
    return walk;
}
/// Calls `visit` with the offsets of every element.
template <int N, class F> void each(const Walk<N>& walk, F visit) {
    int64_t count = 1;
    for (int i = 0; i < walk.rank; i++) count *= walk.size[i];
    for (int64_t e = 0; e < count; e++) {
        int64_t rest = e, at[N] = {};
        for (int i = 0; i < walk.rank; i++) { for (int k = 0; k < N; k++) at[k] += rest % walk.size[i] * walk.step[k][i]; rest /= walk.size[i]; }
        visit(e, at);
    }
}
static void report(const char* name, long cases, long wrong) {
    if (wrong) failures++;
    printf("%-24s %4ld cases  %s\n", name, cases, wrong ? "WRONG" : "ok");
}
static int blocks(int64_t threads) { return (int)((threads + 255) / 256); }

/// Dense steps of an operand whose axes lie in this order in memory, the innermost first; 0 for axes it is stretched along.
static std::vector<int64_t> dense(const std::vector<int64_t>& sizes, const std::vector<int>& order, const std::vector<bool>& stretched) {
    std::vector<int64_t> steps(sizes.size()); int64_t step = 1;
    for (int axis : order) { steps[axis] = stretched[axis] ? 0 : step; if (!stretched[axis]) step *= sizes[axis]; }
    return steps;
}

template <class Bits, class Copy, class Stretch, class Where> static void random_axes(const char* name, Copy copy, Stretch stretch, Where where) {
    const int tile = sizeof(Bits) == 4 ? 32 : 64, neighbours = 16 / (int)sizeof(Bits);
    long wrong = 0;
    for (int run = 0; run < 40; run++) {
        const int rank = draw(1, 6);
        std::vector<int64_t> sizes(rank); for (auto& n : sizes) n = draw(1, rank > 3 ? 4 : 9);
        if (run % 4 == 0) sizes[0] = draw(1, 70);
        std::vector<int> order(rank), shuffled(rank); for (int i = 0; i < rank; i++) order[i] = shuffled[i] = i;
        std::shuffle(shuffled.begin(), shuffled.end(), rng);
        const std::vector<bool> none(rank, false); std::vector<bool> some(rank), others(rank);
        for (int i = 0; i < rank; i++) { some[i] = draw(0, 2) == 0; others[i] = draw(0, 2) == 0; }
        int64_t size = 1; for (auto n : sizes) size *= n;
        alignas(16) static Bits x[1 << 16], other[1 << 16], y[1 << 16]; alignas(16) static uint8_t mask[1 << 16];
        for (int64_t i = 0; i < size; i++) { x[i] = rng(); other[i] = rng(); mask[i] = rng() % 3; }
        const auto poison = [&] { for (int64_t i = 0; i < size + 64; i++) y[i] = (Bits)0xCDCDCDCD; };
        const auto untouched = [&] { for (int i = 0; i < 64; i++) if (y[size + i] != (Bits)0xCDCDCDCD) return false; return true; };

        const auto moved = axes<2>(sizes, {dense(sizes, order, none), dense(sizes, shuffled, none)});
        poison(); twin::launch({blocks(size)}, 256, 1, 0, [&] { copy(y, x, moved); });
        each(moved, [&](int64_t, int64_t* at) { wrong += y[at[0]] != x[at[1]]; }); wrong += !untouched();
        if (rank > 1) {
            // The second axis is the one along which x is contiguous.
            std::vector<int> from{1}; for (int i : shuffled) if (i != 1) from.push_back(i);
            const auto crossed = axes<2>(sizes, {dense(sizes, order, none), dense(sizes, from, none)});
            const int64_t tiles = (sizes[0] + tile - 1) / tile * ((sizes[1] + tile - 1) / tile) * (size / sizes[0] / sizes[1]);
            poison(); twin::launch({(int)tiles}, 256, 1, 0, [&] { movement::transpose(y, x, crossed); });
            each(crossed, [&](int64_t, int64_t* at) { wrong += y[at[0]] != x[at[1]]; }); wrong += !untouched();
        }
        const auto evenly = [&](const std::vector<int64_t>& steps) { for (int i = 1; i < rank; i++) if (steps[i] % neighbours) return false; return true; };
        const auto whole = dense(sizes, order, none), stretched = dense(sizes, order, some), elsewhere = dense(sizes, shuffled, others);
        const int wide = evenly(whole), threads = blocks((sizes[0] + neighbours - 1) / neighbours * (size / sizes[0]));
        const auto bit = [&](const std::vector<int64_t>& steps, int k) { return steps[0] == 1 && evenly(steps) ? 1 << k : 0; };
        const auto one = axes<1>(sizes, {stretched}, bit(stretched, 0) | wide << 1);
        poison(); twin::launch({threads}, 256, 1, 0, [&] { stretch(y, x, one); });
        each(one, [&](int64_t e, int64_t* at) { wrong += y[e] != x[at[0]]; }); wrong += !untouched();
        const auto three = axes<3>(sizes, {stretched, whole, elsewhere}, bit(stretched, 0) | bit(whole, 1) | bit(elsewhere, 2) | wide << 3);
        poison(); twin::launch({threads}, 256, 1, 0, [&] { where(y, mask, x, other, three); });
        each(three, [&](int64_t e, int64_t* at) { wrong += y[e] != (mask[at[0]] ? x[at[1]] : other[at[2]]); }); wrong += !untouched();
    }
    report(name, 40, wrong);
}

static void far_apart() {
    constexpr int64_t FAR = 5'000'000'019, BYTES = 4 * FAR;
    uint8_t* memory[2];
    for (auto& m : memory) m = (uint8_t*)mmap(nullptr, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory[0] == MAP_FAILED || memory[1] == MAP_FAILED) return report("far apart: no memory", 0, 0);
    const auto [y, x] = memory; long wrong = 0;
    const auto walk = axes<2>({70, 3}, {{1, FAR}, {FAR / 70, 1}});
    each(walk, [&](int64_t e, int64_t* at) { x[at[1]] = 1 + e % 251; });
    twin::launch({blocks(210)}, 256, 1, 0, [&] { copy_1(y, x, walk); });
    each(walk, [&](int64_t e, int64_t* at) { wrong += y[at[0]] != 1 + e % 251; y[at[0]] = 0; });
    twin::launch({2}, 256, 1, 0, [&] { transpose_1(y, x, walk); });
    each(walk, [&](int64_t e, int64_t* at) { wrong += y[at[0]] != 1 + e % 251; });
    // The last elements of a result of 5 · 10⁹, from rows that are all one.
    const auto flat = axes<1>({FAR / 3, 3}, {{1, 0}});
    x[FAR / 3 - 1] = 77;
    const int64_t parts = (FAR / 3 + 15) / 16, last = (3 * parts - 1) / 256;
    twin::launch({1}, 256, 1, 0, [&] { blockIdx.x += (int)last; stretch_1(y, x, flat); blockIdx.x -= (int)last; });
    wrong += y[FAR / 3 * 3 - 1] != 77;
    for (auto m : memory) munmap(m, BYTES);
    report("far apart", 3, wrong);
}

int main() {
    random_axes<uint8_t>("1 byte", copy_1, stretch_1, where_1);
    random_axes<uint16_t>("2 bytes", copy_2, stretch_2, where_2);
    random_axes<uint32_t>("4 bytes", copy_4, [](uint32_t* y, const uint32_t* x, const Walk<1>& walk) { stretch_4((int32_t*)y, (const int32_t*)x, walk); },
        [](uint32_t* y, const uint8_t* mask, const uint32_t* a, const uint32_t* b, const Walk<3>& walk) { where_4((int32_t*)y, mask, (const int32_t*)a, (const int32_t*)b, walk); });
    far_apart();
    return failures;
}
