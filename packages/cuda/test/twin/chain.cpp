// Chains on the CPU twin: layers of a decoder with the bits that the kernels of their steps have one after another, launch after
// launch, whatever the number of blocks and of slots.
#include "../../kernels/attention/attention-portable-decode.cu"
#include "../../kernels/generation/chain.cu"
#include "../../kernels/generation/few-rows.cu"

#include "plain.h"

using namespace attention_portable;
constexpr float EPS = 1e-5f;
struct Model { int layers, C, F, H, G, D, room, window, parts; };
struct Places { int blocks, slots; };

/// One token of some layers by `launch`: `Chained` notes steps and launches them at the end, `OneByOne` their kernels at once.
template <class E> struct Token {
    Model m; std::vector<E> query, key, value, output, gate, up, down, norm; std::vector<float> table;
    std::vector<E> x, h, q, k, v, o, hidden, keys, values; std::vector<float> lse; int stored, position, fault[4] = {};
    Token(const Model& m, int stored) : m(m), norm(normal<E>(m.C)), table((size_t)m.room * m.D), h(m.C), q(m.H * m.D), k(m.G * m.D), v(m.G * m.D), o(m.H * m.D), hidden(m.F), lse(m.H), stored(stored), position(min(stored, m.room - 1)) {
        const auto weights = [&](int N, int K) { return normal<E>((size_t)m.layers * N * K, 1 / sqrtf(K)); };
        query = weights(m.H * m.D, m.C); key = weights(m.G * m.D, m.C); value = weights(m.G * m.D, m.C); output = weights(m.C, m.H * m.D); gate = weights(m.F, m.C); up = weights(m.F, m.C); down = weights(m.C, m.F);
        for (int p = 0; p < m.room; p++) for (int i = 0; i < m.D / 2; i++) { table[p * m.D + i] = cosf(p * 0.3f + i); table[p * m.D + m.D / 2 + i] = sinf(p * 0.3f + i); }
        x = normal<E>(m.C); keys = normal<E>((size_t)m.layers * m.room * m.G * m.D); values = normal<E>(keys.size());
    }
    template <class Launch> void run(Launch& launch) {
        int last = -1;                                         // the step that makes x
        for (int l = 0; l < m.layers; l++) {
            const size_t A = (size_t)m.H * m.D, KV = (size_t)m.G * m.D; E *cached_keys = &keys[l * m.room * KV], *cached_values = &values[l * m.room * KV];
            const int heads = launch.step({x.data(), norm.data(), q.data(), k.data(), v.data(), &query[l * A * m.C], &key[l * KV * m.C], &value[l * KV * m.C], table.data(), &position, chain::QUERY_KEY_VALUE, last, m.H, m.G, m.D, m.C, m.room, 0, EPS});
            const int attention = launch.step({q.data(), nullptr, o.data(), lse.data(), nullptr, cached_keys, cached_values, &stored, nullptr, nullptr, chain::ATTENTION, heads, m.H, m.G, m.D, m.room, m.window, m.parts, 1 / sqrtf(m.D)});
            const int first = launch.step({o.data(), nullptr, h.data(), nullptr, nullptr, &output[l * m.C * A], nullptr, nullptr, x.data(), nullptr, chain::LINEAR, attention, m.C, 0, 0, (int)A, (int)A, 0, 0});
            const int both = launch.step({h.data(), norm.data(), hidden.data(), nullptr, nullptr, &gate[(size_t)l * m.F * m.C], &up[(size_t)l * m.F * m.C], nullptr, nullptr, nullptr, chain::SWIGLU, first, m.F, 0, 0, m.C, 0, 0, EPS});
            last = launch.step({hidden.data(), nullptr, x.data(), nullptr, nullptr, &down[(size_t)l * m.C * m.F], nullptr, nullptr, h.data(), nullptr, chain::LINEAR, both, m.C, 0, 0, m.F, m.F, 0, 0});
        }
        launch.end();
    }
    std::vector<uint8_t> results() const {
        std::vector<uint8_t> all; const auto add = [&](const auto& v) { all.insert(all.end(), (const uint8_t*)v.data(), (const uint8_t*)(v.data() + v.size())); };
        for (auto* v : {&x, &h, &q, &k, &v, &o, &hidden, &keys, &values}) add(*v);
        add(lse); all.insert(all.end(), (const uint8_t*)fault, (const uint8_t*)(fault + 3)); return all;
    }
};

