// Appending keys and values to a cache on the CPU twin, against plain loops.
#include "../../kernels/attention/key-value-append.cu"

#include "plain.h"

using Words = std::vector<uint32_t>;

/// A cache of S positions whose places outside of the new ones stay as they are; a position past S is reported.
void check(int B, int T, int S, int pieces, int stored) {
    const auto draw = [](size_t n) { Words words(4 * n); for (uint32_t& word : words) word = random_bits(); return words; };
    const auto at = [](Words& words) { return reinterpret_cast<uint4*>(words.data()); };
    Words keys = draw((size_t)B * S * pieces), values = draw((size_t)B * S * pieces), k = draw((size_t)B * T * pieces), v = draw((size_t)B * T * pieces);
    Words wanted_keys = keys, wanted_values = values;
    for (int b = 0; b < B; b++)
        for (int t = 0; t < T && stored + t < S; t++)
            for (int i = 0; i < 4 * pieces; i++) {
                const size_t to = ((size_t)b * S + stored + t) * 4 * pieces + i, from = ((size_t)b * T + t) * 4 * pieces + i;
                wanted_keys[to] = k[from]; wanted_values[to] = v[from];
            }
    int fault[4] = {};
    twin::launch({(pieces + 127) / 128, T, B}, 128, 1, 0, [&] { append_key_values(at(keys), at(values), at(k), at(v), &stored, fault, T, S, pieces); });
    const bool reported = stored + T > S ? fault[0] == 1 && fault[1] >= S && fault[2] == S : fault[0] == 0;
    say(sized("append", "", {B, T, S, pieces, stored}), (keys != wanted_keys) + (values != wanted_values) + !reported);
}

int main() {
    check(1, 1, 5, 1, 0); check(2, 1, 9, 20, 8); check(3, 4, 11, 130, 6); check(1, 16, 16, 80, 0);
    check(2, 3, 7, 40, 5); check(1, 1, 4, 128, 4);
    return failures;
}
