// A libcublasLt as strict as the real one, or stricter: what danu calls of it, with declarations of our own.
#include "cublaslt.h"

#include <string.h>

#include <algorithm>

#include "memory.h"
#include "stream.h"

namespace standin::cublaslt {
namespace {
template <class Body, class... A> int call_library(const char* name, const Body& body, const A&... arguments) {
    return call(name, [&] { return (CUresult)body(); }, arguments...);
}

template <class... A> int refuse(const A&... why) { report("cuBLASLt: ", why...); return INVALID_VALUE; }

template <class T, class Fill> int create(const char* name, T** out, const Fill& fill) {
    return call_library(name, [&] {
        const auto object = std::make_shared<T>();
        object->device = current_device();
        const int status = fill(*object);
        if (status == SUCCESS) *out = handle_of<T*>(object);
        return status;
    });
}

template <class T> int destroy(const char* name, const void* handle) {
    return call_library(name, [&] {
        if (!find<T>(handle)) return refuse(name, " of what is none");
        forget(handle);
        return SUCCESS;
    });
}

/// Where an attribute is kept, and its bytes.
struct Field { void* value; size_t bytes; };
template <class T> Field field(T& value) { return {&value, sizeof value}; }

Field field_of(Operation& x, int code) {
    switch (code) {
        case 3: return field(x.transpose_a);
        case 4: return field(x.transpose_b);
        case 17: return field(x.scale_a);
        case 18: return field(x.scale_b);
        case 25: return field(x.fast);
        default: return {};
    }
}
Field field_of(Layout& x, int code) { return code == 5 ? field(x.count) : code == 6 ? field(x.stride) : Field{}; }
Field field_of(Preference& x, int code) {
    if (code == 1) return field(x.workspace);
    if (code == 3) return field(x.reductions);
    return code >= 5 && code <= 8 ? field(x.alignment[code - 5]) : Field{};
}

template <class T> int set(const char* name, const void* handle, int code, const void* value, size_t bytes) {
    return call_library(name, [&] {
        const auto object = find<T>(handle);
        if (!object) return refuse(name, " of what is none");
        const Field known = field_of(*object, code);
        if (known.bytes == 0) return refuse(name, ": the stand-in does not know attribute ", code);
        if (known.bytes != bytes) return refuse(name, ": attribute ", code, " has ", known.bytes, " bytes, got ", bytes);
        memcpy(known.value, value, bytes);
        return SUCCESS;
    }, code);
}

/// An algorithm: for which problems it was chosen, how they must be aligned, and what it needs.
struct Choice { Problem problem; uint32_t alignment[4]; uint64_t workspace; int parts; };
/// What the caller keeps of it: every word counts.
struct Algorithm { uint64_t words[8]; };
struct Result { Algorithm algorithm; uint64_t workspace; int32_t status; float waves; int32_t reserved[4]; };
constexpr uint64_t MAGIC = 0xC0B1A5170A1C;
std::vector<Choice> choices;

Algorithm algorithm_of(size_t number) {
    Algorithm a;
    for (uint64_t i = 0; i < 8; i++) a.words[i] = (MAGIC + i) ^ (number << 8 * (i % 4));
    return a;
}
const Choice* choice_of(const Algorithm& a) {
    const size_t number = a.words[0] ^ MAGIC;
    const Algorithm expected = algorithm_of(number);
    return number < choices.size() && memcmp(&expected, &a, sizeof a) == 0 ? &choices[number] : nullptr;
}

Matrix matrix_of(const Layout& x) { return {x.type, x.rows, x.columns, x.step, x.stride, 0}; }
bool same(const Matrix& x, const Matrix& y) {
    return x.type == y.type && x.rows == y.rows && x.columns == y.columns && x.step == y.step && x.stride == y.stride;
}
bool same(const Problem& x, const Problem& y) {
    return x.transpose_a == y.transpose_a && x.transpose_b == y.transpose_b && x.fast == y.fast && x.count == y.count && same(x.a, y.a) && same(x.b, y.b)
        && same(x.c, y.c) && same(x.d, y.d) && !x.scale_a == !y.scale_a && !x.scale_b == !y.scale_b;
}

/// The problem that descriptors describe. @returns false where they contradict each other
bool describe(Problem& p, const void* operation, const void* a, const void* b, const void* c, const void* d) {
    const auto o = find<Operation>(operation);
    const auto la = find<Layout>(a), lb = find<Layout>(b), lc = find<Layout>(c), ld = find<Layout>(d);
    if (!o || !la || !lb || !lc || !ld) return refuse("a product whose descriptors are gone"), false;
    p = {o->transpose_a == 1, o->transpose_b == 1, o->fast != 0, ld->count, 0, 0, 0, matrix_of(*la), matrix_of(*lb), matrix_of(*lc), matrix_of(*ld), o->scale_a, o->scale_b, 0};
    p.m = p.transpose_a ? p.a.columns : p.a.rows;
    p.k = p.transpose_a ? p.a.rows : p.a.columns;
    p.n = p.transpose_b ? p.b.rows : p.b.columns;
    const bool fits = (p.transpose_b ? p.b.columns : p.b.rows) == p.k && p.d.rows == p.m && p.d.columns == p.n && p.c.rows == p.m && p.c.columns == p.n;
    const bool counts = la->count == p.count && lb->count == p.count && lc->count == p.count;
    if (!fits || !counts || p.m < 1 || p.n < 1 || p.k < 1 || p.count < 1) return refuse("matrices of a product that do not fit"), false;
    return true;
}

bool is_for_fp8(const Problem& p, const Chip& chip, const uint32_t* alignment) {
    const bool types = is_fp8(p.a.type) && is_fp8(p.b.type) && !(p.a.type == E5M2 && p.b.type == E5M2) && p.c.type == p.d.type && (p.d.type == BF16 || p.d.type == F32);
    bool aligned = p.m % 16 == 0 && p.k % 16 == 0 && p.count == 1;
    for (const Matrix* x : {&p.a, &p.b, &p.c, &p.d}) aligned &= x->step * bytes_of(x->type) % 16 == 0;
    for (int i = 0; i < 4; i++) aligned &= alignment[i] >= 16;
    return types && aligned && chip.major * 10 + chip.minor >= 89 && p.transpose_a && !p.transpose_b;
}

/// Whether there is an algorithm. Two bytes are too little for any, so that not everything is taken.
bool is_supported(const Problem& p, const Chip& chip, const uint32_t* alignment) {
    if (is_fp8(p.a.type) || is_fp8(p.b.type)) return is_for_fp8(p, chip, alignment);
    if (p.scale_a || p.scale_b || p.fast || p.a.type != p.b.type || p.c.type != p.d.type || (p.d.type != p.a.type && p.d.type != F32)) return false;
    return *std::min_element(alignment, alignment + 4) >= 4;
}

bool is_aligned(const Problem& p, const uint32_t* alignment) {
    const Matrix* matrices[] = {&p.a, &p.b, &p.c, &p.d};
    for (int i = 0; i < 4; i++) if (matrices[i]->at % alignment[i]) return false;
    return true;
}

/// Does a product when its turn comes, on memory that must still be there.
CUresult run(const Problem& p, const Choice& choice, uint64_t workspace) {
    const auto holds = [](const char* what, uint64_t at, uint64_t bytes) {
        if (!is_inside(at, bytes)) report("cublasLtMatmul: ", what, ", ", bytes, " bytes from ", place(at));
        return is_inside(at, bytes);
    };
    const bool all = holds("A", p.a.at, extent(p.a, p.count)) && holds("B", p.b.at, extent(p.b, p.count)) && holds("D", p.d.at, extent(p.d, p.count))
        && (p.beta == 0 || holds("C", p.c.at, extent(p.c, p.count))) && (!p.scale_a || holds("factor of A", p.scale_a, 4))
        && (!p.scale_b || holds("factor of B", p.scale_b, 4)) && (choice.workspace == 0 || holds("workspace", workspace, choice.workspace));
    if (!all) return CUDA_ERROR_ILLEGAL_ADDRESS;
    multiply(p, choice.parts, (float*)workspace);
    return CUDA_SUCCESS;
}
}  // namespace
}  // namespace standin::cublaslt

