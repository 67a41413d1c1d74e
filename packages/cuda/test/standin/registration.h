// Makes a library of kernels of a .cu file that was included before, together with the CPU twin.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernel-library.h"

namespace standin {
template <class T> constexpr char letter() {
    if (std::is_pointer_v<T>) return 'p';
    if (std::is_same_v<T, float>) return 'f';
    if (std::is_same_v<T, double>) return 'd';
    if (std::is_integral_v<T> || std::is_enum_v<T>) return sizeof(T) == 8 ? 'l' : 'i';
    return sizeof(T) == 128 && alignof(T) >= 64 ? 'm' : 's';
}

template <auto F> struct Entry;
template <class... P, void (*F)(P...)> struct Entry<F> {
    static constexpr char signature[] = {letter<std::remove_cv_t<P>>()..., 0};
    static constexpr Parameter parameters[] = {{sizeof(P), alignof(P), std::is_pointer_v<P>}..., {}};

    template <size_t... I> static void call(const Shape& shape, int cluster, void* const* arguments, std::index_sequence<I...>) {
        twin::launch({(int)shape.grid[0], (int)shape.grid[1], (int)shape.grid[2]}, shape.threads, cluster, shape.shared_bytes,
                     [&] { F(*static_cast<std::remove_cv_t<P>*>(arguments[I])...); });
    }
    template <int CLUSTER> static bool run(const Shape& shape, void* const* arguments, char* message, size_t room) {
        try {
            call(shape, shape.together ? shape.grid[0] : CLUSTER, arguments, std::index_sequence_for<P...>{});
            return true;
        } catch (const std::exception& error) {
            snprintf(message, room, "%s", error.what());
            return false;
        }
    }
    template <int THREADS, int CLUSTER> static constexpr Kernel kernel(const char* name) {
        return {name, THREADS, CLUSTER, signature, parameters, sizeof...(P), run<CLUSTER>};
    }
};

/// Blocks of a cluster; only clusters along x are known.
constexpr int cluster_size(int x = 1, int y = 1, int z = 1) { return y == 1 && z == 1 ? x : -1; }
/// Threads of a block, from the arguments of `__launch_bounds__`.
constexpr int most_threads(int threads = 1024, int = 0, int = 0) { return threads; }
}  // namespace standin