template <class E> struct Kernels;
template <> struct Kernels<__nv_bfloat16> { static constexpr auto linear = few_rows_linear_bf16; static constexpr auto swiglu = few_rows_swiglu_bf16; static constexpr auto heads = few_rows_query_key_value_bf16; };
template <> struct Kernels<__half> { static constexpr auto linear = few_rows_linear_f16; static constexpr auto swiglu = few_rows_swiglu_f16; static constexpr auto heads = few_rows_query_key_value_f16; };
template <class E, int DP> struct OneByOne {
    int* fault; std::vector<int> done = std::vector<int>(64); std::vector<float> part_o, part_lse;
    int step(const chain::Step& s) {
        using few_rows::DEEP;
        if (s.kind == chain::ATTENTION) {
            part_o.resize((size_t)s.n * s.parts * s.D); part_lse.resize((size_t)s.n * s.parts);
            const auto E_ = [](const void* p) { return static_cast<const E*>(p); };
            const Inputs<E> in{E_(s.x), E_(s.a), E_(s.b), nullptr, 1, s.K, s.K, s.n, s.G, s.D, s.extra, s.scale};
            const Fresh<E> fresh{fresh_k, fresh_v, const_cast<E*>(in.k), const_cast<E*>(in.v), static_cast<const int*>(s.c), fault}; const Parts parts{part_o.data(), part_lse.data(), done.data()};
            twin::launch({s.G, 1, s.parts}, 128, 1, sizeof(typename Decode<E, DP>::Shared), [&] { Blocks<E, DP>::run(in, fresh, parts, static_cast<E*>(s.y), static_cast<float*>(s.y2)); });
            return 0;
        }
        if (s.kind == chain::QUERY_KEY_VALUE) { fresh_k = static_cast<const E*>(s.y2); fresh_v = static_cast<const E*>(s.y3); }
        const few_rows::Rows<E> rows{static_cast<const E*>(s.x), static_cast<const E*>(s.norm), s.scale, 1, s.K, s.K, DEEP};
        chain::with_layer<E>(s, fault, [&](const auto& layer) {
            using Layer = std::decay_t<decltype(layer)>;
            twin::launch({min(3, layer.pairs()), 1, 1}, few_rows::THREADS, 1, few_rows::shared_bytes(DEEP, 1, s.K, s.norm != nullptr), [&] {
                if constexpr (std::is_same_v<Layer, few_rows::Linear<E>>) Kernels<E>::linear(rows, layer);
                else if constexpr (std::is_same_v<Layer, few_rows::Swiglu<E>>) Kernels<E>::swiglu(rows, layer);
                else Kernels<E>::heads(rows, layer);
            });
        });
        return 0;
    }
    void end() {}
    const E *fresh_k = nullptr, *fresh_v = nullptr;
};
template <class E, int DP> struct Chained {
    int* fault; Places places; std::vector<uint64_t>& exchange; chain::Steps steps{};
    int step(const chain::Step& s) { steps.step[steps.count] = s; if (s.kind != chain::ATTENTION) steps.most_k = max(steps.most_k, s.K); return steps.count++; }
    void end() {
        steps.exchange = exchange.data(); steps.fault = fault; steps.slots = places.slots;
        twin::launch({places.blocks, 1, 1}, chain::THREADS, places.blocks, chain::shared_bytes<E, DP>(places.slots, steps.most_k), [&] { chain::run<E, DP>(steps); });
    }
};

template <class E, int DP> void check(const char* name, const Model& m, int stored, std::initializer_list<Places> all) {
    const Token<E> start(m, stored); Token<E> want = start;
    OneByOne<E, DP> plain{want.fault}; want.run(plain);
    long wrong = std::isnan(float(want.x[0])); std::vector<uint64_t> exchange(32 + chain::AREAS * chain::AREA_WORDS);
    for (const Places& places : all) { Token<E> got = start; Chained<E, DP> launch{got.fault, places, exchange}; got.run(launch); wrong += got.results() != want.results(); }
    wrong += (uint32_t)exchange[0] != all.size() || exchange[0] >> 32 != 0;      // launches so far, and no block that is still counted
    say(sized(name, "", {m.C, m.F, m.H, m.G, m.D, m.room, stored, m.parts}), wrong);
}

int main() {
    using B = __nv_bfloat16;
    check<B, 64>("two layers", {2, 80, 112, 4, 2, 16, 64, 64, 2}, 33, {{4, 5}, {1, 3}, {3, 9}});
    check<B, 64>("more turns than one", {2, 1096, 616, 4, 2, 40, 64, 64, 3}, 47, {{5, 4}, {2, 16}});
    check<B, 80>("a window, the first position of a part", {1, 80, 112, 4, 1, 80, 300, 100, 2}, 256, {{4, 5}});
    check<B, 64>("the first token", {1, 48, 16, 2, 2, 16, 32, 32, 1}, 0, {{4, 3}});
    check<B, 64>("more blocks than pairs", {2, 8, 8, 1, 1, 8, 16, 16, 1}, 9, {{6, 3}});
    check<B, 64>("many parts", {1, 64, 24, 2, 1, 32, 288, 288, 9}, 287, {{4, 4}});
    check<B, 64>("past the end of the cache", {1, 48, 16, 2, 2, 16, 32, 32, 1}, 32, {{2, 3}});
    check<B, 128>("wide heads, sixteen of one", {1, 64, 40, 16, 1, 128, 48, 48, 2}, 40, {{3, 4}});
    check<__half, 96>("f16", {2, 72, 56, 6, 2, 96, 64, 64, 2}, 20, {{4, 4}, {3, 3}});
    return failures;
}