using namespace standin;
using namespace standin::cublaslt;

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT size_t cublasLtGetVersion() { const std::lock_guard<std::recursive_mutex> guard(state().lock); return state().cublaslt_version; }

EXPORT int cublasLtCreate(Handle** out) {
    return create<Handle>("cublasLtCreate", out, [](Handle& x) { return x.device < 0 || is_capturing(x.device) ? 1 : SUCCESS; });
}
EXPORT int cublasLtDestroy(Handle* handle) { return destroy<Handle>("cublasLtDestroy", handle); }

EXPORT int cublasLtMatmulDescCreate(Operation** out, int compute, int scale) {
    return create<Operation>("cublasLtMatmulDescCreate", out, [=](Operation&) {
        // CUBLAS_COMPUTE_32F, which rounds no operand to TF32, and factors in f32.
        return compute == 68 && scale == F32 ? SUCCESS : refuse("a product that computes in ", compute, " with factors of ", scale);
    });
}
EXPORT int cublasLtMatmulDescSetAttribute(Operation* handle, int code, const void* value, size_t bytes) {
    return set<Operation>("cublasLtMatmulDescSetAttribute", handle, code, value, bytes);
}
EXPORT int cublasLtMatmulDescDestroy(Operation* handle) { return destroy<Operation>("cublasLtMatmulDescDestroy", handle); }

