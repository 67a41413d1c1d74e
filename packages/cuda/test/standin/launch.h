// Running one kernel: what may go wrong in it ends the kernel and not the process.
#pragma once
#include "kernel-library.h"
#include "state.h"

namespace standin {
/// The values of a kernel's arguments, kept for when its turn comes.
class Arguments {
public:
    Arguments(const Kernel& kernel, void* const* values);
    void* const* list() const { return const_cast<void* const*>(pointers_.data()); }

private:
    std::shared_ptr<char[]> memory_;
    std::vector<void*> pointers_;
};

/// Runs a kernel to its end. @returns success, or the fault that its context keeps, with what happened written down
CUresult run_kernel(int device, const KernelLibrary& library, const Kernel& kernel, const Shape& shape, const Arguments& arguments);
}  // namespace standin
