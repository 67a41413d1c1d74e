// What a library of kernels, made of one .cu file and the CPU twin, shows to the stand-in driver.
#pragma once
#include <stddef.h>

namespace standin {
/// `together`: all blocks run at the same time.
struct Shape { unsigned grid[3]; int threads; size_t shared_bytes; bool together; };

struct Parameter { size_t bytes, alignment; bool pointer; };

struct Kernel {
    const char* name;
    /// Most threads of a block, and blocks of a cluster along x, as the source says with `__launch_bounds__` and `__cluster_dims__`.
    int threads, cluster;
    /// Types of the parameters by letter: pointer, int, long, float, double, m for a tensor map, s for another struct.
    const char* signature;
    const Parameter* parameters; int count;
    /// Runs the kernel to its end. False if it stopped; `message` then says why.
    bool (*run)(const Shape&, void* const* arguments, char* message, size_t room);
};

struct KernelLibrary {
    const Kernel* kernels; int count;
    /// Whether the kernels use what only Hopper has.
    bool hopper;
    /// Stops the kernel that runs, from wherever a signal handler has led one of its threads. Returns where none of them runs.
    void (*stop)(const char* why);
};
}  // namespace standin