EXPORT int cublasLtMatrixLayoutCreate(Layout** out, int type, uint64_t rows, uint64_t columns, int64_t step) {
    return create<Layout>("cublasLtMatrixLayoutCreate", out, [=](Layout& x) {
        const bool known = type == F32 || type == F16 || type == BF16 || is_fp8(type);
        if (!known || step < (int64_t)rows) return refuse("a matrix of type ", type, " with ", rows, " rows, columns ", step, " apart");
        x.type = type;
        x.rows = rows;
        x.columns = columns;
        x.step = step;
        return SUCCESS;
    });
}
EXPORT int cublasLtMatrixLayoutSetAttribute(Layout* handle, int code, const void* value, size_t bytes) {
    return set<Layout>("cublasLtMatrixLayoutSetAttribute", handle, code, value, bytes);
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout* handle) { return destroy<Layout>("cublasLtMatrixLayoutDestroy", handle); }

EXPORT int cublasLtMatmulPreferenceCreate(Preference** out) {
    return create<Preference>("cublasLtMatmulPreferenceCreate", out, [](Preference&) { return SUCCESS; });
}
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* handle, int code, const void* value, size_t bytes) {
    return set<Preference>("cublasLtMatmulPreferenceSetAttribute", handle, code, value, bytes);
}
EXPORT int cublasLtMatmulPreferenceDestroy(Preference* handle) { return destroy<Preference>("cublasLtMatmulPreferenceDestroy", handle); }

EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle* handle, Operation* operation, Layout* a, Layout* b, Layout* c, Layout* d, Preference* preference,
                                          int wanted, Result* results, int* found) {
    return call_library("cublasLtMatmulAlgoGetHeuristic", [&] {
        const auto library = find<Handle>(handle);
        const auto wish = find<Preference>(preference);
        Choice choice{};
        if (!library || !wish || wanted < 1) return refuse("a question without a handle or wishes");
        if (!describe(choice.problem, operation, a, b, c, d)) return INVALID_VALUE;
        // In place sums meet in any order; of the type of the result they lose bits.
        if (wish->reductions & ~2u) return refuse("sums of parts as ", wish->reductions, ", expected none but those of f32 in the workspace");
        const Problem& p = choice.problem;
        if (!is_supported(p, state().devices[library->device].chip, wish->alignment)) {
            *found = 0;
            return is_fp8(p.a.type) ? NOT_SUPPORTED : SUCCESS;
        }
        memcpy(choice.alignment, wish->alignment, sizeof choice.alignment);
        const uint64_t sums = 4 * p.m * p.n * p.count;
        choice.parts = p.k >= 64 && sums <= wish->workspace && (wish->reductions & 2) ? 2 : 1;
        choice.workspace = choice.parts > 1 ? sums : 0;
        results[0] = {algorithm_of(choices.size()), choice.workspace, SUCCESS, 0.5f, {-1, -1, -1, -1}};
        choices.push_back(choice);
        *found = 1;
        return SUCCESS;
    });
}

EXPORT int cublasLtMatmul(Handle* handle, Operation* operation, const float* alpha, uint64_t a, Layout* layout_a, uint64_t b, Layout* layout_b,
                          const float* beta, uint64_t c, Layout* layout_c, uint64_t d, Layout* layout_d, const Algorithm* algorithm,
                          uint64_t workspace, size_t workspace_bytes, CUstream stream_handle) {
    const auto op = find<Operation>(operation);
    return call_library("cublasLtMatmul", [&] {
        const auto library = find<Handle>(handle);
        if (!library) return refuse("a product without a handle");
        if (library->device != current_device()) return refuse("a product of device ", library->device, " in the context of ", current_device());
        const auto stream = stream_of(stream_handle, library->device);
        const Choice* choice = choice_of(*algorithm);
        Problem p;
        if (!stream || !choice) return refuse("a product without ", stream ? "an algorithm" : "a stream");
        if (!describe(p, operation, layout_a, layout_b, layout_c, layout_d)) return INVALID_VALUE;
        if (state().devices[library->device].fault != CUDA_SUCCESS) return EXECUTION_FAILED;
        p.a.at = a;
        p.b.at = b;
        p.c.at = c;
        p.d.at = d;
        p.beta = *beta;
        if (*alpha != 1) return refuse("a product times ", *alpha);
        if (!same(p, choice->problem)) return refuse("an algorithm for another product");
        // As since version 12.9, which says so only here.
        if (p.scale_a % 16 || p.scale_b % 16) return NOT_SUPPORTED;
        if (!is_aligned(p, choice->alignment)) return refuse("matrices aligned to less than was told");
        if (workspace_bytes < choice->workspace) return refuse("a workspace of ", workspace_bytes, " bytes, needed are ", choice->workspace);
        enqueue(stream, "cublasLtMatmul", [p, chosen = *choice, workspace] { return run(p, chosen, workspace); });
        return SUCCESS;
    }, op ? (op->transpose_a ? "t" : "n") : "?", op ? (op->transpose_b ? "t" : "n") : "?", op ? (op->fast ? "fast" : "exact") : "?", *beta, stream_handle);
}
